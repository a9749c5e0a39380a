import DroverCore
import Synchronization
import Testing

@testable import MigrationControl

@Suite("Ending a migration through the control module")
struct AbortTests {
  @Test("looks at the live state, records, announces, sends, and follows to the end")
  func whole() async throws {
    let scene = try Scene()
    let answer = await scene.control.abort(scene.order())
    #expect(answer.decision.kind == .acted && answer.decision.result == nil)
    #expect(answer.decision.id == DecisionID(rawValue: 1))
    #expect(answer.consequence == "the guest stays")
    #expect(scene.backend.calls == ["live", "live", "abort \(scene.id)"])
    #expect(scene.fleet.announced == [.userAbort])
    #expect(scene.journal.decisions.first?.evidence.contains(.init("live", "active")) == true)
    #expect(scene.journal.decisions.first?.result == nil)

    await scene.end(.aborted)
    let recorded = try #require(scene.journal.decisions.first)
    #expect(recorded.result == .aborted && recorded.resultAt != nil)
    #expect(recorded.resultText.hasPrefix("ended 0.3 s after"))
    #expect(scene.control.totals.decisions == [.init(.person, .acted): 1])
    #expect(scene.control.totals.aborts == [.init(.person, .aborted): 1])
    #expect(scene.control.totals.latencies[.init(.person, .aborted)]?.count == 1)
    // Looked at again, nothing is counted twice.
    await scene.control.look(at: scene.clock.now())
    #expect(scene.control.totals.aborts == [.init(.person, .aborted): 1])
  }

  @Test(
    "says that a migration succeeded all the same, or failed by itself",
    arguments: [
      (Outcome.succeeded, "succeeded all the same"), (.failed, "it failed by itself (connection_lost): gone"),
    ])
  func endsOtherwise(outcome: Outcome, words: String) async throws {
    let scene = try Scene()
    _ = await scene.control.abort(scene.order())
    await scene.end(
      outcome, cause: outcome == .failed ? .connectionLost : nil, text: outcome == .failed ? "gone" : "")
    #expect(scene.journal.decisions.first?.result == .endedOtherwise)
    #expect(scene.journal.decisions.first?.resultText.contains(words) == true)
  }

  @Test("is recorded before it is sent")
  func order() async throws {
    let scene = try Scene()
    let journal = scene.journal
    let seen = Numbers()
    scene.backend.state.withLock { state in
      state.during = { seen.append(journal.decisions.count) }
    }
    _ = await scene.control.abort(scene.order())
    // Looked at with an empty journal, and again and sent with one decision in it.
    #expect(seen.values == [0, 1, 1])
  }

  @Test(
    "sends nothing where the guard refuses, and records the refusal",
    arguments: [
      (.running(.postcopy), .postcopy), (.running(.switchover), .switchover),
      (.finished(.succeeded), .finished),
      (.gone, .finished), (.replaced(nil), .replaced), (.running(.aborting), .aborting),
      (.unclear, .unreadable),
    ] as [(LiveMigration.State, RefusalReason)])
  func guarded(state: LiveMigration.State, reason: RefusalReason) async throws {
    let scene = try Scene()
    scene.backend.state.withLock { $0.live = LiveMigration(state, word: "w") }
    let answer = await scene.control.abort(scene.order())
    #expect(answer.decision.kind == .refused && answer.decision.refusal == reason)
    #expect(scene.backend.calls == ["live"])
    #expect(scene.fleet.announced.isEmpty)
    #expect(scene.journal.decisions.map(\.refusal) == [reason])
    #expect(scene.control.totals.decisions == [.init(.person, .refused): 1])
  }

  @Test("sends nothing where the live state cannot be read")
  func unreadable() async throws {
    let scene = try Scene()
    scene.backend.state.withLock { $0.liveError = .sample(.timeout) }
    let answer = await scene.control.abort(scene.order())
    #expect(answer.decision.refusal == .unreadable)
    #expect(answer.decision.text.contains("a cause"))
    #expect(scene.backend.calls == ["live"])
  }

