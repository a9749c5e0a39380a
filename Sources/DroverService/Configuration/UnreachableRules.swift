internal import DroverCore
internal import Yams

extension ConfigurationReader {
  /// Rules that never apply, since one before them chooses all that they choose; each in a sentence with both lines.
  func unreachable(_ node: Node?, _ rules: [PolicyRule]) -> [String] {
    // Where some could not be read there are errors to mend first.
    guard case .sequence(let entries)? = node, entries.count == rules.count else { return [] }
    let lines = entries.map { YAMLDocument.Place($0.mark).line }
    return rules.indices.compactMap { index in
      let rule = rules[index]
      let everything = PolicyMatch()
      guard
        let first = rules[..<index].firstIndex(where: { $0.match == everything || $0.match == rule.match })
      else { return nil }
      let why = rules[first].match == everything ? "governs all migrations" : "has the same match"
      return "rule \(quoted(rule.name)) on line \(lines[index]) never applies: rule "
        + "\(quoted(rules[first].name)) on line \(lines[first]) comes before it and \(why); the first that "
        + "matches governs"
    }
  }
}
