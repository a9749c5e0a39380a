internal import DroverCore
internal import Yams

/// Reads values out of a YAML tree and collects everything that is wrong, instead of ending at the first.
struct ConfigurationReader {
  let document: YAMLDocument
  private(set) var problems: [ConfigurationProblem] = []
  private var nodesLeft = 10_000

  init(_ document: YAMLDocument) { self.document = document }

  mutating func complain(at node: Node, _ text: String) {
    let place = YAMLDocument.Place(node.mark)
    problems.append(ConfigurationProblem(line: place.line, column: place.column, text: text))
  }

  /// The values of a mapping by key; absent or null is the empty mapping.
  ///
  /// - Parameters:
  ///   - path: Name of the mapping in messages; empty at the top.
  ///   - keys: What is allowed here.
  ///   - remedies: Words for keys that people try and that belong elsewhere.
  mutating func mapping(
    _ node: Node?, _ path: String, keys: [String], remedies: [String: String] = [:]
  ) -> [String: Node] {
    guard let node, !isNull(node), mayVisit(node) else { return [:] }
    let place = path.isEmpty ? "at the top" : "in \(path)"
    let allowed = "allowed \(path.isEmpty ? "at the top" : "here"): \(keys.sorted().joined(separator: ", "))"
    guard case .mapping(let mapping) = node else {
      complain(
        at: node,
        "\(path.isEmpty ? "the file" : path) must be keys with values, not \(kind(node)); \(allowed)")
      return [:]
    }
    var values: [String: Node] = [:]
    var firstLine: [String: Int] = [:]
    for (key, value) in mapping {
      guard let name = document.name(ofKey: key) else {
        complain(at: key, "a key \(place) must be a plain word; \(allowed)")
        continue
      }
      let line = YAMLDocument.Place(key.mark).line
      if let first = firstLine[name] {
        complain(
          at: key, "the key \(quoted(name)) \(place) stands twice, on lines \(first) and \(line); remove one")
        continue
      }
      firstLine[name] = line
      if keys.contains(name) {
        values[name] = value
      } else if name == "<<" {
        complain(at: key, "merge keys (<<) are not supported; write the keys out")
      } else {
        let remedy =
          remedies[name] ?? suggestion(for: name, among: keys).map { "did you mean \(quoted($0))?" }
        complain(at: key, "unknown key \(quoted(name)) \(place); \(remedy.map { "\($0) " } ?? "")\(allowed)")
      }
    }
    return values
  }

  /// The entries of a list; absent or null is the empty list.
  mutating func list(_ node: Node?, _ path: String, example: String) -> [Node] {
    guard let node, !isNull(node), mayVisit(node) else { return [] }
    guard case .sequence(let sequence) = node else {
      complain(at: node, "\(path) must be a list, not \(kind(node)); such as \(example)")
      return []
    }
    return Array(sequence)
  }

