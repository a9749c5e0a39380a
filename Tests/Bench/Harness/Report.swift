import Foundation

/// What a run has found.
struct Report: Encodable {
  struct Section: Encodable {
    var benchmark: String
    var figures: [Figure]
    /// Why there are no figures; nil where there are.
    var failure: String?
  }

  var cores = ProcessInfo.processInfo.activeProcessorCount
  var load = Meters.loadAverage
  var sections: [Section] = []

  var isMissed: Bool { sections.contains { $0.failure != nil || $0.figures.contains(where: \.isMissed) } }

  func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }
}

extension Report.Section {
  /// The section as lines of a table.
  var table: String {
    var lines = [benchmark]
    for figure in figures {
      let verdict = figure.hasGoal ? (figure.isMissed ? "MISSED" : "ok") : ""
      let cells = [
        "  " + figure.name.padded(to: 56), figure.valueText.padded(to: 12, right: true),
        figure.unit.padded(to: 10), figure.goalText.padded(to: 12), verdict,
      ]
      lines.append(cells.joined(separator: " ").trimmingSuffix(" "))
    }
    if let failure { lines.append("  FAILED: \(failure)") }
    return lines.joined(separator: "\n")
  }
}

extension Figure {
  fileprivate var valueText: String { Self.text(value) }

  fileprivate var goalText: String {
    atLeast.map { ">= \(Self.text($0))" } ?? atMost.map { "<= \(Self.text($0))" } ?? ""
  }

  /// Three significant digits at least, and no more decimals than that takes.
  private static func text(_ value: Double) -> String {
    let decimals =
      switch value.magnitude {
      case 100...: 0
      case 10..<100: 1
      case 1..<10: 2
      case 0: 0
      default: 4
      }
    return String(format: "%.\(decimals)f", value)
  }
}

extension String {
  fileprivate func padded(to width: Int, right: Bool = false) -> String {
    let spaces = String(repeating: " ", count: max(0, width - count))
    return right ? spaces + self : self + spaces
  }

  fileprivate func trimmingSuffix(_ character: Character) -> String {
    var text = self
    while text.last == character { text.removeLast() }
    return text
  }
}
