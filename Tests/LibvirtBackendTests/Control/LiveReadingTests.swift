import DroverCore
import Testing

@testable import LibvirtBackend

/// The migration that began at second 1000.
private let meant = target(startedAt: 1_000_000)

private func target(startedAt: Int64, _ n: Int = 1) -> MigrationTarget {
  let domain = DomainKey(uuid: domainID(n)) ?? DomainKey(backend: lab, socketPath: "")
  return MigrationTarget(
    id: MigrationID(domain: domain, startedUnixMilliseconds: startedAt),
    vm: VMRef(backend: lab, scope: .host("host-a"), name: "vm\(n)"), domain: domain)
}

private func reading(
  _ job: Result<JobStatistics, LibvirtError>?,
  _ state: Result<DomainState, LibvirtError> = .success(.running),
  completed: JobStatistics? = nil, at readAt: Int64 = 1_010_000
) -> LiveReading {
  LiveReading(state: state, job: job, completed: completed, readAt: readAt)
}

@Suite struct LiveReadingTests {
  @Test("each state of the domain and its job is one state of the migration, and may or may not be ended")
  func states() throws {
    let rows: [(LiveReading, LiveMigration.State, ControlError.Kind?)] = [
      (reading(.success(.copying(10_000))), .running(.precopy), nil),
      (reading(.success(.preparing(10_000))), .running(.preparing), nil),
      (reading(.success(.copyingDisks(10_000, total: 1 << 29))), .running(.precopy), nil),
      (reading(.success(.copying(10_000)), .success(.paused)), .running(.guestSuspended), nil),
      (reading(.success(.copying(10_000)), .success(.pausedMigration)), .running(.switchover), .refused),
      (reading(nil, .success(.pausedMigration)), .running(.switchover), .refused),
      (reading(nil, .success(.pausedPostcopy)), .running(.postcopy), .refused),
      (reading(nil, .success(.pausedPostcopyFailed)), .running(.postcopyPaused), .refused),
      (reading(.success(.idle)), .gone, .gone), (reading(.success(.saving(10_000))), .gone, .gone),
      (reading(.failure(.onlyAtSource)), .gone, .gone), (reading(.failure(.notRunning)), .gone, .gone),
      (reading(nil, .success(.runningPostcopy)), .gone, .gone),
      (reading(nil, .failure(.gone)), .gone, .gone),
      (reading(nil, .success(.shutOff(.destroyed))), .gone, .gone),
      (
        reading(nil, .success(.shutOff(.migrated)), completed: .done(5000)), .finished(.succeeded), .gone
      ),
      (reading(nil, .success(.shutOff(.migrated))), .gone, .gone),
    ]
    for (reading, state, objection) in rows {
      let live = try LiveMigration(reading, of: meant)
      #expect(live.state == state, "\(reading)")
      #expect(live.objection?.kind == objection, "\(live)")
      #expect(!live.word.isEmpty)
      if case .running = state { #expect(!live.consequence.isEmpty) }
      if let objection = live.objection { #expect(objection.cause.hasPrefix("not sent: ")) }
    }
  }

  @Test("what cannot be read is said, and never taken for a migration")
  func unreadable() {
    let rows: [(LiveReading, ControlError.Kind)] = [
      (reading(.failure(.lockHeld)), .timeout), (reading(.failure(.noJobs)), .unsupported),
      (reading(nil, .failure(.lost)), .unreachable), (reading(nil, .failure(.noConnection)), .unreachable),
      (reading(.success(JobStatistics(kind: .active))), .other),
    ]
    for (reading, kind) in rows {
      #expect { try LiveMigration(reading, of: meant) } throws: { ($0 as? ControlError)?.kind == kind }
    }
  }

  @Test(
    "a job that began more than 2 s before or after the one meant is another one",
    arguments: [(0, true), (1999, true), (2000, true), (2001, false), (-2000, true), (-2001, false)])
  func identity(difference: Int64, isSame: Bool) throws {
    let live = try LiveMigration(
      reading(.success(.copying(10_000)), at: 1_010_000 + difference), of: meant)
    let other = target(startedAt: 1_000_000 + difference).id
    #expect(live.state == (isSame ? .running(.precopy) : .replaced(other)))
    #expect(live.objection?.kind == (isSame ? nil : .replaced))
  }

  @Test("an identity that tells no start, or is of another domain, is never the one that runs")
  func strangers() throws {
    for id in ["b6b9bdd3", "00000000-0000-4000-8000-000000000001", "\(domainID(2))-1000000"] {
      var stranger = meant
      stranger.sourceID = try #require(MigrationID(id))
      #expect(!stranger.isSame(startedAt: 1_000_000), "\(id)")
    }
    #expect(!target(startedAt: 0).isSame(startedAt: .min))
    #expect(target(startedAt: 5).startedAt == 5)
  }

  @Test("how it was seen to end is told where libvirt has forgotten it")
  func known() throws {
    let rows: [(LiveReading, LiveMigration.State)] = [
      (reading(.success(.idle)), .finished(.aborted)), (reading(nil, .failure(.gone)), .finished(.aborted)),
      (reading(.success(.saving(1))), .finished(.aborted)),
      (reading(nil, .success(.pausedMigration)), .finished(.aborted)),
      // A job that runs is the next one, however close it began.
      (reading(.success(.copying(10_000))), .replaced(meant.id)),
      (reading(.success(.copying(9000))), .replaced(target(startedAt: 1_001_000).id)),
    ]
    for (reading, state) in rows {
      #expect(try LiveMigration(reading, of: meant, known: KnownMigration(outcome: .aborted)).state == state)
    }
  }

  @Test("a migration whose abort has been sent is not aborted again")
  func aborting() throws {
    let live = try LiveMigration(
      reading(.success(.copying(10_000))), of: meant, known: KnownMigration(isAbortSent: true))
    #expect(live.state == .running(.aborting))
    #expect(live.objection?.kind == .refused)
  }

  @Test(
    "a job that is no migration is called what it is",
    arguments: [(2, "a save"), (8, "a dump"), (9, "a backup")])
  func jobs(operation: UInt64, word: String) throws {
    var job = JobStatistics.saving(10_000)
    job.operation = operation
    #expect(
      try LiveMigration(reading(.success(job)), of: meant).word == "running, its job is \(word), no migration"
    )
  }

  @Test("the watch's word of an end, of an abort and of libvirt's own is kept for each migration")
  func memory() throws {
    let known = KnownMigrations()
    let other = target(startedAt: 2_000_000)
    var seen = MigrationObservation(
      id: meant.id, vm: meant.vm, domain: meant.domain, takenAt: ms(0), startedAt: ms(0), phase: .precopy)
    _ = known.hear(.migration(seen))
    #expect(known.known(meant, at: ms(0)) == KnownMigration())
    #expect(known.last(meant.domain) == meant.id)
    known.abortSent(meant, at: ms(0))
    #expect(known.known(meant, at: ms(29_000)) == KnownMigration(isAbortSent: true))
    #expect(known.known(other, at: ms(0)) == KnownMigration())
    for (phase, taken, told) in [
      (.precopy, 5, .aborting), (.preparing, 5, .aborting), (.switchover, 5, .switchover),
      (.postcopy, 5, .postcopy), (.guestSuspended, 5, .guestSuspended), (.precopy, -1, .precopy),
      (.precopy, 30_000, .precopy),
    ] as [(Phase, Int64, Phase)] {
      seen.phase = phase
      seen.takenAt = ms(taken)
      guard case .migration(let shown) = known.hear(.migration(seen)) else { return }
      #expect(shown.phase == told)
    }
    // What hangs for so long may be asked again.
    #expect(known.known(meant, at: ms(30_000)) == KnownMigration())

    known.failed(meant.domain, startedAt: ms(-50), at: ms(9), "canceled by client")
    seen.end(
      Ending(outcome: .aborted, cause: .userAbort, certainty: .inferred, text: "it ended", endedAt: ms(9)))
    guard case .migration(let told) = known.hear(.migration(seen)) else { return }
    #expect(told.ending?.text == "it ended; libvirt says: canceled by client")
    #expect(known.known(meant, at: ms(0)) == KnownMigration(outcome: .aborted))
    #expect(known.known(other, at: ms(0)) == KnownMigration())
    // It is said of one end only.
    guard case .migration(let again) = known.hear(.migration(seen)) else { return }
    #expect(again.ending?.text == "it ended")
    // Nor is it said of one that began behind it.
    known.failed(meant.domain, startedAt: ms(-50), at: ms(9), "canceled by client")
    seen.startedAt = ms(10)
    guard case .migration(let later) = known.hear(.migration(seen)) else { return }
    #expect(later.ending?.text == "it ended")
    // How it ended is known while the next one runs, too.
    _ = known.hear(
      .migration(
        MigrationObservation(
          id: other.id, vm: other.vm, domain: other.domain, takenAt: ms(20), startedAt: ms(20),
          phase: .precopy)))
    #expect(known.last(meant.domain) == other.id)
    #expect(known.known(meant, at: ms(20)) == KnownMigration(outcome: .aborted))
  }

  @Test("an end that nothing else explains is that of the abort that was sent, whichever is told first")
  func abortedEnds() {
    for (cause, certainty, outcome) in [
      (.unknown, .inferred, .aborted), (.connectionLost, .inferred, .aborted),
      (.targetLost, .inferred, .aborted),
      (.connectionLost, .reported, .failed), (.guestShutdown, .inferred, .failed),
    ] as [(FailureCause, Certainty, Outcome)] {
      for isToldFirst in [true, false] {
        let known = KnownMigrations()
        var seen = MigrationObservation(
          id: meant.id, vm: meant.vm, domain: meant.domain, takenAt: ms(0), startedAt: ms(0), phase: .precopy)
        seen.end(Ending(outcome: .failed, cause: cause, certainty: certainty, text: "", endedAt: ms(9)))
        if isToldFirst { _ = known.hear(.migration(seen)) }
        known.abortSent(meant, at: ms(5))
        if !isToldFirst { _ = known.hear(.migration(seen)) }
        #expect(known.known(meant, at: ms(10)) == KnownMigration(outcome: outcome), "\(cause)")
        // Nor is it forgotten with the aborts of others.
        known.abortSent(target(startedAt: 2_000_000), at: ms(90_000))
        #expect(known.known(meant, at: ms(90_000)).outcome == outcome)
      }
    }
    // Without an abort it is what it was told to be.
    let known = KnownMigrations()
    var seen = MigrationObservation(
      id: meant.id, vm: meant.vm, domain: meant.domain, takenAt: ms(0), startedAt: ms(0), phase: .precopy)
    seen.end(Ending(outcome: .failed, cause: .unknown, certainty: .inferred, text: "", endedAt: ms(9)))
    _ = known.hear(.migration(seen))
    #expect(known.known(meant, at: ms(10)) == KnownMigration(outcome: .failed))
  }
}
