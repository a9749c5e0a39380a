@testable import DroverCore

/// What decides, with everything armed, and a fleet that a test shows it.
struct AutomaticScene {
  var aborts = AutomaticAborts()
  var now = seconds(10_000)
  private var revision: UInt64 = 0

  /// Every trigger that may abort does, at once.
  static let armed = PolicyRule(
    name: "all",
    wishes: [
      .completionTimeout: PolicyWish(.abort), .progressTimeout: PolicyWish(.abort),
      .notConverging: PolicyWish(.abort), .keepalive: PolicyWish(.shadow), .networkLost: PolicyWish(.shadow),
      .postcopy: PolicyWish(.shadow),
    ])

  /// - Parameters:
  ///   - history: What is in the journal.
  ///   - holds: What another Drover has told.
  ///   - start: When this one begins to decide, in seconds.
  init(
    _ change: (inout AutomaticSettings) -> Void = { _ in }, history: [Decision] = [],
    holds: SharedHolds = SharedHolds(), at start: Double = 10_000
  ) {
    now = seconds(start)
    var settings = AutomaticSettings()
    settings.policies = .abort
    settings.alerts = .abort
    settings.rules = [Self.armed]
    settings.alertNames.append("GuestIsSlow")
    change(&settings)
    aborts.apply(settings)
    aborts.restore(history, sharing: holds, EpochOffset(milliseconds: 0), at: now)
  }

  /// There is a second back end, which shows nothing.
  static let second = BackendName(rawValue: "rack2")

  /// Changes what is in force.
  mutating func set(_ change: (inout AutomaticSettings) -> Void) {
    var settings = aborts.settings
    change(&settings)
    aborts.apply(settings)
  }

  /// What others may read of its holds.
  var shared: SharedHolds { aborts.holdState.shared(EpochOffset(milliseconds: 0), at: now) }

  func snapshot(_ views: [MigrationView], isUp: Bool = true) -> FleetSnapshot {
    var snapshot = FleetSnapshot()
    snapshot.groups = [MigrationGroup(revision: revision, views: views)]
    snapshot.backends = [home, Self.second, prod].map { BackendView(descriptor($0)) }
    for index in snapshot.backends.indices {
      snapshot.backends[index].hasAttempted = true
      snapshot.backends[index].isUp = isUp
    }
    return snapshot
  }

  /// Shows a fleet, and what comes of it.
  @discardableResult
  mutating func see(_ views: [MigrationView], after: Double = 0) -> [AutomaticStep] {
    now = now + .milliseconds(Int64(after * 1000))
    revision += 1
    return aborts.step(snapshot(views), at: now)
  }

  /// Shows it, carries out what is decided, and tells the decisions in words.
  mutating func decide(_ views: [MigrationView], after: Double = 0) -> [String] {
    see(views, after: after).compactMap { step in
      guard case .decision(let decision) = step else { return nil }
      settle(decision)
      return decision.words
    }
  }

  mutating func settle(_ decision: AutomaticDecision) {
    aborts.settle(
      decision, decision.kind == .acted ? .acted(DecisionID(rawValue: 1)) : .noted(DecisionID(rawValue: 1)),
      at: now)
  }

  /// Asks as an alert, carries out what is decided, and tells it in words.
  mutating func ask(_ alert: AlertWish, _ views: [MigrationView], isUp: Bool = true) -> String {
    switch aborts.ask(alert, snapshot(views, isUp: isUp), at: now) {
    case .ignored: return "ignored"
    case .underWay: return "under way"
    case .foreign: return "foreign"
    case .known(let kind, let refusal, _): return "again \(kind.rawValue) \(refusal?.reason.rawValue ?? "-")"
    case .decision(let decision):
      settle(decision)
      return decision.words
    }
  }

  /// A migration whose remaining bytes have not fallen for so many seconds, sampled now.
  func stuck(
    _ n: Int = 1, for length: Double = 151, vm: String? = nil,
    _ change: (inout MigrationView) -> Void = { _ in }
  ) -> MigrationView {
    view(n, vm: vm) { view in
      view.progress = ProgressClocks(
        lastSent: now, lastDrop: now - .milliseconds(Int64(length * 1000)), lastBest: now, best: 1000)
      change(&view)
    }
  }

  /// A healthy one.
  func view(_ n: Int = 1, vm: String? = nil, _ change: (inout MigrationView) -> Void = { _ in })
    -> MigrationView
  {
    var told = observation(id: id(n), vm: vmRef(vm ?? "vm\(n)"), domain: domain(n), at: now.inSeconds)
    told.startedAt = now - .seconds(300)
    var view = MigrationView(first: told)
    view.sample = sample(sent: 5000, remaining: 1000, pass: 3)
    view.progress = ProgressClocks(lastSent: now, lastDrop: now, lastBest: now, best: 1000)
    view.progressBudget = ProgressBudget(timeout: .seconds(150))
    view.progressDeadline = now
    view.completion = CompletionBudget(perGiB: .seconds(800), size: .gibibytes(8))
    view.completionDeadline = view.startedAt + .seconds(6400)
    view.sampledAt = now
    change(&view)
    return view
  }
}

extension AutomaticDecision {
  /// `acted progress_timeout`, `held progress_timeout old_sample`.
  var words: String {
    ([kind.rawValue, key.trigger.rawValue, refusal?.reason.rawValue].compactMap(\.self)
      + (isShadow ? ["shadow"] : [])).joined(separator: " ")
  }
}

extension Moment {
  var inSeconds: Double { Double(milliseconds) / 1000 }
}

/// Makes it one whose network is lost.
func lost(_ view: inout MigrationView) {
  view.networkLosses = [NetworkLoss(network: .management, silence: .seconds(8), limit: .seconds(7))]
  view.verdict = Verdict(.networkLost, .networkSilent(view.networkLosses, keepaliveDeadline: nil))
}

func endless(_ view: inout MigrationView) {
  view.verdict = Verdict(
    .notConverging, .passesDoNotShrink(passes: 3, best: 1000, dirty: 100, transfer: 100))
}

/// An alert that may ask for the end of the n-th migration.
func alert(_ n: Int = 1, startedAt: Int64 = 1000, _ change: (inout [String: String]) -> Void = { _ in })
  -> AlertWish
{
  var labels = [
    "alertname": "GuestIsSlow", "drover_action": "abort", "backend": home.rawValue,
    "host": "host-a", "vm": "vm\(n)", "migration": id(n).description,
  ]
  change(&labels)
  return AlertWish(labels: labels, isFiring: true, startedAt: startedAt, fingerprint: "f\(n)")
}