  @Test("sends nothing that it cannot record, unless a person says so")
  func withoutJournal() async throws {
    for hasJournal in [false, true] {
      let scene = try Scene(hasJournal: hasJournal)
      scene.journal.state.withLock { $0.error = JournalError(.full, call: "c", cause: "full", remedy: "r") }
      let refused = await scene.control.abort(scene.order())
      #expect(refused.decision.kind == .refused && refused.decision.refusal == .journal)
      #expect(scene.backend.calls == ["live"])
      let policy = await scene.control.abort(scene.order(withoutJournal: true, trigger: .progressTimeout))
      #expect(policy.decision.refusal == .journal)
      #expect(scene.backend.calls == ["live", "live"])
      let acted = await scene.control.abort(scene.order(withoutJournal: true))
      #expect(acted.decision.kind == .acted && acted.decision.id == nil)
      #expect(scene.backend.calls.last == "abort \(scene.id)")
    }
  }

  @Test("does not know what is not there, nor ends what is over, nor where the back end cannot")
  func unknown() async throws {
    let scene = try Scene()
    let other = try #require(MigrationID("other-1"))
    let unknown = await scene.control.abort(AbortOrder(other, trigger: .person, requester: "x"))
    #expect(unknown.decision.refusal == .unknown)
    await scene.end(.succeeded)
    #expect(await scene.control.abort(scene.order()).decision.refusal == .finished)
    #expect(scene.backend.calls.isEmpty)
    let deaf = try Scene(isControllable: false)
    #expect(await deaf.control.abort(deaf.order()).decision.refusal == .unsupported)
  }

  @Test("asks only, where only a question is asked")
  func dryRun() async throws {
    let scene = try Scene()
    let answer = await scene.control.abort(scene.order(), isDryRun: true)
    #expect(answer.isDryRun && answer.decision.kind == .acted && answer.consequence == "the guest stays")
    #expect(scene.backend.calls == ["live"])
    #expect(scene.journal.decisions.isEmpty && scene.control.totals.decisions.isEmpty)
    scene.backend.state.withLock { $0.live = LiveMigration(.running(.postcopy), word: "w") }
    #expect(await scene.control.abort(scene.order(), isDryRun: true).decision.refusal == .postcopy)
    #expect(scene.journal.decisions.isEmpty)
  }

  @Test("takes back the eviction first, where its cause is to be ended")
  func cause() async throws {
    let scene = try Scene()
    scene.backend.state.withLock {
      $0.live = LiveMigration(.running(.precopy), word: "w", comesBack: .evacuation(node: "a"))
    }
    #expect(await scene.control.abort(scene.order()).decision.refusal == .comesBack)
    #expect(await scene.control.abort(scene.order(endsCause: true)).decision.kind == .acted)
    #expect(scene.backend.calls == ["live", "live", "end cause", "live", "abort \(scene.id)"])
  }

  @Test("tells an error at once; an abort that got no answer is followed, for it may have been done")
  func errors() async throws {
    let scene = try Scene()
    scene.backend.state.withLock { $0.abortError = .sample(.replaced) }
    let failed = await scene.control.abort(scene.order())
    #expect(failed.decision.result == .error && scene.journal.decisions.first?.result == .error)
    #expect(scene.control.totals.aborts == [.init(.person, .error): 1])

    scene.backend.state.withLock { $0.abortError = .sample(.timeout) }
    let unanswered = await scene.control.abort(scene.order())
    #expect(unanswered.decision.kind == .acted && unanswered.decision.result == nil)
    #expect(unanswered.decision.resultText.contains("a cause"))
    await scene.end(.aborted)
    #expect(scene.journal.decisions.last?.result == .aborted)
  }

