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
  /// When each lost its network: for as long as it has not got it back, and for `span`.
  private var losses: [MigrationID: (at: Moment, name: String)] = [:]
  /// Losses that another Drover saw first, and until when they are known from there: no news once they are seen here.
  private var foreseen: [MigrationID: Moment] = [:]
  /// When the last hold ended: what was lost before does not begin another.
  private(set) var endedAt: Moment?
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
          if let until = foreseen.removeValue(forKey: id), now < until, losses[id] != nil { continue }
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
    let still = Set(lost.values.flatMap(\.keys))
    foreseen = foreseen.filter { now < $0.value }
    losses = losses.filter { id, loss in
      now - loss.at < Self.span || still.contains(id) || foreseen[id] != nil
    }
    let fresh = losses.values.filter { loss in
      now - loss.at < Self.span && endedAt.map { loss.at > $0 } ?? true
    }
    let quiet = lost.values.flatMap(\.values).max() ?? BudgetSettings().progress
    if let held = hold {
      hold?.lastChange = now
      hold?.quiet = max(held.quiet, quiet)
    } else if fresh.count >= limit {
      hold = Hold(since: now, lastChange: now, quiet: quiet, names: fresh.map(\.name).sorted())
    }
  }

  /// Ends the hold once nothing has changed for long enough.
  mutating func advance(to now: Moment) {
    guard let held = hold, now - held.lastChange >= held.quiet else { return }
    reset(at: now)
  }

  /// Takes up a hold of before a restart: from then on everything has to stay the same anew.
  mutating func restore(
    since: Moment, quiet: Duration = BudgetSettings().progress, names: [String] = [], at now: Moment
  ) {
    hold = Hold(since: since, lastChange: now, quiet: quiet, names: names)
  }

  /// Goes on with what there was before: its hold where there is none already, and no hold that it knows to be over.
  mutating func take(_ former: NetworkHold) {
    endedAt = [endedAt, former.endedAt].compactMap(\.self).max()
    if let held = hold, let endedAt, held.since <= endedAt { hold = nil }
    if hold == nil { hold = former.hold }
  }

  /// Takes what another Drover saw lost.
  mutating func take(_ seen: [MigrationID: Moment], at now: Moment) {
    for (id, at) in seen where losses[id] == nil {
      losses[id] = (at, id.description)
      foreseen[id] = now + Self.span
    }
  }

  /// When each lost its network.
  var lossTimes: [MigrationID: Moment] { losses.mapValues(\.at) }

  /// Ends the hold; it takes as many new losses to begin another.
  mutating func reset(at moment: Moment) {
    hold = nil
    endedAt = moment
  }

  /// Where nobody looks at its connections, bytes that stop while the source answers are taken for a lost network.
  private static func isLost(_ view: MigrationView) -> Bool {
    !view.isOver
      && (!view.networkLosses.isEmpty || view.network == nil && view.verdict.kind == .stalled)
  }
}