  /// A text; nil where it is absent or wrong.
  mutating func text(_ node: Node?, _ path: String, example: String) -> String? {
    guard let node, mayVisit(node) else { return nil }
    guard case .scalar(let scalar) = node, !isNull(node) else {
      complain(at: node, "\(path) must be a text, not \(kind(node)); such as \(example)")
      return nil
    }
    guard hasPlainTag(node) else { return nil }
    if scalar.style == .plain, Self.booleanWords.contains(scalar.string.lowercased()) {
      complain(
        at: node, "\(path): YAML reads \(scalar.string) as a boolean; put it in quotes: \"\(scalar.string)\"")
      return nil
    }
    guard scalar.string.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control }) else {
      complain(at: node, "\(path) has control characters in it; such as \(example)")
      return nil
    }
    return scalar.string
  }

  /// `true` or `false`; nil where it is absent or wrong.
  mutating func boolean(_ node: Node?, _ path: String) -> Bool? {
    guard let node, mayVisit(node) else { return nil }
    guard case .scalar(let scalar) = node, !isNull(node) else {
      complain(at: node, "\(path) must be true or false, not \(kind(node))")
      return nil
    }
    guard hasPlainTag(node) else { return nil }
    let word = scalar.string.lowercased()
    if scalar.style == .plain, let value = Bool(scalar.string) { return value }
    let remedy: String =
      switch word {
      case "true", "yes", "on", "y": "; write true"
      case "false", "no", "off", "n": "; write false"
      default: ""
      }
    complain(at: node, "\(path) must be true or false without quotes, not \(quoted(scalar.string))\(remedy)")
    return nil
  }

  /// A whole number within a range; nil where it is absent or wrong.
  mutating func integer(_ node: Node?, _ path: String, in range: ClosedRange<Int>, example: Int) -> Int? {
    number(node, path, words: "a whole number", in: range, example: "\(example)") { Int($0) }
  }

  /// A number within a range; nil where it is absent or wrong.
  mutating func fraction(_ node: Node?, _ path: String, in range: ClosedRange<Double>, example: Double)
    -> Double?
  {
    number(node, path, words: "a number", in: range, example: "\(example)") { text in
      // Double() also reads hexadecimal and "inf", which nobody means.
      text.utf8.allSatisfy { "0123456789.-+".utf8.contains($0) } ? Double(text) : nil
    }
  }

  /// A duration within a range, or 0 where that means something; nil where it is absent or wrong.
  mutating func duration(
    _ node: Node?, _ path: String, in range: ClosedRange<Duration>, zero: String? = nil, example: String
  ) -> Duration? {
    guard let node, mayVisit(node) else { return nil }
    guard case .scalar(let scalar) = node, !isNull(node) else {
      complain(at: node, "\(path) must be a duration, not \(kind(node)); such as \(example)")
      return nil
    }
    guard hasPlainTag(node) else { return nil }
    do throws(DurationError) {
      let value = try PrometheusDuration.parse(scalar.string)
      if range.contains(value) || (value == .zero && zero != nil) { return value }
      let bounds =
        "from \(PrometheusDuration.format(range.lowerBound)) to \(PrometheusDuration.format(range.upperBound))"
      let none = zero.map { ", or 0 for \($0)" } ?? ""
      complain(at: node, "\(path) must be \(bounds)\(none), not \(scalar.string); such as \(example)")
    } catch {
      complain(at: node, "\(path): \(error)")
    }
    return nil
  }

  /// A size within a range; nil where it is absent or wrong.
  mutating func size(_ node: Node?, _ path: String, in range: ClosedRange<Bytes>, example: String) -> Bytes? {
    guard let node, mayVisit(node) else { return nil }
    guard case .scalar(let scalar) = node, !isNull(node) else {
      complain(at: node, "\(path) must be a size, not \(kind(node)); such as \(example)")
      return nil
    }
    guard hasPlainTag(node) else { return nil }
    do throws(ByteSizeError) {
      let value = try ByteSize.parse(scalar.string)
      if range.contains(value) { return value }
      let bounds = "from \(ByteSize.format(range.lowerBound)) to \(ByteSize.format(range.upperBound))"
      complain(at: node, "\(path) must be \(bounds), not \(scalar.string); such as \(example)")
    } catch {
      complain(at: node, "\(path): \(error)")
    }
    return nil
  }

  /// One of a few words; nil where it is absent or wrong.
  mutating func choice<Choice: RawRepresentable & CaseIterable>(
    _ node: Node?, _ path: String, _: Choice.Type
  ) -> Choice? where Choice.RawValue == String {
    guard let node, mayVisit(node) else { return nil }
    let words = Choice.allCases.map(\.rawValue)
    guard case .scalar(let scalar) = node, !isNull(node) else {
      complain(at: node, "\(path) must be one of \(words.joined(separator: ", ")), not \(kind(node))")
      return nil
    }
    guard hasPlainTag(node) else { return nil }
    if let choice = Choice(rawValue: scalar.string) { return choice }
    let meant = suggestion(for: scalar.string, among: words).map { "; did you mean \($0)?" } ?? ""
    complain(
      at: node,
      "\(path) must be one of \(words.joined(separator: ", ")), not \(quoted(scalar.string))\(meant)")
    return nil
  }

  private mutating func number<Number: Comparable>(
    _ node: Node?, _ path: String, words: String, in range: ClosedRange<Number>, example: String,
    parse: (String) -> Number?
  ) -> Number? {
    guard let node, mayVisit(node) else { return nil }
    guard case .scalar(let scalar) = node, !isNull(node) else {
      complain(at: node, "\(path) must be \(words), not \(kind(node)); such as \(example)")
      return nil
    }
    guard hasPlainTag(node) else { return nil }
    if scalar.style == .plain, let value = parse(scalar.string), range.contains(value) { return value }
    complain(
      at: node,
      "\(path) must be \(words) from \(range.lowerBound) to \(range.upperBound) without quotes, "
        + "not \(quoted(scalar.string)); such as \(example)")
    return nil
  }

  /// Whether the tree may be read on; false, and said once, when aliases have multiplied it beyond reason.
  private mutating func mayVisit(_ node: Node) -> Bool {
    nodesLeft -= 1
    if nodesLeft == 0 { complain(at: node, "the file has more than 10000 values; shorten it") }
    return nodesLeft > 0
  }

  private mutating func hasPlainTag(_ node: Node) -> Bool {
    let name = node.tag.description
    guard name.hasPrefix("!") || (name.contains(":") && !name.hasPrefix("tag:yaml.org,2002:")) else {
      return true
    }
    complain(at: node, "tags (\(name)) are not supported; write the plain value")
    return false
  }

  func isNull(_ node: Node) -> Bool {
    guard case .scalar(let scalar) = node, scalar.style == .plain else { return false }
    return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
  }

  private func kind(_ node: Node) -> String {
    switch node {
    case .mapping: "keys with values"
    case .sequence: "a list"
    case .scalar(let scalar): isNull(node) ? "nothing" : quoted(scalar.string)
    case .alias: "an alias"
    }
  }

  /// What YAML 1.1 reads as a boolean.
  private static let booleanWords: Set<String> = ["y", "n", "yes", "no", "on", "off", "true", "false"]
}

/// A text from outside in quotes, shortened, and with nothing in it that could forge a line.
func quoted(_ text: String) -> String {
  let shown = text.count > 60 ? text.prefix(60) + "…" : text[...]
  return "\"\(printable(String(shown)))\""
}
