internal import DroverCore

extension Why {
  /// Lines of blocked VMs that are told; the rest is a number.
  private static let mostLines = 10

  /// What Drover's own drain of a node does, or came to.
  func drain(_ drain: DrainStatus) -> [String] {
    let record = drain.record
    let counts = DrainVMState.allCases.compactMap { state -> String? in
      let count = record.counts[state] ?? 0
      return count > 0 ? "\(count) \(Words.plain(state.rawValue))" : nil
    }.joined(separator: ", ")
    let vms = counts.isEmpty ? "no VMs" : counts
    let begun = Words.duration((now - drain.startedAt).inSeconds)
    var lines: [String] = []
    switch record.state {
    case .active, .cancelling:
      let word = record.state == .active ? "being drained" : "a drain of it is being ended"
      lines.append("\(word) by Drover since \(begun), for \(record.requester): \(vms)")
    case .complete, .incomplete, .cancelled:
      let ended = drain.endedAt.map { Words.relative(-(now - $0).inSeconds) } ?? "earlier"
      lines.append("Drover's drain of it, begun \(begun) ago, was \(record.state.rawValue) \(ended): \(vms)")
    }
    if !record.text.isEmpty { lines.append(record.text) }
    if !drain.hold.isEmpty { lines.append("nothing is begun: \(drain.hold)") }
    let left = record.vms.filter { $0.state != .done && !$0.text.isEmpty }
    lines += left.prefix(Self.mostLines).map {
      "\($0.vm.name) \(Words.plain($0.state.rawValue)): \($0.text)"
    }
    if left.count > Self.mostLines { lines.append("and \(left.count - Self.mostLines) more") }
    return lines
  }
}
