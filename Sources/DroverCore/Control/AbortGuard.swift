/// A wish to end a migration.
public struct AbortOrder: Hashable, Sendable {
  /// Which one: an identity, never a VM's name alone.
  public var migration: MigrationID
  /// Who or what asks.
  public var trigger: Trigger
  /// Who asks, as far as is known.
  public var requester: String
  /// Whether what began it is to be ended, too.
  public var endsCause: Bool
  /// Whether it is to be done also where it cannot be recorded; for persons only.
  public var withoutJournal: Bool
  /// The record that this continues; nil for a new one.
  public var record: DecisionID?
  /// Whether a refusal is recorded and told; not where whoever asks does so itself.
  public var notesRefusal = true
  /// Why, for the decision's text; empty where the asking is reason enough.
  public var because = ""
  /// What decided, besides how the migration is.
  public var facts: [Decision.Fact] = []

  /// Wishes for an end.
  public init(
    _ migration: MigrationID, trigger: Trigger, requester: String, endsCause: Bool = false,
    withoutJournal: Bool = false
  ) {
    self.migration = migration
    self.trigger = trigger
    self.requester = requester
    self.endsCause = endsCause
    self.withoutJournal = withoutJournal
  }
}

/// What nobody may do to a migration, whoever asks: looked at right before anything is sent.
///
/// It reads the raw state at the source, never the phase that is shown.
public enum AbortGuard {
  /// Why a migration must not be ended now; nil where it may be.
  public static func refusal(of order: AbortOrder, _ live: LiveMigration) -> Refusal? {
    switch live.state {
    case .gone:
      Refusal(.finished, "it is not there any more: it has ended, or its VM has")
    case .finished(let outcome):
      Refusal(.finished, "it is over already: \(outcome.rawValue)")
    case .replaced(let other):
      Refusal(
        .replaced,
        "its VM has another migration now\(other.map { ", \($0)" } ?? ""); name that one if it is meant")
    case .unclear:
      Refusal(.unreadable, "it is in a state that this Drover does not know (\(live.word)); upgrade Drover")
    case .running(let phase):
      refusal(of: order, in: phase, live)
    }
  }

  private static func refusal(of order: AbortOrder, in phase: Phase, _ live: LiveMigration) -> Refusal? {
    if live.isEnding, !phase.isPostcopy, phase != .switchover {
      return Refusal(.aborting, "somebody has asked for its end already (\(live.word)); wait for it")
    }
    return switch phase {
    case .postcopy, .postcopyPaused:
      Refusal(
        .postcopy,
        "it is in post-copy (\(live.word)): the guest runs at the target with part of its memory still at the source, "
          + "and would be lost; let it end, or recover it")
    case .switchover:
      Refusal(.switchover, "the guest is being switched over (\(live.word)); a moment later it is over")
    case .aborting:
      Refusal(.aborting, "an abort was sent already (\(live.word)); wait for its end")
    case .succeeded, .failed, .aborted:
      Refusal(.finished, "it is over already: \(phase.rawValue)")
    case .guestSuspended where order.trigger != .person:
      Refusal(
        .suspended, "its guest is held paused to let it end (\(live.word)); only a person may end it now")
    case .pending, .scheduling, .preparing, .precopy, .guestSuspended:
      live.comesBack.flatMap { refusal(of: order, whereItComesBack: $0) }
    }
  }

  private static func refusal(of order: AbortOrder, whereItComesBack cause: ComesBack) -> Refusal? {
    switch cause {
    case .drainTaint(let node):
      Refusal(
        .drainTaint,
        "node \(node) carries the taint of a drain, so that KubeVirt begins another migration at once; "
          + "end the drain first: take the taint from the node, or let the drain go on")
    case .harvesterUpgrade(let node):
      Refusal(
        .harvesterUpgrade,
        "a Harvester upgrade empties node \(node), and shuts a VM down whose migration did not succeed; let it go on"
      )
    case .harvesterMaintenance(let node):
      Refusal(
        .harvesterMaintenance,
        "Harvester's maintenance mode empties node \(node), and evicts the VM again; "
          + "end the maintenance mode of \(node) in Harvester first, or let it go on")
    case .evacuation(let node):
      order.endsCause && order.trigger == .person
        ? nil
        : Refusal(
          .comesBack,
          "its VM was evicted from node \(node), so that KubeVirt begins another migration; "
            + "end it with its cause: drover abort --and-its-cause \(order.migration)")
    case .workloadUpdate:
      Refusal(
        .comesBack,
        "KubeVirt brings the VM up to date and begins another migration; first take LiveMigrate out of "
          + "spec.workloadUpdateStrategy of the KubeVirt object")
    case .descheduler:
      order.endsCause && order.trigger == .person
        ? nil
        : Refusal(
          .comesBack,
          "the descheduler evicted its VM, so that KubeVirt begins another migration; "
            + "end it with its cause: drover abort --and-its-cause \(order.migration)")
    }
  }
}
