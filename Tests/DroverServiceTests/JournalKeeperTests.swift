import Foundation
import GRDB
import Logging
import Synchronization
import Testing

@testable import DroverCore
@testable import DroverService
@testable import Journal

@Suite("The keeper of the journal")
struct JournalKeeperTests {
  private func text(_ kept: KeptJournal) -> [String] {
    kept.output.written.map {
      String($0.split(separator: " ", maxSplits: 1).last ?? "").trimmingCharacters(in: .newlines)
    }
  }

  @Test("records a migration when it begins, as it goes on, and when it has ended")
  func life() async throws {
    let kept = try KeptJournal()
    let running = sampleView()
    kept.keeper.take([.began(running)])
    await kept.turn()
    var expected = PastMigration(
      id: running.identity.id, vm: running.identity.vm, domain: running.identity.domain.text,
      facts: running.facts, startedAt: 1_795_453_200_123 - 125_000)
    expected.bestRemaining = .gibibytes(3)
    expected.transferred = .gibibytes(7)
    expected.iterations = 2
    expected.completion = CompletionBudget(perGiB: .seconds(800), size: .gibibytes(8))
    expected.progress = ProgressBudget(timeout: .seconds(150))
    expected.guest = .source
    #expect(try await kept.history() == [expected])

    let postcopy = sampleView {
      $0.phase = .postcopy
      $0.progressBudget = nil
    }
    kept.keeper.take([.phaseChanged(postcopy, from: .precopy)])
    await kept.turn()
    expected.usedPostcopy = true
    #expect(try await kept.history() == [expected])

    let over = sampleView {
      ended(.failed, .connectionLost, text: "reset by peer")(&$0)
      $0.progressBudget = nil
      $0.progress = nil
      $0.sample.iterations = nil
    }
    let last = sampleView {
      $0.progress?.best = .mebibytes(5)
      $0.sample.iterations = 9
    }
    kept.keeper.take([.verdictChanged(over, from: .slow), .lastSeen(last), .ended(over)])
    await kept.turn()
    expected.bestRemaining = .mebibytes(5)
    expected.iterations = 9
    expected.endedAt = 1_795_453_200_123 - 12_000
    expected.outcome = .failed
    expected.cause = .connectionLost
    expected.certainty = .reported
    expected.text = "reset by peer"
    expected.duration = .seconds(113)
    expected.downtime = .milliseconds(87)
    #expect(try await kept.history() == [expected])
    #expect(kept.journal.state.isRecording)
  }

  @Test("records what had ended before the start, unless it is too old")
  func foundEnded() async throws {
    let kept = try KeptJournal(limits: JournalLimits(maxAge: .seconds(3600)))
    kept.keeper.take([
      .foundEnded(sampleView(id: "a", ended(.succeeded, ago: .seconds(3599)))),
      .foundEnded(sampleView(id: "b", ended(.succeeded, ago: .seconds(3601)))),
    ])
    await kept.turn()
    #expect(try await kept.history().map(\.id.description) == ["a"])
  }

  @Test("says once that nothing is recorded, keeps what waits, and says once that it goes on")
  func trouble() async throws {
    let kept = try KeptJournal()
    kept.keeper.take([.began(sampleView(id: "a"))])
    await kept.turn()
    let other = try kept.lockedElsewhere()
    kept.keeper.take([.began(sampleView(id: "b"))])
    await kept.turn()
    #expect(kept.journal.state.trouble?.kind == .busy)
    #expect(kept.journal.state.since == noon)
    // Not tried again before its time, though there is more.
    kept.keeper.take([.ended(sampleView(id: "a", ended(.succeeded)))])
    let before = ContinuousClock.now
    await kept.turn()
    #expect(ContinuousClock.now - before < .seconds(1))
    try await other.writeWithoutTransaction { db in try db.execute(sql: "ROLLBACK") }
    #expect(try await kept.history().count == 1)

    kept.clock.move(by: .seconds(2))
    await kept.turn()
    #expect(kept.journal.state.isRecording)
    #expect(try await Set(kept.history().map(\.outcome)) == [.succeeded, nil])
    let lines = text(kept)
    #expect(lines.count == 2, "\(lines)")
    #expect(lines[0].hasPrefix("level=error msg=\"the journal records nothing\""), "\(lines)")
    #expect(lines[0].contains("kind=busy"), "\(lines)")
    #expect(lines[1].hasSuffix("msg=\"the journal records again\" after=2s"), "\(lines)")
  }

  @Test("waits longer the longer the trouble lasts, and looks whether it has passed though nothing happens")
  func pauses() async throws {
    let kept = try KeptJournal()
    let other = try kept.lockedElsewhere()
    kept.keeper.take([.began(sampleView())])
    for _ in 0..<3 {
      await kept.turn()
      kept.clock.move(by: .seconds(60))
    }
    #expect(kept.journal.state.trouble?.kind == .busy)
    #expect(text(kept).count == 1)
    try await other.writeWithoutTransaction { db in try db.execute(sql: "ROLLBACK") }
    await kept.turn()
    #expect(kept.journal.state.isRecording)
    #expect(text(kept).last?.hasSuffix("after=3m") == true)
  }

