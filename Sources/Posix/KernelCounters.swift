/// Counters as the kernel writes them below `/proc/net`: names in one line and values in the next, both behind the name
/// of their group.
public struct KernelCounters: Sendable {
  private let bytes: [UInt8]

  /// Takes what stands in `/proc/net/snmp` or `/proc/net/netstat`.
  public init(bytes: [UInt8]) { self.bytes = bytes }

  /// A counter of a group, whose name ends with a colon; nil where there is no such counter.
  public subscript(_ name: String, of group: String) -> UInt64? {
    let lines = lines(of: group).map { $0.split(separator: UInt8(ascii: " ")) }
    guard lines.count == 2, let column = lines[0].firstIndex(where: { $0.elementsEqual(name.utf8) }),
      column < lines[1].count
    else { return nil }
    return UInt64(String(decoding: lines[1][column], as: UTF8.self))
  }

  /// By bytes, and only these are split: the other groups are many times as long.
  private func lines(of group: String) -> [ArraySlice<UInt8>] {
    var (found, rest): ([ArraySlice<UInt8>], ArraySlice<UInt8>) = ([], bytes[...])
    while !rest.isEmpty {
      let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex
      if rest.starts(with: group.utf8) { found.append(rest[..<end]) }
      rest = rest[end...].dropFirst()
    }
    return found
  }
}