  @Test("two who ask at once send one abort")
  func atOnce() async throws {
    let scene = try Scene()
    let control = scene.control
    let order = scene.order()
    let second = OneAnswer()
    scene.backend.state.withLock { state in
      state.during = { if second.isFirst() { second.set(await control.abort(order).decision.refusal) } }
    }
    #expect(await control.abort(order).decision.kind == .acted)
    #expect(second.value == .aborting)
    #expect(scene.backend.calls.filter { $0.hasPrefix("abort") }.count == 1)
  }
}

@Suite("What comes between the look and the abort")
struct BetweenTests {
  @Test("is looked at again: what has gone into post-copy meanwhile is not ended, and that is recorded")
  func secondLook() async throws {
    let scene = try Scene()
    scene.backend.state.withLock { $0.later = [LiveMigration(.running(.postcopy), word: "postcopy-active")] }
    let answer = await scene.control.abort(scene.order())
    #expect(scene.backend.calls == ["live", "live"])
    #expect(answer.decision.result == .error && answer.decision.resultText.hasPrefix("not sent: "))
    #expect(scene.journal.decisions.map(\.result) == [.error])
    #expect(scene.fleet.announced.isEmpty)
  }

  @Test(
    "a journal that hangs makes nothing late: it is not done, and what comes in later is closed as not sent")
  func hangingJournal() async throws {
    let scene = try Scene(longestRecording: .milliseconds(50))
    let (gate, open) = AsyncStream<Void>.makeStream()
    scene.journal.state.withLock { state in state.gate = { for await _ in gate { return } } }
    let answer = await scene.control.abort(scene.order())
    #expect(answer.decision.refusal == .journal && scene.backend.calls == ["live"])
    open.yield()
    for _ in 0..<500 where scene.journal.decisions.first?.result == nil {
      try await Task.sleep(for: .milliseconds(10))
    }
    #expect(scene.journal.decisions.map(\.result) == [.error])
    #expect(scene.journal.decisions.first?.resultText.contains("not sent") == true)
    // Whoever does not need it need not wait for it again.
    scene.journal.state.withLock { $0.gate = nil }
    #expect(await scene.control.abort(scene.order()).decision.kind == .acted)
  }

  /// A machine that is busy may take longer than these journals may.
  private func untilRecorded(_ scene: Scene) async throws {
    for _ in 0..<500 where scene.journal.decisions.first?.result == nil {
      await scene.control.recordAgain()
      try await Task.sleep(for: .milliseconds(10))
    }
  }

  @Test("what is done without a journal that hangs is told in it, as it ended, once it comes to itself")
  func waivedJournal() async throws {
    let scene = try Scene(longestRecording: .milliseconds(50))
    let (gate, open) = AsyncStream<Void>.makeStream()
    scene.journal.state.withLock { state in state.gate = { for await _ in gate { return } } }
    let answer = await scene.control.abort(scene.order(withoutJournal: true))
    #expect(answer.decision.kind == .acted && answer.decision.id == nil)
    open.yield()
    for _ in 0..<500 where scene.control.withState({ $0.late.first?.value.id == nil }) {
      try await Task.sleep(for: .milliseconds(10))
    }
    #expect(scene.journal.decisions.map(\.result) == [nil])
    await scene.end(.aborted)
    try await untilRecorded(scene)
    #expect(scene.journal.decisions.map(\.result) == [.aborted])
    #expect(scene.control.withState(\.late.isEmpty))
  }

