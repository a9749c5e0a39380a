internal import DroverCore
internal import Exposition
internal import Journal

/// A configuration with all its defaults, as `drover check-config` shows it.
///
/// Its description is itself a valid configuration file; encoded, it has the same keys.
public struct EffectiveConfiguration: Encodable, Sendable, CustomStringConvertible {
  private let root: Value

  /// Spells out a configuration.
  public init(_ configuration: Configuration) {
    root = .mapping([
      ("backends", .list(configuration.backends.map(Self.value))),
      (
        "timeouts",
        .mapping(
          Self.values(configuration.timeouts)
            + [
              (
                "keepalive",
                Self.value(configuration.keepalive, unset: "what each libvirt host's qemu.conf says")
              )
            ])
      ),
      (
        "verdict",
        .mapping([
          ("stalledAfter", .duration(configuration.stalledAfter)), ("passes", .integer(configuration.passes)),
          ("dirtyRatio", .number(configuration.dirtyRatio)),
          ("controlSilence", .duration(configuration.controlSilence)),
          ("dataSilence", .duration(configuration.dataSilence)),
        ])
      ),
      ("retention", .duration(configuration.retention)),
      (
        "metrics",
        .mapping([
          ("vms", .text(configuration.vms.rawValue)),
          ("maxMigrations", .integer(configuration.maxMigrations)),
          ("vmLabels", .list(configuration.vmLabels.map(Value.text))),
        ])
      ),
      (
        "journal",
        .mapping([
          (
            "path",
            configuration.journalPath.isEmpty
              ? .unset("journal.db in the directory for the state of services")
              : .text(configuration.journalPath)
          ),
          ("maxAge", .duration(configuration.journal.maxAge)),
          ("maxSize", .text(ByteSize.format(configuration.journal.maxSize))),
        ])
      ),
      ("access", .list(configuration.access.map(Self.value))),
      (
        "control",
        .mapping(
          [
            (
              "switches",
              .mapping(
                ControlSwitch.allCases.map {
                  ($0.rawValue, .text((configuration.switches[$0] ?? .disabled).rawValue))
                })
            ),
            (
              "drain",
              .mapping([
                ("parallel", .integer(configuration.drain.parallel)),
                ("attempts", .integer(configuration.drain.attempts)),
              ])
            ),
          ] + Self.values(configuration.automatic))
      ),
    ])
  }

  private static func values(_ automatic: AutomaticSettings) -> [(String, Value)] {
    let limits = automatic.limits
    return [
      (
        "alerts",
        .mapping([
          ("names", .list(automatic.alertNames.map(Value.text))),
          ("namespaceLabel", .text(automatic.namespaceLabel)),
        ])
      ),
      (
        "limits",
        .mapping([
          ("aborts", .integer(limits.aborts)), ("window", .duration(limits.window)),
          ("perVM", .duration(limits.perVM)), ("sampleAge", .duration(limits.sampleAge)),
          ("guard", .duration(limits.guardTime)), ("partition", .integer(limits.partition)),
        ])
      ),
      ("rules", .list(automatic.rules.map(value))),
    ]
  }

  private static func value(_ rule: PolicyRule) -> Value {
    let match = rule.match
    let size = [("atLeast", match.atLeast), ("atMost", match.atMost)].compactMap { name, size in
      size.map { (name, Value.text(ByteSize.format($0))) }
    }
    let names = [
      ("backend", match.backends), ("namespace", match.namespaces), ("host", match.hosts), ("vm", match.vms),
      ("origin", match.origins.map(\.rawValue)),
    ].compactMap { name, texts in texts.isEmpty ? nil : (name, Value.list(texts.map(Value.text))) }
    let labels = match.labels.sorted { $0.key < $1.key }.map { name, values in
      (name, Value.list(values.map(Value.text)))
    }
    let chosen =
      names + (labels.isEmpty ? [] : [("labels", .mapping(labels))])
      + (size.isEmpty ? [] : [("size", .mapping(size))])
    let wishes = Trigger.ofPolicies.compactMap { trigger -> (String, Value)? in
      rule.wishes[trigger].map { wish in
        let word = Value.text(wish.action.rawValue)
        guard wish.patience > .zero else { return (trigger.rawValue, word) }
        return (trigger.rawValue, .mapping([("for", .duration(wish.patience)), ("do", word)]))
      }
    }
    return .mapping(
      [("name", .text(rule.name))] + (rule.reason.isEmpty ? [] : [("reason", .text(rule.reason))])
        + [
          ("match", chosen.isEmpty ? .unset("every migration") : .mapping(chosen)),
          ("when", .mapping(wishes)),
        ])
  }

