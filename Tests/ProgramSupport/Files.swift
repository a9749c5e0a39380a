import Foundation

/// A directory that goes with its last reference.
final class TemporaryDirectory: Sendable {
  let path: String

  /// Short, since a Unix socket's path has 107 bytes.
  init() throws {
    var name = Array("/tmp/drover-e2e-XXXXXX".utf8CString)
    guard mkdtemp(&name) != nil else {
      throw Missed(description: "mkdtemp: \(String(cString: strerror(errno)))")
    }
    path = String(decoding: name.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  @discardableResult
  func write(_ text: String, to name: String) throws -> String {
    let file = "\(path)/\(name)"
    try text.write(toFile: file, atomically: true, encoding: .utf8)
    return file
  }
}

/// Programs of other packages.
enum Tool {
  static func path(_ name: String, package: String) throws -> String {
    for directory in ["/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin"] {
      if access("\(directory)/\(name)", X_OK) == 0 { return "\(directory)/\(name)" }
    }
    throw Missed(description: "\(name) is not installed: sudo apt-get install \(package)")
  }
}
