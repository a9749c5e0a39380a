internal import DroverCore
internal import Yams

/// The keys of `access` and `control`.
extension ConfigurationReader {
  mutating func access(_ node: Node?) -> [AccessRule] {
    let example = "- {uid: 1000, rights: [abort]}"
    var lines: [AccessRule.Subject: Int] = [:]
    var rules: [AccessRule] = []
    for entry in list(node, "access", example: example) {
      let kinds = ["uid", "tokenFile", "user", "certificate", "kubernetes"]
      let keys = mapping(
        entry, "access", keys: kinds + ["audience", "rights"],
        remedies: ["token": "a token is in a file of its own (tokenFile);"])
      guard entry.mapping != nil else {
        if isNull(entry) { complain(at: entry, "an entry of access is empty; such as \(example)") }
        continue
      }
      let given = kinds.filter { keys[$0] != nil }
      guard given.count == 1 else {
        complain(
          at: entry,
          "an entry of access is for one of \(kinds.joined(separator: ", ")), not for "
            + "\(given.isEmpty ? "nobody" : given.joined(separator: " and ")); such as \(example)")
        continue
      }
      if let audience = keys["audience"], given != ["kubernetes"] {
        complain(
          at: audience, "access.audience is that of a token of a cluster; give kubernetes, or remove it")
        continue
      }
      let granted = rights(keys["rights"], of: entry)
      guard let subject = subject(keys), let granted else { continue }
      let line = YAMLDocument.Place(entry.mark).line
      if let first = lines[subject] {
        complain(
          at: entry,
          "access names \(given[0]) \(words(subject)) twice, on lines \(first) and \(line); "
            + "put the rights together")
        continue
      }
      lines[subject] = line
      rules.append(AccessRule(subject, granted))
    }
    return rules
  }

  /// Reads `control`.
  mutating func control(_ node: Node?, _ result: inout Configuration) {
    let control = mapping(
      node, "control", keys: ["switches", "alerts", "drain", "limits", "rules"],
      remedies: ["manual": "it is one of control.switches;"])
    result.switches = switches(control["switches"])
    result.automatic = automatic(control, result.switches)
    result.unreachableRules = unreachable(control["rules"], result.automatic.rules)
  }

  /// What a switch may be that knows no shadow.
  private enum Armed: String, CaseIterable { case disabled, enabled }

  private mutating func switches(_ node: Node?) -> [ControlSwitch: SwitchState] {
    let keys = mapping(node, "control.switches", keys: ControlSwitch.allCases.map(\.rawValue))
    var result: [ControlSwitch: SwitchState] = [:]
    for name in ControlSwitch.allCases {
      let (node, path) = (keys[name.rawValue], "control.switches.\(name.rawValue)")
      let state =
        name.hasShadow
        ? choice(node, path, SwitchState.self)
        : choice(node, path, Armed.self).flatMap { SwitchState(rawValue: $0.rawValue) }
      if let state, state != .disabled { result[name] = state }
    }
    return result
  }

  private func words(_ subject: AccessRule.Subject) -> String {
    switch subject {
    case .uid(let uid): "\(uid)"
    case .tokenFile(let text), .user(let text), .certificate(let text): quoted(text)
    case .kubernetes(let authority): quoted(authority.backend.rawValue)
    }
  }

  private mutating func subject(_ keys: [String: Node]) -> AccessRule.Subject? {
    if let node = keys["uid"] {
      return integer(node, "access.uid", in: 0...Int(UInt32.max) - 1, example: 1000)
        .map { .uid(UInt32($0)) }
    }
    for (key, example, make) in Self.subjects {
      guard let node = keys[key], let value = text(node, "access.\(key)", example: example) else { continue }
      guard !value.isEmpty else {
        complain(at: node, "access.\(key) is empty; such as \(example)")
        return nil
      }
      if key == "tokenFile", !value.hasPrefix("/") {
        complain(
          at: node, "access.tokenFile must be an absolute path, not \(quoted(value)); such as \(example)")
        return nil
      }
      return make(value)
    }
    guard let node = keys["kubernetes"], let name = text(node, "access.kubernetes", example: "prod") else {
      return nil
    }
    guard !name.isEmpty else {
      complain(at: node, "access.kubernetes is empty; it is the name of a back end, such as prod")
      return nil
    }
    let audience = text(keys["audience"], "access.audience", example: "drover") ?? ""
    return .kubernetes(ClusterAuthority(backend: BackendName(rawValue: name), audience: audience))
  }

  private static let subjects: [(String, String, @Sendable (String) -> AccessRule.Subject)] = [
    ("tokenFile", "/etc/drover/alertmanager.token", { .tokenFile($0) }),
    ("user", "alice", { .user($0) }), ("certificate", "alice", { .certificate($0) }),
  ]

  /// Nil where they are absent or wrong.
  private mutating func rights(_ node: Node?, of entry: Node) -> Set<Right>? {
    let example = "rights: [abort]"
    let entries = list(node, "access.rights", example: example)
    guard !entries.isEmpty else {
      if node?.sequence != nil || node.map(isNull) ?? true {
        complain(at: node ?? entry, "an entry of access grants no rights; such as \(example)")
      }
      return nil
    }
    var result: Set<Right> = []
    for entry in entries {
      guard let right = choice(entry, "an entry of access.rights", Right.self) else { continue }
      if !result.insert(right).inserted {
        complain(at: entry, "access.rights names \(right.rawValue) twice; remove one")
      }
    }
    return result.isEmpty ? nil : result
  }
}
