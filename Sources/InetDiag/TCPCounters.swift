/// What the kernel counts of all TCP connections of a network namespace (`/proc/net/snmp`).
public struct TCPCounters: Hashable, Sendable {
  /// How many connections this side has begun (`ActiveOpens`): while it stays, there is no new one.
  public let opened: UInt64

  /// Reads the text of the file; nil where the counter is not in there.
  public init?(text: String) {
    let lines = text.split(separator: "\n").map { $0.split(separator: " ") }.filter { $0.first == "Tcp:" }
    // One line with the names, and one with the values.
    guard lines.count == 2, let column = lines[0].firstIndex(of: "ActiveOpens"), column < lines[1].count,
      let opened = UInt64(lines[1][column])
    else { return nil }
    self.opened = opened
  }
}
