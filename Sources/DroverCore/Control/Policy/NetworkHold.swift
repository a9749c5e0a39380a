/// Watches for a partition: many migrations that lose their network at about the same time are no reason to end them.
public struct NetworkHold: Sendable {
  /// Migrations that lose their network within this time do so together.
  static let span = Duration.seconds(60)
  /// A partition that is waited out.
  struct Hold: Hashable, Sendable {
    var since: Moment
    /// When a migration last lost its network, had it again, or ended.
    var lastChange: Moment
    /// For how long nothing may change until the hold ends: a progress time-out.
    var quiet: Duration
    /// The VMs that it began with.
    var names: [String]
  }

  private var lost: [Int: [MigrationID: Duration]] = [:]
  /// When each lost its network, for as long as `span`.
  private var losses: [MigrationID: (at: Moment, name: String)] = [:]
  /// Those that ended for want of a network, and have been counted.
  private var ended: [Int: Set<MigrationID>] = [:]
  private(set) var hold: Hold?

  /// Looks at a group of migrations of which something has changed.
  mutating func look(_ group: Int, _ views: [MigrationView], limit: Int, at now: Moment) {
    var nowLost: [MigrationID: Duration] = [:]
    var nowEnded: Set<MigrationID> = []
    var isChanged = false
    let (wasLost, wasEnded) = (lost[group] ?? [:], ended[group] ?? [])
    for view in views {
      let id = view.identity.id
      if Self.isLost(view) {
        nowLost[id] = view.progressBudget?.timeout ?? BudgetSettings().progress
        if wasLost[id] == nil {
          losses[id] = (now, view.identity.vm.name)
          isChanged = true
        }
      } else if let ending = view.ending, ending.cause == .keepalive || ending.cause == .connectionLost {
        nowEnded.insert(id)
        if !wasEnded.contains(id), wasLost[id] == nil, losses[id] == nil, now - ending.endedAt < Self.span {
          losses[id] = (now, view.identity.vm.name)
          isChanged = true
        }
      }
    }
    isChanged = isChanged || wasLost.keys.contains { nowLost[$0] == nil }
    lost[group] = nowLost.isEmpty ? nil : nowLost
    ended[group] = nowEnded.isEmpty ? nil : nowEnded
    guard isChanged else { return }
    losses = losses.filter { now - $0.value.at < Self.span }
    let quiet = lost.values.flatMap(\.values).max() ?? BudgetSettings().progress
    if let held = hold {
      hold?.lastChange = now
      hold?.quiet = max(held.quiet, quiet)
    } else if losses.count >= limit {
      hold = Hold(since: now, lastChange: now, quiet: quiet, names: losses.values.map(\.name).sorted())
    }
  }

  /// Ends the hold once nothing has changed for long enough.
  mutating func advance(to now: Moment) {
    guard let held = hold, now - held.lastChange >= held.quiet else { return }
    reset()
  }

  /// Takes up a hold of before a restart: from then on everything has to stay the same anew.
  mutating func restore(since: Moment, at now: Moment) {
    hold = Hold(since: since, lastChange: now, quiet: BudgetSettings().progress, names: [])
  }

  /// Goes on with a hold of before, unless there is one already.
  mutating func take(_ former: NetworkHold) { if hold == nil { hold = former.hold } }

  /// Ends the hold; it takes as many new losses to begin another.
  mutating func reset() {
    hold = nil
    losses = [:]
  }

  /// Where nobody looks at its connections, bytes that stop while the source answers are taken for a lost network.
  private static func isLost(_ view: MigrationView) -> Bool {
    !view.isOver
      && (!view.networkLosses.isEmpty || view.network == nil && view.verdict.kind == .stalled)
  }
}
