internal import DroverCore

extension Why {
  /// Which limits of a migration come next, the nearest first, and what its rule does then.
  func limits(of view: MigrationView) -> [WhyItem.Limit] {
    let outlooks = outlook(view)
    var limits: [WhyItem.Limit] = []
    func add(_ name: String, _ deadline: Moment?, _ then: String) {
      guard let deadline else { return }
      limits.append(
        .init(
          name: name, at: Timestamp(deadline, epochOffset), inSeconds: (deadline - now).inSeconds, then: then)
      )
    }
    func then(_ trigger: Trigger, _ enforcer: Enforcer?, _ action: DeadlineAction) -> String {
      let plain = enforcer.map { Self.consequence($0, action) } ?? ""
      // Drover ends its own drain's migrations whatever a rule says.
      guard enforcer != .kubevirt, view.facts.origin != .drover,
        let outlook = outlooks.first(where: { $0.trigger == trigger })
      else { return plain }
      let later = outlook.patience > .zero ? " \(Words.duration(outlook.patience.inSeconds)) later" : ""
      return words(
        outlook, done: "Drover ends it\(later), and the guest stays at the source",
        wouldBe: "rule \(outlook.rule) would end it\(later)",
        noted: "\(plain); rule \(outlook.rule) only notes it")
    }
    add(
      "completion", view.completionDeadline,
      then(.completionTimeout, view.completion?.enforcedBy, view.completion?.action ?? .none))
    add(
      "progress", view.progressDeadline, then(.progressTimeout, view.progressBudget?.enforcedBy, .abort))
    if !view.phase.isPostcopy {
      add("keepalive", view.keepalive?.deadline, "libvirt ends it, and the guest stays at the source")
    }
    for outlook in outlooks where outlook.holds {
      guard let still = Self.still(outlook.trigger), outlook.action > .observe else { continue }
      add(
        "rule \(outlook.rule)", outlook.at,
        words(outlook, done: "ends it if it \(still)", wouldBe: "would end it if it \(still)", noted: ""))
    }
    return limits.sorted { $0.inSeconds < $1.inSeconds }
  }

  /// What a rule waits for that has no limit of its own here; nil for what has one.
  private static func still(_ trigger: Trigger) -> String? {
    switch trigger {
    case .notConverging: "still does not converge"
    case .networkLost: "still has lost a network"
    case .completionTimeout, .progressTimeout, .keepalive, .postcopy, .person, .alert: nil
    }
  }

  private func words(
    _ outlook: AutomaticOutlook, done: String, wouldBe: String, noted: String
  ) -> String {
    if outlook.action == .observe { return noted }
    let isShadow = outlook.action == .shadow
    if let held = held(outlook) { return isShadow ? "held (in the shadow): \(held)" : "held: \(held)" }
    guard isShadow else { return done }
    return outlook.isShown
      ? "nothing is sent: rule \(outlook.rule) is in the shadow, and has shown that it would have ended it"
      : "\(wouldBe), but is in the shadow: nothing is sent"
  }

  private func held(_ outlook: AutomaticOutlook) -> String? {
    if holds.contains(.takeover) { return "what another Drover did until now is not known; see the log" }
    if holds.contains(.journal) { return "nothing can be recorded now" }
    guard let obstacle = outlook.obstacle else { return nil }
    guard let end = outlook.obstacleEnds else { return obstacle.text }
    let least = obstacle.reason == .hold ? " at the earliest" : ""
    return "until \(Timestamp(end, epochOffset).time) UTC\(least): \(obstacle.text)"
  }

  private static func consequence(_ enforcer: Enforcer, _ action: DeadlineAction) -> String {
    let who: String
    switch enforcer {
    case .none: return "nothing happens by itself"
    case .kubevirt: who = "KubeVirt"
    case .drover: who = "Drover"
    }
    return switch action {
    case .abort: "\(who) ends it, and the guest stays at the source"
    case .postcopy: "\(who) switches to post-copy"
    case .pause: "\(who) pauses the guest until the rest is sent"
    case .none: "nothing happens by itself"
    }
  }
}
