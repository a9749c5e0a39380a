internal import DroverCore
internal import Exposition
internal import Yams

/// The keys that name labels of VMs.
extension ConfigurationReader {
  /// Reads `metrics.vmLabels`.
  mutating func vmLabels(_ node: Node?) -> [String] {
    let path = "metrics.vmLabels"
    var taken: [String: String] = [:]
    var names: [String] = []
    for entry in list(node, path, example: "[app.kubernetes.io/name]") {
      guard let name = labelName(entry, "an entry of \(path)") else { continue }
      let label = VMLabel(name).label
      if let other = taken[label] {
        complain(
          at: entry,
          other == name
            ? "\(path) names \(quoted(name)) twice; remove one"
            : "\(path): \(quoted(name)) and \(quoted(other)) would both be \(label) in the metrics; remove one"
        )
        continue
      }
      taken[label] = name
      names.append(name)
    }
    return names
  }

  /// Reads `labels` of a rule's `match`.
  mutating func labels(_ node: Node?) -> [String: [String]] {
    let path = "control.rules.match.labels"
    guard let node, !isNull(node) else { return [:] }
    let example = "such as {app: [db, cache]}"
    guard case .mapping(let mapping) = node, !mapping.isEmpty else {
      complain(at: node, "\(path) must be names of labels with their values; \(example)")
      return [:]
    }
    var labels: [String: [String]] = [:]
    let names = mapping.map { document.name(ofKey: $0.key) }
    for (key, value) in mapping {
      if let name = document.name(ofKey: key), names.count(where: { $0 == name }) > 1 {
        complain(at: key, "\(path) names \(quoted(name)) twice; remove one")
        break
      }
      guard let name = labelName(key, path) else { continue }
      let values = texts(value, "\(path).\(name)", example: "db") ?? []
      if values.isEmpty, isNull(value) || value.sequence?.isEmpty == true {
        complain(at: value, "\(path).\(name) has no value, so that nothing matches; \(example)")
      }
      labels[name] = values
    }
    return labels
  }

  /// A name as Kubernetes takes it: at most one prefix of 253, and 63 characters.
  private mutating func labelName(_ node: Node, _ path: String) -> String? {
    guard let name = text(node, path, example: "app.kubernetes.io/name") else { return nil }
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    func isPart(_ part: Substring, most: Int) -> Bool {
      let isEdge = { (byte: UInt8?) in
        byte.map { UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 | 0x20 || 48...57 ~= $0 } ?? false
      }
      return part.utf8.count <= most && isEdge(part.utf8.first) && isEdge(part.utf8.last)
        && part.utf8.allSatisfy { isEdge($0) || "-_.".utf8.contains($0) }
    }
    guard parts.count <= 2, let last = parts.last, isPart(last, most: 63),
      parts.count == 1 || isPart(parts[0], most: 253)
    else {
      complain(at: node, "\(path): \(quoted(name)) is no name of a label; such as app.kubernetes.io/name")
      return nil
    }
    return name
  }
}
