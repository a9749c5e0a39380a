import Testing

@testable import DroverCore

@Suite("A migration of a cluster")
struct ClusterMigrationTests {
  private func first(_ tracker: MigrationTracker) throws -> MigrationView {
    try #require(tracker.snapshot().first)
  }

  @Test("that waits is pending at its node, and leaves it no earlier than it is scheduled")
  func waiting() throws {
    var tracker = MigrationTracker.withCluster()
    let wait = PendingWait(reason: .queueNode, position: 3, text: "2 of 2 slots of node-1 are taken")
    let waits = clusterSight(at: 6, phase: .pending, started: nil, target: "") { $0.waiting = wait }
    #expect(tracker.take(waits, at: 6) == ["began"])
    #expect(try first(tracker).waiting == wait)
    #expect(try first(tracker).createdAt == seconds(5))
    #expect(tracker.counts(at: "node-1") == [0, 0, 1, 0, 0])
    #expect(
      tracker.take(clusterSight(at: 8, phase: .scheduling, started: nil, target: ""), at: 8)
        == ["pending>scheduling"])
    #expect(try first(tracker).waiting == nil)
    #expect(tracker.counts(at: "node-1") == [1, 0, 0, 0, 0])
    tracker.take(clusterEnd(.failed, .unschedulable, at: 300, started: nil) { $0.waiting = wait }, at: 300)
    #expect(try first(tracker).waiting == nil)
    #expect(tracker.counts(at: "node-1") == [0, 0, 0, 1, 0])
  }

  @Test("arrives at its target, which nobody else tells of, as soon as it does not wait any more")
  func inbound() {
    var tracker = MigrationTracker.withCluster()
    tracker.take(clusterSight(at: 6, phase: .pending, started: nil), at: 6)
    #expect(tracker.counts(at: "node-2") == nil)
    tracker.take(clusterSight(at: 7, phase: .preparing, started: nil), at: 7)
    #expect(tracker.counts(at: "node-2") == [0, 1, 0, 0, 0])
    tracker.take(clusterSight(at: 8, phase: .preparing, started: nil, target: "node-3"), at: 8)
    #expect(tracker.counts(at: "node-2") == [0, 0, 0, 0, 0])
    #expect(tracker.counts(at: "node-3") == [0, 1, 0, 0, 0])
    tracker.take(clusterEnd(.failed, .targetLost, at: 20) { $0.facts.target = "" }, at: 20)
    #expect(tracker.counts(at: "node-3") == [0, 0, 0, 0, 1])
    #expect(tracker.counts(at: "node-1") == [0, 0, 0, 1, 0])
  }

  @Test("of a host arrives where that host says so, and fails outbound only")
  func hosts() {
    var tracker = MigrationTracker.withHome()
    tracker.take(sight(at: 11), at: 11)
    #expect(tracker.counts(at: "host-b") == nil)
    tracker.take(end(.failed, .targetLost, at: 12), at: 12)
    #expect(tracker.counts(at: "host-b") == nil)
    #expect(tracker.counts(at: "host-a") == [0, 0, 0, 1, 0])
  }

  @Test("has started once its source says so, and is counted as started once the copy begins")
  func start() throws {
    var tracker = MigrationTracker.withCluster()
    for (at, phase) in [(6.0, Phase.pending), (7, .scheduling), (8, .preparing)] {
      tracker.take(clusterSight(at: at, phase: phase, started: nil), at: at)
    }
    #expect(try !first(tracker).hasStarted)
    #expect(try first(tracker).startedAt == seconds(5))
    #expect(tracker.snapshot().totals.sums == [0, 0, 0, 0])
    tracker.take(clusterSight(at: 10, phase: .preparing, started: 9.5), at: 10)
    #expect(try first(tracker).hasStarted)
    #expect(try first(tracker).startedAt == seconds(9.5))
    #expect(tracker.snapshot().totals.sums == [0, 0, 0, 0])
    tracker.take(clusterSight(at: 11, started: 9.5), at: 11)
    #expect(tracker.snapshot().totals.sums == [1, 0, 0, 0])
    // A start is told once.
    tracker.take(clusterSight(at: 12, started: nil), at: 12)
    #expect(try first(tracker).hasStarted)
    #expect(try first(tracker).startedAt == seconds(9.5))
    tracker.take(clusterEnd(.succeeded, at: 30, started: 9.5), at: 30)
    #expect(try first(tracker).duration == .milliseconds(20_500))
    #expect(tracker.snapshot().totals.sums == [1, 1, 0, 0])
  }

  @Test("that is aborted before its start never started, and took no time")
  func neverStarted() throws {
    var tracker = MigrationTracker.withCluster()
    tracker.take(clusterSight(at: 6, phase: .pending, started: nil), at: 6)
    tracker.take(clusterSight(at: 7, phase: .aborting, started: nil), at: 7)
    #expect(try first(tracker).completionDeadline == nil)
    tracker.take(clusterEnd(.aborted, .userAbort, at: 8, started: nil), at: 8)
    #expect(try first(tracker).duration == nil)
    #expect(tracker.snapshot().totals.sums == [0, 0, 0, 1])
    #expect(tracker.snapshot().totals.outcomes.allSatisfy { $0.duration.count == 0 })
  }

  @Test(
    "that waited when Drover started is counted when it starts; one that had started is not",
    arguments: [(nil, Phase.pending, 1), (nil, .aborting, 1), (50, .precopy, 0), (101, .precopy, 1)]
      as [(Double?, Phase, UInt64)])
  func earlier(started: Double?, phase: Phase, count: UInt64) {
    var tracker = MigrationTracker.withCluster(startedAt: 100)
    tracker.take(clusterSight(at: 102, phase: phase, created: 40, started: started), at: 102)
    tracker.take(clusterSight(at: 110, created: 40, started: started ?? 105), at: 110)
    #expect(tracker.snapshot().totals.sums == [count, 0, 0, 0])
  }

  @Test("entered its phase when its source says so")
  func phaseEntered() throws {
    var tracker = MigrationTracker.withCluster()
    tracker.take(
      clusterSight(at: 9, phase: .pending, started: nil) { $0.phaseEnteredAt = seconds(5) }, at: 9)
    #expect(try first(tracker).phaseEnteredAt == seconds(5))
    tracker.take(
      clusterSight(at: 12, phase: .scheduling, started: nil) { $0.phaseEnteredAt = seconds(11) }, at: 12)
    #expect(try first(tracker).phaseEnteredAt == seconds(11))
    tracker.take(clusterSight(at: 15, phase: .preparing, started: nil), at: 15)
    #expect(try first(tracker).phaseEnteredAt == seconds(15))
  }

  @Test("keeps the facts that are not told any more, and shows the product's word as it is now")
  func facts() throws {
    var tracker = MigrationTracker.withCluster()
    let told = clusterSight(at: 6, phase: .pending, started: nil) { told in
      told.facts.requestedTarget = "node-9"
      told.facts.network = "storage-net"
      told.facts.policy = "slow-ones"
      told.statusWord = "Pending migration"
    }
    tracker.take(told, at: 6)
    #expect(try first(tracker).statusWord == "Pending migration")
    tracker.take(
      clusterSight(at: 7, phase: .scheduling, started: nil) { told in
        told.facts.object = ""
        told.createdAt = nil
      }, at: 7)
    let view = try first(tracker)
    #expect(view.facts.object == "db-x7k2p" && view.facts.requestedTarget == "node-9")
    #expect(view.facts.network == "storage-net" && view.facts.policy == "slow-ones")
    #expect(view.createdAt == seconds(5) && view.statusWord.isEmpty)
  }

  @Test(
    "that was over at the first look counts nothing, however late it ended, but is a failure of its VM",
    arguments: [(Outcome.failed, 1), (.aborted, 0), (.succeeded, 0)] as [(Outcome, UInt64)])
  func history(outcome: Outcome, failures: UInt64) {
    var tracker = MigrationTracker.withCluster(startedAt: 100)
    let message = clusterEnd(outcome, at: 103, ended: 102) { $0.isHistory = true }
    #expect(tracker.take(message, at: 103) == ["found \(outcome.rawValue)"])
    let snapshot = tracker.snapshot()
    #expect(snapshot.totals.sums == [0, 0, 0, 0] && snapshot.trackedCount == 0)
    #expect(snapshot.totals.outcomes.allSatisfy { $0.duration.count == 0 && $0.sentBytes.count == 0 })
    #expect(snapshot.vms.map(\.consecutiveFailures) == [failures])
    #expect(tracker.counts(at: "node-1") == [0, 0, 0, 0, 0])
    #expect(tracker.counts(at: "node-2") == nil)
  }

  @Test("of which a success is history ends the failures before it")
  func historyInOrder() {
    var tracker = MigrationTracker.withCluster(startedAt: 100)
    for (n, outcome) in [Outcome.failed, .failed, .succeeded, .failed].enumerated() {
      let message = clusterEnd(outcome, at: 101, ended: Double(10 * n)) { told in
        told.id = id(n)
        told.isHistory = true
      }
      tracker.take(message, at: 101)
    }
    #expect(tracker.snapshot().vms.map(\.consecutiveFailures) == [1])
  }

  @Test("that is tracked ends as any other, though its back end looks for the first time again")
  func historyOfTracked() {
    var tracker = MigrationTracker.withCluster()
    tracker.take(clusterSight(at: 11), at: 11)
    tracker.take(clusterEnd(.failed, .other, at: 20) { $0.isHistory = true }, at: 20)
    #expect(tracker.snapshot().totals.sums == [1, 0, 1, 0])
  }
}

