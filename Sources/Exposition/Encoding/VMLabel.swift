/// A label of a VM, and what it is called in metrics.
public struct VMLabel: Hashable, Sendable {
  /// Its name in the cluster, such as `app.kubernetes.io/name`.
  public let name: String
  /// The metrics' name for it, such as `label_app_kubernetes_io_name`: what they do not allow is an underscore there.
  public let label: String
  let rendered: [UInt8]

  /// Names a label as its cluster does.
  public init(_ name: String) {
    self.name = name
    let bytes = name.utf8.map { byte in
      let isPlain =
        UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
      return isPlain ? byte : UInt8(ascii: "_")
    }
    rendered = Array("label_".utf8) + bytes
    label = String(decoding: rendered, as: UTF8.self)
  }
}
