internal import DroverCore

/// Which rule of a configuration would govern which migration of a running Drover.
public struct GoverningRules: Sendable {
  private let automatic: AutomaticSettings

  /// Takes the rules of a configuration.
  public init(_ configuration: Configuration) { automatic = configuration.automatic }

  /// A line for each migration that runs, and what the rule would do.
  public func lines(_ items: [MigrationItem]) -> [String] {
    let running = items.filter { $0.ending == nil }
    guard !running.isEmpty else { return ["No migration runs that a rule could govern."] }
    return ["Of the migrations that run now:"] + running.map(line)
  }

  private func line(_ item: MigrationItem) -> String {
    let scope = item.namespace.map(Scope.namespace) ?? .host(item.host ?? "")
    let subject = PolicySubject(
      vm: VMRef(backend: BackendName(rawValue: item.backend), scope: scope, name: item.vm),
      origin: Origin(rawValue: item.origin) ?? .unknown, size: item.sizeBytes.map { Bytes($0) },
      labels: item.labels)
    let name = printable("  \(item.namespace ?? item.host ?? "")/\(item.vm), \(item.id): ")
    // A drover tells the labels that its own configuration names.
    for rule in automatic.rules where item.namespace != nil {
      let untold = rule.match.labels.keys.filter { !item.toldLabels.contains($0) }.sorted()
      var match = rule.match
      for label in untold { match.labels[label] = nil }
      guard match.matches(subject) else { continue }
      guard !untold.isEmpty else { break }
      return
        "\(name)rule \(printable(rule.name)), or one after it: the drover that runs does not tell the VM's "
        + "\(untold.count == 1 ? "label" : "labels") \(printable(untold.joined(separator: ", ")))"
    }
    guard let rule = automatic.rule(for: subject) else { return "\(name)no rule" }
    let wishes = Trigger.ofPolicies.compactMap { trigger -> String? in
      rule.wishes[trigger].map { wish in
        let (action, cap) = automatic.action(wish, trigger, subject)
        let held =
          switch cap {
          case .policySwitch: " (the switch policies allows no more)"
          case .kubevirt: " (KubeVirt enforces it)"
          case nil: ""
          }
        return "\(trigger.rawValue) \(action.rawValue)\(held)"
      }
    }
    return "\(name)rule \(printable(rule.name)): \(wishes.joined(separator: ", "))"
  }
}
