import Testing

@testable import DroverCore

@Suite("Retention, limit and settings")
struct MigrationRetentionTests {
  @Test("At the limit the oldest ended gives way; what finds no place is counted, in the totals too")
  func limit() {
    var tracker = MigrationTracker.withHome(
      settings: MigrationTracker.Settings(maxMigrations: 2))
    tracker.take(sight(at: 11, id: id(1)), at: 11)
    tracker.take(sight(at: 11, id: id(2)), at: 11)
    #expect(tracker.take(sight(at: 12, id: id(3)), at: 12) == ["dropped \(id(3))"])
    #expect(tracker.take(sight(at: 13, id: id(3)), at: 13) == [])
    #expect(tracker.snapshot().droppedCount == 1)
    #expect(tracker.snapshot().totals.sums == [3, 0, 0, 0])
    tracker.take(end(.succeeded, at: 14, id: id(3)), at: 14)
    tracker.take(end(.succeeded, at: 14, id: id(3)), at: 14)
    #expect(tracker.snapshot().totals.sums == [3, 1, 0, 0])
    #expect(tracker.snapshot().droppedCount == 1)
    // Room again: the ended one gives way, and what was dropped before is not counted as started twice.
    #expect(tracker.take(sight(at: 15, id: id(4)), at: 15) == ["dropped \(id(4))"])
    tracker.take(end(.failed, at: 16, id: id(1)), at: 16)
    #expect(tracker.take(sight(at: 17, id: id(4)), at: 17) == ["began"])
    #expect(
      tracker.snapshot().migrations.map(\.identity.id).sorted { $0.description < $1.description } == [
        id(2), id(4),
      ])
    #expect(tracker.snapshot().totals.sums == [4, 1, 1, 0])
    #expect(tracker.snapshot().trackedCount == 2)
  }

  @Test("A lower limit takes effect at the next migration")
  func lowerLimit() {
    var tracker = MigrationTracker.withHome()
    for n in 1...9 { tracker.take(end(.succeeded, at: 11, id: id(n)), at: 11) }
    tracker.apply(MigrationTracker.Settings(maxMigrations: 3), budgets: [:], at: seconds(12))
    tracker.take(sight(at: 12, id: id(10)), at: 12)
    #expect(tracker.snapshot().trackedCount == 3)
  }

  @Test("Settings apply to what runs, and the verdict that changes is told")
  func settings() throws {
    var tracker = MigrationTracker.withHome()
    for n in 0...6 {
      let at = 11 + Double(n)
      tracker.take(sight(at: at, sent: n == 0 ? 1 : 2, remaining: 100), at: at)
    }
    #expect(tracker.snapshot().first?.verdict.kind == .unknown)
    let events = tracker.apply(
      MigrationTracker.Settings(verdict: VerdictSettings(stalledAfter: .seconds(3))),
      budgets: [home: BudgetSettings(completionPerGiB: .seconds(10), progress: .zero)], at: seconds(17))
    #expect(names(events) == ["unknown>stalled"])
    let view = try #require(tracker.snapshot().first)
    #expect(view.completionDeadline == seconds(10 + 80))
    #expect(view.progressBudget == nil && view.progressDeadline == nil)
    #expect(tracker.look(at: 18) == [])
  }

  @Test("Looks without news change nothing, but for one verdict that becomes unknown")
  func unchanged() {
    var tracker = MigrationTracker.withHome()
    for n in 0..<4 {
      tracker.take(
        sight(at: 11 + Double(n), sent: UInt64(n + 1), remaining: UInt64(100 - n)), at: 11 + Double(n))
    }
    let before = tracker.snapshot().groups.map(\.revision)
    for at in stride(from: 14.0, through: 24.5, by: 0.5) { #expect(tracker.look(at: at) == []) }
    #expect(tracker.snapshot().groups.map(\.revision) == before)
    #expect(tracker.look(at: 24.6) == ["converging>unknown"])
    let after = tracker.snapshot().groups.map(\.revision)
    #expect(after != before)
    for at in stride(from: 25.0, through: 90, by: 1) { #expect(tracker.look(at: at) == []) }
    #expect(tracker.snapshot().groups.map(\.revision) == after)
  }

  @Test("A silent source is unknown and never stalled; when it answers, its bytes decide")
  func silence() {
    var tracker = MigrationTracker.withHome()
    for n in 0..<4 {
      tracker.take(
        sight(at: 11 + Double(n), sent: UInt64(n + 1), remaining: UInt64(100 - n)), at: 11 + Double(n))
    }
    #expect(tracker.look(at: 300) == ["converging>unknown"])
    #expect(tracker.take(sight(at: 300, sent: 4000, remaining: 50), at: 300) == ["unknown>converging"])
    #expect(tracker.take(sight(at: 311, sent: 4000, remaining: 50), at: 311) == ["converging>stalled"])
  }
}
