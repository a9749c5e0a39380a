import Foundation

@testable import ProgramSupport

/// A line of drover's log, as others read it.
struct LogLine {
  let fields: [String: String]

  /// Nil where the line is no logfmt.
  init?(logfmt line: Substring) {
    var fields: [String: String] = [:]
    var rest = line
    while !rest.isEmpty {
      guard let match = rest.prefixMatch(of: /([A-Za-z0-9_.-]+)=("(?:[^"\\]|\\.)*"|[^ "=]+)(?: |$)/) else {
        return nil
      }
      let value = match.2
      if value.hasPrefix("\"") {
        guard
          let text = try? JSONSerialization.jsonObject(with: Data(value.utf8), options: .fragmentsAllowed)
            as? String
        else { return nil }
        fields[String(match.1)] = text
      } else {
        fields[String(match.1)] = String(value)
      }
      rest = rest[match.range.upperBound...]
    }
    self.fields = fields
  }

  /// Nil where the line is no JSON object of texts.
  init?(json line: Substring) {
    guard let fields = try? JSONDecoder().decode([String: String].self, from: Data(line.utf8)) else {
      return nil
    }
    self.fields = fields
  }
}