@Suite("Time-outs that the watched system enforces")
struct OwnBudgetTests {
  private static let completion = CompletionBudget(
    timeout: .seconds(1350), setBy: .versionDefault, enforcedBy: .kubevirt, action: .abort,
    uncertainty: .seconds(150))
  private static let progress = ProgressBudget(
    timeout: .seconds(150), setBy: .kubevirt, enforcedBy: .kubevirt, countsSent: true)

  private func view(
    phase: Phase = .precopy, started: Double? = 10, _ budgets: OwnBudgets?
  ) throws -> MigrationView {
    var tracker = MigrationTracker.withCluster()
    tracker.take(clusterSight(at: 11, phase: phase, started: started) { $0.budgets = budgets }, at: 11)
    return try #require(tracker.snapshot().first)
  }

  @Test("stand before those that are configured")
  func override() throws {
    let view = try view(OwnBudgets(completion: Self.completion, progress: Self.progress))
    #expect(view.completion == Self.completion)
    #expect(view.completion?.uncertainty == .seconds(150))
    #expect(view.completionDeadline == seconds(1360))
    #expect(view.progressBudget == Self.progress)
    let configured = try self.view(nil)
    #expect(configured.completion?.timeout == .seconds(6400))
    #expect(configured.completion?.uncertainty == .zero)
    #expect(configured.progressBudget?.setBy == .config)
  }