  @Test("drops what is more than it keeps, counts it and says so once")
  func overflow() async throws {
    let kept = try KeptJournal(capacity: 3)
    kept.keeper.take((0..<5).map { .began(sampleView(id: "m-\($0)")) })
    kept.keeper.take([.began(sampleView(id: "m-9"))])
    // What waits already may change.
    kept.keeper.take([.ended(sampleView(id: "m-0", ended(.succeeded)))])
    #expect(kept.journal.state.lost == 3)
    #expect(text(kept).count == 1)
    await kept.turn()
    #expect(try await kept.history().count == 3)
    #expect(try await kept.history().last?.outcome == .succeeded)
    kept.keeper.take((20..<24).map { .began(sampleView(id: "m-\($0)")) })
    #expect(text(kept).count == 2)
  }

  @Test("never waits for the disk where it is told something")
  func neverBlocks() async throws {
    let kept = try KeptJournal()
    let other = try kept.lockedElsewhere()
    let keeper = kept.keeper
    let running = Task { await keeper.run { sampleSnapshot([]) } }
    let begin = ContinuousClock.now
    for number in 0..<50 { keeper.take([.began(sampleView(id: "m-\(number)"))]) }
    #expect(ContinuousClock.now - begin < .seconds(1))
    try await other.writeWithoutTransaction { db in try db.execute(sql: "ROLLBACK") }
    running.cancel()
    await running.value
    // What waited when it was told to end is recorded, too.
    #expect(try await kept.history().count == 50)
  }

  @Test("closes what ended while nobody looked, once its back end has told what there is")
  func unseen() async throws {
    let kept = try KeptJournal()
    let (gone, there) = (sampleView(id: "gone"), sampleView(id: "there"))
    kept.keeper.take([.began(gone), .began(there)])
    await kept.turn()
    kept.clock.move(by: .seconds(61))
    await kept.turn(sampleSnapshot([], backends: [sampleBackend(isUp: false)]))
    #expect(try await kept.journal.readable().openMigrations().count == 2)
    kept.clock.move(by: .seconds(3600))
    await kept.turn(sampleSnapshot([there]))
    #expect(try await kept.journal.readable().openMigrations().map(\.id) == [there.identity.id])
    let closed = try await kept.history().first { $0.id == gone.identity.id }
    #expect(closed?.endedAt == 1_795_453_200_123 + 3_661_000 && closed?.outcome == nil)
    #expect(closed?.text.contains("was not seen") == true)
    // A back end that is not watched any more tells nothing ever.
    kept.clock.move(by: .seconds(3600))
    await kept.turn(sampleSnapshot([], backends: []))
    #expect(try await kept.journal.readable().openMigrations().isEmpty)
  }

  @Test("prunes after a minute, once an hour, when the limits change, and when it is too large")
  func pruning() async throws {
    let kept = try KeptJournal(limits: JournalLimits(maxAge: .seconds(3600), maxSize: .mebibytes(16)))
    func count() async throws -> Int { try await kept.history().count }
    func add(_ id: String, ago: Duration) async {
      kept.keeper.take([.ended(sampleView(id: id, ended(.succeeded, ago: ago)))])
      await kept.turn()
    }
    await add("a", ago: .seconds(4000))
    #expect(try await count() == 1)
    kept.clock.move(by: .seconds(60))
    await kept.turn()
    #expect(try await count() == 0)
    #expect(
      text(kept).last == "level=info msg=\"old entries removed from the journal\" decisions=0 migrations=1")
    await add("b", ago: .seconds(4000))
    kept.clock.move(by: .seconds(3599))
    await kept.turn()
    #expect(try await count() == 1)
    kept.clock.move(by: .seconds(1))
    await kept.turn()
    #expect(try await count() == 0)
    await add("c", ago: .seconds(-3000))
    kept.keeper.apply(JournalLimits(maxAge: .seconds(10), maxSize: .mebibytes(16)))
    await kept.turn()
    #expect(try await count() == 0)

    let words = String(repeating: "x", count: 1 << 20)
    kept.keeper.take(
      (0..<20).map {
        .ended(sampleView(id: "l-\($0)", ended(.failed, text: words, ago: .seconds(-7200 - $0))))
      })
    kept.clock.move(by: .seconds(60))
    await kept.turn()
    #expect(try await (1..<20).contains(count()))
    #expect(try await kept.journal.readable().size() <= .mebibytes(16))
  }
}

