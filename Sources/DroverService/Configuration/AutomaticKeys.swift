internal import DroverCore
internal import Yams

/// The keys of `control` that say what may be ended without a person.
extension ConfigurationReader {
  /// Reads `alerts`, `limits` and `rules` of `control`, and what its switches let them.
  mutating func automatic(
    _ control: [String: Node], _ switches: [ControlSwitch: SwitchState]
  ) -> AutomaticSettings {
    var result = AutomaticSettings()
    result.policies = switches[.policies]?.reach ?? .observe
    result.alerts = switches[.alerts]?.reach
    alerts(control["alerts"], &result)
    limits(control["limits"], &result.limits)
    if let node = control["rules"], !isNull(node) { result.rules = rules(node) }
    return result
  }

  private mutating func alerts(_ node: Node?, _ result: inout AutomaticSettings) {
    let keys = mapping(node, "control.alerts", keys: ["names", "namespaceLabel"])
    if let node = keys["names"] {
      result.alertNames = texts(node, "control.alerts.names", example: "[DroverMigrationStalled]") ?? []
    }
    let path = "control.alerts.namespaceLabel"
    if let label = text(keys["namespaceLabel"], path, example: "exported_namespace"),
      let node = keys["namespaceLabel"]
    {
      let isName =
        label.utf8.first.map { !(48...57).contains($0) } ?? false
        && label.utf8.allSatisfy { byte in
          byte == UInt8(ascii: "_")
            || MigrationID(String(UnicodeScalar(byte))) != nil && byte != UInt8(ascii: "-")
        }
      if !isName { complain(at: node, "\(path): \(quoted(label)) is no name of a label; such as namespace") }
      result.namespaceLabel = label
    }
  }

  private mutating func limits(_ node: Node?, _ limits: inout AutomaticLimits) {
    let keys = mapping(
      node, "control.limits", keys: ["aborts", "window", "perVM", "sampleAge", "guard", "partition"])
    func path(_ key: String) -> String { "control.limits.\(key)" }
    limits.aborts = integer(keys["aborts"], path("aborts"), in: 1...1000, example: 3) ?? limits.aborts
    limits.window =
      duration(keys["window"], path("window"), in: .seconds(60)...hours(24), example: "10m") ?? limits.window
    limits.perVM =
      duration(
        keys["perVM"], path("perVM"), in: .seconds(1)...hours(7 * 24), zero: "no such limit", example: "30m")
      ?? limits.perVM
    limits.sampleAge =
      duration(keys["sampleAge"], path("sampleAge"), in: .seconds(1)...hours(1), example: "10s")
      ?? limits.sampleAge
    limits.guardTime =
      duration(
        keys["guard"], path("guard"), in: .seconds(1)...hours(1), zero: "no such limit", example: "10s")
      ?? limits.guardTime
    limits.partition =
      integer(keys["partition"], path("partition"), in: 2...1000, example: 3) ?? limits.partition
  }

  private static let example =
    "- {name: default, when: {completion_timeout: observe, progress_timeout: observe}}"

  private mutating func rules(_ node: Node) -> [PolicyRule] {
    var lines: [String: Int] = [:]
    var rules: [PolicyRule] = []
    for entry in list(node, "control.rules", example: Self.example) {
      let keys = mapping(entry, "control.rules", keys: ["name", "reason", "match", "when"])
      guard entry.mapping != nil else {
        if isNull(entry) {
          complain(at: entry, "an entry of control.rules is empty; such as \(Self.example)")
        }
        continue
      }
      guard let name = text(keys["name"], "control.rules.name", example: "default"), !name.isEmpty else {
        if keys["name"] == nil || keys["name"]?.scalar?.string.isEmpty == true {
          complain(at: entry, "an entry of control.rules has no name; such as \(Self.example)")
        }
        continue
      }
      let line = YAMLDocument.Place(entry.mark).line
      if let first = lines[name] {
        complain(
          at: entry,
          "control.rules has two rules called \(quoted(name)), on lines \(first) and \(line); rename one")
      }
      lines[name] = line
      let reason =
        text(keys["reason"], "control.rules.reason", example: "\"the nightly batch may wait\"") ?? ""
      let wishes = wishes(keys["when"], of: entry)
      rules.append(PolicyRule(name: name, reason: reason, match: match(keys["match"]), wishes: wishes))
    }
    return rules
  }

