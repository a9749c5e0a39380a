/// Counters as the kernel writes them below `/proc/net`: names in one line and values in the next, both behind the name
/// of their group.
public struct KernelCounters: Sendable {
  private let text: String

  /// Takes the text of `/proc/net/snmp` or `/proc/net/netstat`.
  public init(text: String) { self.text = text }

  /// A counter of a group, whose name ends with a colon; nil where there is no such counter.
  public subscript(_ name: String, of group: String) -> UInt64? {
    // By bytes: characters take as long as all the rest of a small scrape.
    let lines = text.utf8.split(separator: UInt8(ascii: "\n"))
      .filter { $0.starts(with: group.utf8) }
      .map { $0.split(separator: UInt8(ascii: " ")) }
    guard lines.count == 2, let column = lines[0].firstIndex(where: { $0.elementsEqual(name.utf8) }),
      column < lines[1].count
    else { return nil }
    return UInt64(Substring(lines[1][column]))
  }
}