  /// The configuration as YAML.
  public var description: String { root.lines(indentation: "").joined(separator: "\n") + "\n" }

  /// Encodes the configuration with the keys of the file; durations as Prometheus writes them.
  public func encode(to encoder: any Encoder) throws { try root.encode(to: encoder) }

  private static func value(_ backend: Configuration.Backend) -> Value {
    switch backend {
    case .qemu(let qemu):
      .mapping([
        (
          "qemu",
          .mapping([
            ("name", .text(qemu.name.rawValue)), ("sockets", .list(qemu.sockets.map(Value.text))),
            ("events", .boolean(qemu.events)), ("host", .text(qemu.host)),
            ("timeouts", .mapping(values(qemu.timeouts))),
          ])
        )
      ])
    case .libvirt(let libvirt):
      .mapping([
        (
          "libvirt",
          .mapping([
            ("name", .text(libvirt.name.rawValue)), ("uri", .text(libvirt.uri)),
            ("controlURI", .text(libvirt.controlURI)), ("peers", .list(libvirt.peers.map(value))),
            ("host", .text(libvirt.host)), ("dirtyRate", .boolean(libvirt.dirtyRate)),
            (
              "timeouts",
              .mapping(
                values(libvirt.timeouts)
                  + [("keepalive", value(libvirt.keepalive, unset: "what the host's qemu.conf says"))])
            ),
          ])
        )
      ])
    case .kubevirt(let kubevirt): .mapping([("kubevirt", value(kubevirt))])
    }
  }

  private static func value(_ peer: Configuration.Libvirt.Peer) -> Value {
    .mapping([
      ("name", .text(peer.name)), ("uri", .text(peer.uri)), ("migrateURI", .text(peer.migrateURI)),
      ("checkURI", .text(peer.checkURI)),
    ])
  }

  private static func value(_ kubevirt: Configuration.KubeVirt) -> Value {
    let cluster = kubevirt.cluster
    let prometheus = kubevirt.prometheus.map { prometheus -> Value in
      .mapping([
        ("url", .text(prometheus.url)), ("tokenFile", .text(prometheus.tokenFile)),
        ("caFile", .text(prometheus.caFile)),
      ])
    }
    return .mapping([
      ("name", .text(kubevirt.name.rawValue)),
      (
        "kubeconfig",
        cluster.kubeconfig.isEmpty
          ? .unset("none: the service account of the pod that Drover runs in") : .text(cluster.kubeconfig)
      ),
      (
        "context",
        cluster.context.isEmpty ? .unset("the current one of the kubeconfig") : .text(cluster.context)
      ),
      ("namespaces", .list(kubevirt.namespaces.map(Value.text))),
      ("virtHandler", .text(kubevirt.virtHandler.rawValue)),
      ("prometheus", prometheus ?? .unset("none is asked")),
      (
        "lease",
        kubevirt.lease.map { .mapping([("namespace", .text($0.namespace)), ("name", .text($0.name))]) }
          ?? .unset("none: this Drover is alone")
      ),
      (
        "timeouts",
        .mapping(
          values(kubevirt.timeouts)
            + [("keepalive", value(kubevirt.keepalive, unset: "libvirt's own figures, 5s and 5"))])
      ),
    ])
  }

