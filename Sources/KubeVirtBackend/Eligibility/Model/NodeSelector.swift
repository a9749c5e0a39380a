internal import Kubernetes

/// Which nodes fit: any of the terms, and within a term everything (`v1.NodeSelector`).
struct NodeSelector: Decodable, Hashable, Sendable {
  let terms: [Term]

  struct Term: Decodable, Hashable, Sendable {
    var expressions: [Requirement] = []
    var fields: [Requirement] = []

    private enum CodingKeys: String, CodingKey { case matchExpressions, matchFields }

    init(expressions: [Requirement] = [], fields: [Requirement] = []) {
      self.expressions = expressions
      self.fields = fields
    }

    /// Throws where one of them cannot be read: without it, more nodes would fit.
    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      expressions = try values.decodeIfPresent([Requirement].self, forKey: .matchExpressions) ?? []
      fields = try values.decodeIfPresent([Requirement].self, forKey: .matchFields) ?? []
    }
  }

  /// What a label, or a field, must be.
  struct Requirement: Decodable, Hashable, Sendable {
    let key: String
    let comparison: String
    let values: [String]

    private enum CodingKeys: String, CodingKey {
      case key, values
      case comparison = "operator"
    }

    init(_ key: String, _ comparison: String, _ values: [String] = []) {
      self.key = key
      self.comparison = comparison
      self.values = values
    }

    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      key = try container.decode(String.self, forKey: .key)
      comparison = try container.decode(String.self, forKey: .comparison)
      values = try container.decodeIfPresent([String].self, forKey: .values) ?? []
    }
  }

  private enum CodingKeys: String, CodingKey { case nodeSelectorTerms }

  init(terms: [Term]) { self.terms = terms }

  /// A term that cannot be read matches nothing, as an empty one does.
  init(from decoder: any Decoder) throws {
    terms = try decoder.container(keyedBy: CodingKeys.self).lenientList(.nodeSelectorTerms)
  }
}

extension NodeSelector.Requirement {
  /// Whether a value satisfies it, as Kubernetes compares; nil where there is no such label.
  func matches(_ value: String?) -> Bool {
    switch comparison {
    case "In": value.map(values.contains) ?? false
    case "NotIn": !(value.map(values.contains) ?? false)
    case "Exists": value != nil
    case "DoesNotExist": value == nil
    case "Gt": compared(value) { $0 > $1 }
    case "Lt": compared(value) { $0 < $1 }
    default: false
    }
  }

  private func compared(_ value: String?, _ holds: (Int64, Int64) -> Bool) -> Bool {
    guard let number = value.flatMap({ Int64($0) }), values.count == 1, let limit = Int64(values[0]) else {
      return false
    }
    return holds(number, limit)
  }

  /// As people write it: `zone in (a, b)`, `cores > 8`.
  var words: String {
    let list = "(\(values.joined(separator: ", ")))"
    return switch comparison {
    case "In": values.count == 1 ? "\(key)=\(values[0])" : "\(key) in \(list)"
    case "NotIn": "\(key) not in \(list)"
    case "Exists": key
    case "DoesNotExist": "no \(key)"
    case "Gt": "\(key) > \(values.first ?? "")"
    case "Lt": "\(key) < \(values.first ?? "")"
    default: "\(key) \(comparison) \(list)"
    }
  }
}

extension NodeSelector.Term {
  /// What of it a node does not satisfy; nil where it can match no node at all.
  func unmet(by node: PlacementNode) -> [NodeSelector.Requirement]? {
    guard !expressions.isEmpty || !fields.isEmpty else { return nil }
    return expressions.filter { !$0.matches(node.labels[$0.key]) }
      + fields.filter { $0.key != "metadata.name" || !$0.matches(node.name) }
  }
}

extension NodeSelector {
  /// Whether a node satisfies one of the terms.
  func matches(_ node: PlacementNode) -> Bool { terms.contains { $0.unmet(by: node)?.isEmpty == true } }

  /// What is missing for the term that a node comes closest to; nil where the node fits.
  func closestMiss(of node: PlacementNode) -> [Requirement]? {
    guard !matches(node) else { return nil }
    return terms.compactMap { $0.unmet(by: node) }.min { $0.count < $1.count } ?? []
  }
}