  private mutating func match(_ node: Node?) -> PolicyMatch {
    let path = "control.rules.match"
    let keys = mapping(
      node, path, keys: ["backend", "namespace", "host", "vm", "labels", "origin", "size"])
    var match = PolicyMatch()
    match.backends = texts(keys["backend"], "\(path).backend", example: "prod") ?? []
    match.namespaces = texts(keys["namespace"], "\(path).namespace", example: "default") ?? []
    match.hosts = texts(keys["host"], "\(path).host", example: "rack1") ?? []
    match.vms = texts(keys["vm"], "\(path).vm", example: "web-1") ?? []
    match.labels = labels(keys["labels"])
    if let node = keys["labels"], !match.labels.isEmpty, !match.hosts.isEmpty {
      complain(
        at: node, "\(path): VMs of hosts have no labels, so that nothing matches; remove labels or host")
    }
    if let node = keys["origin"] {
      let entries = node.sequence.map(Array.init) ?? [node]
      match.origins = entries.compactMap { choice($0, "\(path).origin", Origin.self) }
    }
    let size = mapping(keys["size"], "\(path).size", keys: ["atLeast", "atMost"])
    let range = Bytes(1)...Bytes.gibibytes(1 << 20)
    match.atLeast = self.size(size["atLeast"], "\(path).size.atLeast", in: range, example: "8GiB")
    match.atMost = self.size(size["atMost"], "\(path).size.atMost", in: range, example: "64GiB")
    if let least = match.atLeast, let most = match.atMost, least > most, let node = keys["size"] {
      complain(at: node, "\(path).size: atLeast is more than atMost, so that nothing matches")
    }
    return match
  }

  private mutating func wishes(_ node: Node?, of entry: Node) -> [Trigger: PolicyWish] {
    let keys = mapping(node, "control.rules.when", keys: Trigger.ofPolicies.map(\.rawValue))
    if node == nil || node?.mapping?.isEmpty == true || node.map(isNull) == true {
      complain(at: node ?? entry, "an entry of control.rules looks out for nothing; such as \(Self.example)")
    }
    var wishes: [Trigger: PolicyWish] = [:]
    for trigger in Trigger.ofPolicies {
      guard let node = keys[trigger.rawValue] else { continue }
      let path = "control.rules.when.\(trigger.rawValue)"
      var wish = PolicyWish(.observe)
      var word = node
      if node.mapping != nil {
        let parts = mapping(node, path, keys: ["for", "do"])
        wish.patience =
          duration(parts["for"], "\(path).for", in: .seconds(1)...hours(24), zero: "at once", example: "60s")
          ?? .zero
        guard let action = parts["do"] else {
          complain(at: node, "\(path) says not what to do; such as {for: 60s, do: observe}")
          continue
        }
        word = action
      }
      guard let action = choice(word, path, PolicyAction.self) else { continue }
      if action == .abort, let reason = trigger.neverAborts {
        complain(at: word, "\(path) must not be abort: \(reason); observe and shadow are allowed")
      }
      wish.action = action
      wishes[trigger] = wish
    }
    return wishes
  }

  /// A text or a list of them; nil where it is absent.
  mutating func texts(_ node: Node?, _ path: String, example: String) -> [String]? {
    guard let node else { return nil }
    guard node.sequence != nil || isNull(node) else {
      return text(node, path, example: example).map { [$0] } ?? []
    }
    return list(node, path, example: example).compactMap { entry in
      text(entry, "an entry of \(path)", example: example)
    }
  }
}

extension SwitchState {
  /// How far it lets something go; nil for not at all.
  fileprivate var reach: PolicyAction? {
    switch self {
    case .disabled: nil
    case .shadow: .shadow
    case .enabled: .abort
    }
  }
}