  private static func value(_ rule: AccessRule) -> Value {
    let subject: (String, Value) =
      switch rule.subject {
      case .uid(let uid): ("uid", .integer(Int(uid)))
      case .tokenFile(let file): ("tokenFile", .text(file))
      case .user(let name): ("user", .text(name))
      case .certificate(let name): ("certificate", .text(name))
      case .kubernetes(let authority): ("kubernetes", .text(authority.backend.rawValue))
      }
    var audience: [(String, Value)] = []
    if case .kubernetes(let authority) = rule.subject, !authority.audience.isEmpty {
      audience = [("audience", .text(authority.audience))]
    }
    return .mapping(
      [subject] + audience + [("rights", .list(rule.rights.sorted().map { .text($0.rawValue) }))])
  }

  private static func values(_ timeouts: BudgetSettings) -> [(String, Value)] {
    [("completionPerGiB", .duration(timeouts.completionPerGiB)), ("progress", .duration(timeouts.progress))]
  }

  private static func value(_ keepalive: KeepaliveSettings?, unset words: String) -> Value {
    guard let keepalive else { return .unset(words) }
    return .mapping([("interval", .duration(keepalive.interval)), ("count", .integer(keepalive.count))])
  }
}

private enum Value: Encodable, Sendable {
  case mapping([(String, Value)])
  case list([Value])
  case text(String)
  case integer(Int)
  case number(Double)
  case boolean(Bool)
  /// What is not set and has no default value; said in a comment, and not encoded.
  case unset(String)

  static func duration(_ duration: Duration) -> Value { .text(PrometheusDuration.format(duration)) }

  func lines(indentation: String) -> [String] {
    switch self {
    case .mapping(let pairs):
      pairs.flatMap { key, value in
        if case .unset(let words) = value { return ["\(indentation)# \(key): \(words)"] }
        if let inline = value.inline { return ["\(indentation)\(key): \(inline)"] }
        return ["\(indentation)\(key):"] + value.lines(indentation: indentation + "  ")
      }
    case .list(let entries):
      entries.flatMap { entry in
        if let inline = entry.inline { return ["\(indentation)- \(inline)"] }
        let lines = entry.lines(indentation: indentation + "  ")
        return ["\(indentation)- \(lines.first?.dropFirst(indentation.utf8.count + 2) ?? "")"]
          + lines.dropFirst()
      }
    default: []
    }
  }

  /// The value where it needs no lines of its own.
  private var inline: String? {
    switch self {
    case .text(let text): isPlain(text) ? text : "\"\(escaped(text))\""
    case .integer(let number): "\(number)"
    case .number(let number): "\(number)"
    case .boolean(let boolean): "\(boolean)"
    case .list(let entries): entries.isEmpty ? "[]" : nil
    case .mapping, .unset: nil
    }
  }

  /// Words and durations need no quotes; what could be a number or a boolean has them.
  private func isPlain(_ text: String) -> Bool {
    ["blocked", "all", "none", "enabled", "disabled", "shadow", "observe"].contains(text)
      || Right(rawValue: text) != nil
      || (text.first?.isNumber == true && text.last?.isLetter == true
        && ((try? PrometheusDuration.parse(text)) != nil || (try? ByteSize.parse(text)) != nil))
  }

  private func escaped(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
  }

  func encode(to encoder: any Encoder) throws {
    switch self {
    case .mapping(let pairs):
      var container = encoder.container(keyedBy: Key.self)
      for (key, value) in pairs {
        if case .unset = value { continue }
        try container.encode(value, forKey: Key(stringValue: key))
      }
    case .list(let entries):
      var container = encoder.unkeyedContainer()
      for entry in entries { try container.encode(entry) }
    case .text(let text): try scalar(text, encoder)
    case .integer(let number): try scalar(number, encoder)
    case .number(let number): try scalar(number, encoder)
    case .boolean(let boolean): try scalar(boolean, encoder)
    case .unset: break
    }
  }

  private func scalar(_ value: some Encodable, _ encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(value)
  }

  private struct Key: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }
}