  @Test(
    "also where it comes to itself while that is being sent, whatever comes of it", arguments: [false, true])
  func waivedMeanwhile(isRefused: Bool) async throws {
    let scene = try Scene(longestRecording: .milliseconds(50))
    let (gate, open) = AsyncStream<Void>.makeStream()
    scene.journal.state.withLock { state in state.gate = { for await _ in gate { return } } }
    scene.backend.state.withLock { state in
      state.abortError = isRefused ? .sample(.denied) : nil
      state.during = { [backend = scene.backend, control = scene.control] in
        guard backend.calls.last?.hasPrefix("abort") == true else { return }
        open.yield()
        for _ in 0..<500 where control.withState({ $0.late.first?.value.id == nil }) {
          try? await Task.sleep(for: .milliseconds(10))
        }
      }
    }
    _ = await scene.control.abort(scene.order(withoutJournal: true))
    if !isRefused { await scene.end(.aborted) }
    try await untilRecorded(scene)
    #expect(scene.journal.decisions.map(\.result) == [isRefused ? .error : .aborted])
    #expect(scene.journal.decisions.first?.resultText.contains("not ended") == isRefused)
    #expect(scene.control.withState(\.late.isEmpty))
  }

  @Test("a start that is done without a journal that hangs is told in it as it ended, too")
  func waivedStart() async throws {
    let scene = try Scene(longestRecording: .milliseconds(50))
    let (gate, open) = AsyncStream<Void>.makeStream()
    scene.journal.state.withLock { state in state.gate = { for await _ in gate { return } } }
    let vm = VMRef(backend: scene.vm.backend, scope: scene.vm.scope, name: "db-1")
    let answer = await scene.control.migrate(StartOrder(vm: vm), requester: "x", withoutJournal: true)
    #expect(answer.decision.kind == .acted && answer.decision.id == nil)
    open.yield()
    try await untilRecorded(scene)
    #expect(scene.journal.decisions.map(\.result) == [.done])
    #expect(scene.control.withState(\.late.isEmpty))
  }

  @Test("a journal of a newer Drover forbids to act, whatever a person says")
  func newer() async throws {
    let scene = try Scene()
    scene.journal.state.withLock { $0.error = JournalError(.newer, call: "c", cause: "newer", remedy: "r") }
    let answer = await scene.control.abort(scene.order(withoutJournal: true))
    #expect(answer.decision.refusal == .journal && scene.backend.calls == ["live"])
    #expect(!answer.decision.text.contains("--without-journal"))
    let start = await scene.control.migrate(
      StartOrder(vm: VMRef(backend: scene.vm.backend, scope: scene.vm.scope, name: "db-1")), requester: "x",
      withoutJournal: true)
    #expect(start.refusals.map(\.reason) == [.journal])
  }

  @Test(
    "a cause that cannot be ended leaves the migration alone; one that was ended is told with what failed")
  func causes() async throws {
    let scene = try Scene()
    scene.backend.state.withLock {
      $0.live = LiveMigration(.running(.precopy), word: "w", comesBack: .evacuation(node: "a"))
      $0.causeError = .sample(.timeout)
    }
    let open = await scene.control.abort(scene.order(endsCause: true))
    #expect(!scene.backend.calls.contains("abort \(scene.id)"))
    #expect(open.decision.result == .error)
    #expect(
      open.decision.resultText.hasPrefix("the eviction may have been taken back, and the migration was not"))
    scene.backend.state.withLock {
      $0.causeError = nil
      $0.abortError = .sample(.denied)
    }
    let half = await scene.control.abort(scene.order(endsCause: true))
    #expect(half.decision.resultText.hasPrefix("the eviction was taken back, but it was not ended"))
  }

  @Test("what the journal does not take at the end is told to it again")
  func again() async throws {
    let scene = try Scene()
    _ = await scene.control.abort(scene.order())
    scene.journal.state.withLock { $0.refusedResults = 1 }
    await scene.end(.aborted)
    #expect(scene.journal.decisions.map(\.result) == [nil])
    await scene.control.recordAgain()
    #expect(scene.journal.decisions.map(\.result) == [.aborted])
    #expect(scene.control.totals.aborts == [.init(.person, .aborted): 1])
  }

  @Test("a journal that hangs at the end keeps nobody from asking again, and is told once more")
  func hangingResult() async throws {
    let scene = try Scene(longestRecording: .milliseconds(50))
    let (gate, open) = AsyncStream<Void>.makeStream()
    scene.journal.state.withLock { state in state.resultGate = { for await _ in gate { return } } }
    scene.backend.state.withLock { $0.abortError = .sample(.denied) }
    #expect(await scene.control.abort(scene.order()).decision.result == .error)
    #expect(scene.journal.decisions.map(\.result) == [nil])
    scene.backend.state.withLock { $0.abortError = nil }
    #expect(await scene.control.abort(scene.order()).decision.kind == .acted)
    open.finish()
    scene.journal.state.withLock { $0.resultGate = nil }
    await scene.control.recordAgain()
    #expect(scene.journal.decisions.first?.result == .error)
  }

  @Test("two aborts of one migration, the first of which got no answer, both get their results")
  func twice() async throws {
    let scene = try Scene()
    scene.backend.state.withLock { $0.abortError = .sample(.timeout) }
    _ = await scene.control.abort(scene.order())
    scene.backend.state.withLock { $0.abortError = nil }
    _ = await scene.control.abort(scene.order())
    await scene.end(.aborted)
    #expect(scene.journal.decisions.map(\.result) == [.aborted, .aborted])
  }
}

