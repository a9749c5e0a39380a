/// A text format that samples are exposed in.
public enum ExpositionFormat: CaseIterable, Sendable {
  /// The classic text format, version 0.0.4.
  case text
  /// OpenMetrics 1.0.
  case openMetrics
}

extension ByteWriter {
  /// Appends the lines that stand before a family's samples.
  mutating func append(headerOf family: FamilyDeclaration, in format: ExpositionFormat) {
    let name = family.name(in: format)
    func line(_ keyword: StaticString, to writer: inout ByteWriter) {
      writer.append("# ")
      writer.append(keyword)
      writer.append(" ")
      writer.append(name)
      writer.append(" ")
    }
    if format == .text {
      line("HELP", to: &self)
      append(escaped: family.help, quotes: false)
      append("\n")
    }
    line("TYPE", to: &self)
    append(family.kind.type(in: format))
    append("\n")
    guard format == .openMetrics else { return }
    if let unit = family.unit {
      line("UNIT", to: &self)
      append(unit.rawValue)
      append("\n")
    }
    line("HELP", to: &self)
    append(escaped: family.help, quotes: true)
    append("\n")
  }
}

extension FamilyDeclaration {
  /// The name in `TYPE` and `HELP`: OpenMetrics leaves out the suffix that the kind implies.
  func name(in format: ExpositionFormat) -> String {
    switch (format, kind) {
    case (.openMetrics, .counter): String(name.dropLast("_total".utf8.count))
    case (.openMetrics, .info): String(name.dropLast("_info".utf8.count))
    default: name
    }
  }
}

extension FamilyKind {
  fileprivate func type(in format: ExpositionFormat) -> StaticString {
    switch self {
    case .counter: "counter"
    case .gauge, .stateSet: "gauge"
    case .info: format == .text ? "gauge" : "info"
    case .histogram: "histogram"
    }
  }
}
