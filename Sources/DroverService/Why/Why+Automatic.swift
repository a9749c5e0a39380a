internal import DroverCore

extension Why {
  /// Which rule governs a migration, what it does, and why automatic aborts wait.
  func governed(_ view: MigrationView) -> [String] {
    guard let automatic else { return [] }
    let subject = PolicySubject(view)
    var lines: [String] = []
    if let rule = automatic.rule(for: subject) {
      let wishes = Trigger.ofPolicies.compactMap { trigger -> String? in
        guard let wish = rule.wishes[trigger] else { return nil }
        let (action, cap) = automatic.action(wish, trigger, subject)
        let patience = wish.patience > .zero ? " after \(Words.duration(wish.patience.inSeconds))" : ""
        let held =
          switch cap {
          case .policySwitch: " (the switch policies allows no more)"
          case .kubevirt: " (KubeVirt enforces it)"
          case nil: ""
          }
        return "\(Words.plain(trigger.rawValue)): \(action.rawValue)\(patience)\(held)"
      }
      let reason = rule.reason.isEmpty ? "" : " (\(rule.reason))"
      lines.append("rule \(rule.name)\(reason) governs it: \(wishes.joined(separator: ", "))")
    }
    if automatic.policies == .abort || automatic.alerts == .abort {
      lines += HoldReason.allCases.filter(holds.contains).map(Self.words)
    }
    return lines
  }

  private static func words(_ hold: HoldReason) -> String {
    let reset = "; drover decisions --reset-hold ends that"
    return switch hold {
    case .breaker: "AUTOMATIC ABORTS HOLD: there were as many as are allowed at a time\(reset)"
    case .partition: "AUTOMATIC ABORTS HOLD: many migrations lost their network at once\(reset)"
    case .journal: "AUTOMATIC ABORTS HOLD: nothing can be recorded"
    case .takeover: "AUTOMATIC ABORTS HOLD: what another Drover did until now is not known; see the log"
    }
  }
}