@Suite("The journal of a service")
struct ServiceJournalTests {
  @Test("must be where somebody said, and may be missing where nobody did")
  func places() throws {
    #expect(throws: JournalError.self) { try KeptJournal { _ in .given("/proc/none/journal.db") } }
    let none = try KeptJournal { _ in .standard("/proc/none/journal.db") }
    #expect(none.journal.state.trouble?.kind == .absent)
    #expect(
      none.output.written.count == 1 && none.output.written[0].contains("level=warn msg=\"no journal\""))
    let unnamed = try KeptJournal { _ in .standard(nil) }
    #expect(unnamed.output.written.count == 1)
    let unwanted = try KeptJournal { _ in .none }
    #expect(unwanted.output.written.isEmpty)
    unwanted.keeper.take([.began(sampleView())])
    #expect(unwanted.journal.state.lost == 0 && unwanted.journal.errors == nil)
  }

  @Test("does not stop a service where it is damaged, says so, and is begun anew once that is out of the way")
  func damaged() async throws {
    let kept = try KeptJournal { directory in
      _ = FileManager.default.createFile(
        atPath: directory.file, contents: Data(repeating: 0xAA, count: 10_000))
      return .given(directory.file)
    }
    #expect(kept.journal.state.trouble?.kind == .damaged)
    #expect(kept.output.written.count == 1 && kept.output.written[0].contains("level=error"))
    #expect(throws: JournalError.self) { try kept.journal.readable() }
    await #expect(throws: JournalError.self) {
      try await kept.journal.record(
        Decision(madeAt: 0, action: .abort, trigger: .person, kind: .acted, requester: "", text: ""))
    }
    #expect(kept.journal.errors?[.damaged] == 1 && kept.journal.trouble?.kind == .damaged)
    kept.keeper.take([.began(sampleView())])
    await kept.turn()
    try FileManager.default.moveItem(
      atPath: kept.directory.file, toPath: "\(kept.directory.path)/damaged")
    kept.clock.move(by: .seconds(60))
    await kept.turn()
    #expect(kept.journal.state.isRecording)
    #expect(try await kept.history().count == 1)
    #expect(kept.output.written.count == 2)
  }

  @Test("is begun anew where its file was moved away, and loses nothing of what came then")
  func moved() async throws {
    let kept = try KeptJournal()
    try FileManager.default.moveItem(
      atPath: kept.directory.file, toPath: "\(kept.directory.path)/elsewhere")
    kept.keeper.take([.began(sampleView())])
    await kept.turn()
    #expect(kept.journal.state.trouble?.kind == .absent)
    kept.clock.move(by: .seconds(60))
    await kept.turn()
    #expect(kept.journal.state.isRecording)
    #expect(try await kept.history().count == 1)
  }

  @Test("that a newer Drover made is shown, and nothing waits for it")
  func newer() async throws {
    let kept = try KeptJournal { directory in
      _ = try? Journal.open(path: directory.file)
      try? DatabaseQueue(path: directory.file).writeWithoutTransaction { db in
        try db.execute(sql: "PRAGMA user_version = 99")
      }
      return .given(directory.file)
    }
    #expect(kept.journal.state.trouble?.kind == .newer)
    #expect(kept.output.written.count == 1 && kept.output.written[0].contains("kind=newer"))
    kept.keeper.take([.began(sampleView())])
    await kept.turn()
    #expect(kept.journal.state.lost == 1)
    #expect(try await kept.history().isEmpty)
    kept.clock.move(by: .seconds(60))
    await kept.turn()
    #expect(kept.journal.state.trouble?.kind == .newer)
    #expect(kept.output.written.count == 1)
  }

  @Test("hears of everything that a monitor sees")
  func observer() async throws {
    let kept = try KeptJournal()
    let keeper = kept.keeper
    let monitor = FleetMonitor(
      settings: MigrationTracker.Settings(), clock: kept.clock,
      log: .init(label: "none") { _ in SwiftLogNoOpLogHandler() },
      observer: { keeper.take($0) })
    let view = sampleView()
    monitor.register(sampleBackend().descriptor)
    monitor.receive(
      .migration(
        MigrationObservation(
          id: view.identity.id, vm: view.identity.vm, domain: view.identity.domain, takenAt: noon,
          startedAt: noon,
          phase: .precopy, facts: view.facts)))
    await kept.turn()
    #expect(try await kept.history().map(\.id) == [view.identity.id])
    #expect(try await kept.history().first?.completion?.timeout == .seconds(6400))

    // What only a running one has is kept over its end.
    var sample = Sample()
    sample.memory = StreamCounters(transferred: 5, remaining: 7, total: 9)
    var seen = MigrationObservation(
      id: view.identity.id, vm: view.identity.vm, domain: view.identity.domain, takenAt: noon + .seconds(1),
      startedAt: noon, phase: .precopy, sample: sample, facts: view.facts)
    monitor.receive(.migration(seen))
    sample.memory?.remaining = 8
    seen.sample = sample
    seen.sample.iterations = 3
    seen.takenAt = noon + .seconds(2)
    seen.end(Ending(outcome: .succeeded, certainty: .reported, endedAt: noon + .seconds(2)))
    monitor.receive(.migration(seen))
    await kept.turn()
    let over = try await kept.history().first
    #expect(over?.outcome == .succeeded && over?.bestRemaining == 7 && over?.iterations == 3)
    #expect(over?.completion?.timeout == .seconds(6400) && over?.progress?.timeout == .seconds(150))
  }
}