  @Test("are none where the system has none")
  func none() throws {
    let view = try view(OwnBudgets(completion: nil, progress: nil))
    #expect(view.completion == nil && view.completionDeadline == nil)
    #expect(view.progressBudget == nil && view.progressDeadline == nil)
    #expect(
      CompletionBudget(timeout: .zero, setBy: .policy, enforcedBy: .kubevirt, action: .abort) == nil)
    #expect(
      ProgressBudget(timeout: .zero, setBy: .policy, enforcedBy: .kubevirt, countsSent: true) == nil)
  }

  @Test("have no deadline before the start, and none in post-copy")
  func noDeadline() throws {
    let budgets = OwnBudgets(completion: Self.completion, progress: Self.progress)
    let unbegun = try view(phase: .preparing, started: nil, budgets)
    #expect(unbegun.completion == Self.completion && unbegun.completionDeadline == nil)
    #expect(unbegun.progressBudget == Self.progress && unbegun.progressDeadline == nil)
    #expect(try view(phase: .pending, started: nil, budgets).completion == nil)
    #expect(try view(phase: .postcopy, budgets).completionDeadline == nil)
  }

  @Test("hold when other figures are configured, and change with what the system says")
  func change() throws {
    var tracker = MigrationTracker.withCluster()
    let own = OwnBudgets(completion: Self.completion, progress: nil)
    tracker.take(clusterSight(at: 11) { $0.budgets = own }, at: 11)
    tracker.apply(
      MigrationTracker.Settings(), budgets: [prod: BudgetSettings(completionPerGiB: .seconds(1))],
      at: seconds(12))
    #expect(tracker.snapshot().first?.completionDeadline == seconds(1360))
    var doubled = Self.completion
    doubled?.timeout = .seconds(2700)
    tracker.take(
      clusterSight(at: 13, phase: .guestSuspended) {
        $0.budgets = OwnBudgets(completion: doubled, progress: nil)
      }, at: 13)
    #expect(tracker.snapshot().first?.completionDeadline == seconds(2710))
  }

  @Test(
    "may count bytes that were sent as progress, too", arguments: [(true, 170.0), (false, 160)])
  func countsSent(counts: Bool, deadline: Double) throws {
    var budget = Self.progress
    budget?.countsSent = counts
    let budgets = OwnBudgets(completion: nil, progress: budget)
    var tracker = MigrationTracker.withCluster()
    for (n, remaining) in [9000, 8000, 8500, 8600].enumerated() {
      let at = 10 + 5 * Double(n)
      tracker.take(
        clusterSample(at: at, read: at, sent: UInt64(1000 * (n + 1)), remaining: UInt64(remaining)) {
          $0.budgets = budgets
        }, at: at)
    }
    // The last fall was seen at 15 and may have been at 10; the last bytes at 25, sent since 20.
    let view = try #require(tracker.snapshot().first)
    #expect(view.progressDeadline == seconds(deadline))
    #expect(view.progress?.dropUncertainty == .seconds(5))
    #expect(view.progress?.best == 8000)
  }
}