@Suite("Aborts that a restart of Drover fell into")
struct ResumeTests {
  private func left(_ scene: Scene, _ migration: MigrationID?, _ action: ControlAction = .abort) -> Decision {
    var decision = Decision(
      madeAt: 1_700_000_990_000, action: action, trigger: .person, kind: .acted, migration: migration,
      vm: scene.vm, requester: "x", text: "y")
    decision.id = DecisionID(rawValue: 1)
    scene.journal.state.withLock { $0.decisions = [decision] }
    return decision
  }

  @Test("are followed to the end, and not sent again")
  func followed() async throws {
    let scene = try Scene()
    await scene.control.resume([left(scene, scene.id)])
    await scene.control.look(at: scene.clock.now())
    #expect(scene.journal.decisions.first?.result == nil)
    await scene.end(.aborted)
    #expect(scene.journal.decisions.first?.result == .aborted)
    #expect(scene.backend.calls.isEmpty)
    // Whose abort it was is said again: the tracker knew nothing of it.
    #expect(scene.fleet.announced == [.userAbort])
  }

  @Test("of a migration that is never seen again are an error after a minute")
  func unseen() async throws {
    let scene = try Scene()
    // As long as its back end does not answer, nothing is said by its absence.
    scene.fleet.setUp(false)
    await scene.control.resume([left(scene, MigrationID("gone-1"))])
    await scene.control.look(at: scene.clock.now())
    scene.clock.advance(.seconds(300))
    await scene.control.look(at: scene.clock.now())
    #expect(scene.journal.decisions.first?.result == nil)
    scene.fleet.setUp(true)
    await scene.control.look(at: scene.clock.now())
    scene.clock.advance(.seconds(59))
    await scene.control.look(at: scene.clock.now())
    #expect(scene.journal.decisions.first?.result == nil)
    scene.clock.advance(.seconds(1))
    await scene.control.look(at: scene.clock.now())
    #expect(scene.journal.decisions.first?.result == .error)
  }

  @Test("of a back end that is not watched any more are an error after a minute")
  func unwatched() async throws {
    let scene = try Scene()
    _ = await scene.control.abort(scene.order())
    scene.fleet.remove()
    await scene.control.look(at: scene.clock.now())
    scene.clock.advance(.seconds(60))
    await scene.control.look(at: scene.clock.now())
    #expect(scene.journal.decisions.first?.result == .error)
    #expect(scene.control.withState { !$0.hasToLook })
  }

  @Test("and starts whose answer was never seen, are told as such")
  func start() async throws {
    let scene = try Scene()
    await scene.control.resume([left(scene, nil, .migrate)])
    #expect(scene.journal.decisions.first?.result == .error)
  }
}
