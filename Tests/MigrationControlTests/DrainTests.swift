import DroverCore
import Synchronization
import Testing

@testable import MigrationControl

@Suite("Drains through the control module")
struct DrainTests {
  @Test("are decided, stored, carried out, and closed with what they came to")
  func whole() async throws {
    let scene = DrainScene("g1", "g2", "g3")
    let answer = await scene.begin()
    #expect(answer.isNew && answer.decision.kind == .acted && answer.decision.id == DecisionID(rawValue: 1))
    #expect(scene.store.last?.state == .active)
    await scene.settle()
    #expect(Set(scene.starts) == ["start g1 -", "start g2 -"])
    for name in ["g1", "g2"] { scene.end(name, .succeeded) }
    await scene.settle()
    scene.end("g3", .succeeded)
    await scene.settle()
    #expect(scene.drains.status(scene.node)?.record.state == .complete)
    #expect(scene.store.last?.state == .complete)
    let begun = scene.journal.decisions.first
    #expect(begun?.action == .drain && begun?.result == .done)
    #expect(begun?.resultText == "no VM runs on it; 3 moved")
    let migrations = scene.journal.decisions.filter { $0.action == .migrate }
    #expect(migrations.count == 3)
    #expect(migrations.allSatisfy { $0.requester == "the drain of a, for uid 0" })
  }

  @Test("a migration is stored as asked for before it is asked for; where that fails nothing is sent")
  func writtenAhead() async throws {
    let scene = DrainScene("g1")
    await scene.begin()
    let store = scene.store
    let seen = Mutex<[DrainVM?]>([])
    scene.host.state.withLock { state in
      state.starting = { _ in seen.withLock { $0.append(store.last?.vms.first) } }
    }
    scene.store.state.withLock { $0.error = JournalError(.full, call: "c", cause: "full", remedy: "r") }
    await scene.settle()
    #expect(scene.starts.isEmpty && scene.state("g1") == .pending)
    scene.store.state.withLock { $0.error = nil }
    await scene.settle(after: .seconds(10))
    #expect(scene.starts.count == 1)
    let stored = try #require(seen.withLock(\.self).first ?? nil)
    #expect(stored.sentAt != nil && stored.state == .migrating)
  }

  @Test("after a restart they are taken up, and what is under way is not begun again")
  func resumed() async throws {
    let scene = DrainScene("g1", "g2", settings: DrainSettings(parallel: 1))
    await scene.begin()
    await scene.settle()
    #expect(scene.starts == ["start g1 -"])
    let next = DrainControl(scene.control, store: scene.store, settings: DrainSettings(parallel: 1))
    let left = scene.journal.decisions.filter { $0.result == nil }
    await scene.control.resume(left)
    await next.resume(left)
    #expect(scene.journal.decisions.first?.result == nil)
    await scene.settle(next, after: .seconds(60))
    #expect(scene.starts == ["start g1 -"])
    scene.end("g1", .succeeded)
    await scene.settle(next)
    #expect(scene.starts == ["start g1 -", "start g2 -"])
    scene.end("g2", .succeeded)
    await scene.settle(next)
    #expect(next.status(scene.node)?.record.state == .complete)
    #expect(scene.journal.decisions.first?.result == .done)
  }

  @Test("a decision for one of which nothing is kept is closed")
  func lost() async {
    let scene = DrainScene("g1")
    await scene.begin()
    scene.store.state.withLock { $0.records = [:] }
    let next = DrainControl(scene.control, store: scene.store)
    await next.resume(scene.journal.decisions)
    #expect(scene.journal.decisions.first?.result == .error)
  }

  @Test("a node that cannot be read, or hangs, holds up no other")
  func hanging() async throws {
    let scene = DrainScene("g1")
    let other = NodeRef(backend: scene.beside.descriptor.name, node: "z")
    #expect(await scene.drains.begin(other, requester: "uid 0").isNew)
    await scene.begin()
    let (gate, open) = AsyncStream<Void>.makeStream()
    scene.beside.state.withLock { state in state.gate = { for await _ in gate { return } } }
    scene.clock.advance(.seconds(3))
    scene.fleet.setUp(true)
    let first = scene.drains.turn()
    for _ in 1...500 where scene.starts.isEmpty {
      scene.drains.turn()
      try await Task.sleep(for: .milliseconds(10))
    }
    #expect(scene.starts == ["start g1 -"])
    open.finish()
    for task in first { await task.value }
    scene.host.state.withLock { $0.nodeError = .sample(.timeout) }
    await scene.settle(after: .seconds(60))
    #expect(scene.drains.status(scene.node)?.hold.contains("a cause") == true)
  }

  @Test("guests are spread over the hosts by what is left there")
  func spread() async {
    let scene = DrainScene("g1", "g2", "g3", settings: DrainSettings(parallel: 3))
    scene.host.state.withLock { state in
      for name in ["g1", "g2", "g3"] {
        state.choices[name] = MoveChoices(
          targets: [
            .init(node: "b", host: "b", free: .mebibytes(200)),
            .init(node: "c", host: "c", free: .mebibytes(150)),
          ], memory: .mebibytes(64))
      }
    }
    let asked = await scene.drains.begin(scene.node, requester: "uid 0", isDryRun: true)
    #expect(asked.forecast.map(\.target) == ["b", "c", "b"])
    #expect(scene.journal.decisions.isEmpty && scene.drains.status(scene.node) == nil)
    await scene.begin()
    await scene.settle()
    #expect(scene.starts.map { $0.suffix(1) }.sorted() == ["b", "b", "c"])
  }

  @Test("what is not known of a target is told of whoever would go there, and keeps nobody from being tried")
  func doubtful() async {
    let scene = DrainScene("g1", "g2")
    let silent = Eligibility.Obstacle(
      .unknown, "b cannot be asked: No route to host", remedy: "let Drover reach it")
    scene.host.state.withLock { state in
      state.choices["g1"] = MoveChoices(targets: [.init(node: "b", host: "b", obstacles: [silent])])
      state.choices["g2"] = MoveChoices(targets: [.init(node: "c", host: "c", free: .gibibytes(1))])
    }
    let asked = await scene.drains.begin(scene.node, requester: "uid 0", isDryRun: true)
    #expect(asked.forecast.map(\.refusals) == [[], []])
    #expect(
      asked.forecast.map(\.doubts) == [["b cannot be asked: No route to host; let Drover reach it"], []])
    await scene.begin()
    await scene.settle()
    #expect(Set(scene.starts) == ["start g1 b", "start g2 c"])
  }

  @Test("what cannot move is blocked with its reasons, asked or done")
  func blocked() async {
    let scene = DrainScene("disk", "ok")
    scene.host.state.withLock { state in
      state.choices["disk"] = MoveChoices(
        obstacles: [.init(.accessMode, "its disk is here only", remedy: "share it")],
        targets: [.init(node: "b", host: "b")])
    }
    let asked = await scene.drains.begin(scene.node, requester: "uid 0", isDryRun: true)
    #expect(asked.forecast.map(\.refusals.isEmpty) == [false, true])
    await scene.begin()
    await scene.settle()
    #expect(scene.starts == ["start ok -"])
    #expect(scene.state("disk") == .blocked)
    // Who looks at the VM is told.
    for _ in 1...500 where scene.host.state.withLock(\.notes).isEmpty {
      try? await Task.sleep(for: .milliseconds(10))
    }
    #expect(scene.host.state.withLock(\.notes) == ["disk": .drainParked])
    scene.end("ok", .succeeded)
    await scene.settle()
    let record = scene.journal.decisions.first { $0.action == .drain }
    #expect(record?.result == .endedOtherwise && record?.resultText == "1 left: 1 blocked; 1 moved")
  }

  @Test("an error of one is tried again; one that may have been done is looked for first")
  func errors() async {
    let scene = DrainScene("no", "perhaps")
    scene.host.state.withLock {
      $0.startErrors = ["no": .sample(.refused), "perhaps": .sample(.timeout)]
    }
    await scene.begin()
    await scene.settle()
    #expect(scene.state("no") == .failed && scene.state("perhaps") == .migrating)
    await scene.settle(after: .seconds(31))
    #expect(scene.state("perhaps") == .failed)
    #expect(scene.starts.filter { $0.contains("perhaps") }.count == 1)
    #expect(scene.starts.filter { $0.contains("no") }.count == 2)
  }

  @Test("a migration of its own past its deadline is ended through the control module, as a time-out")
  func timeout() async throws {
    let scene = DrainScene("g1")
    await scene.begin()
    await scene.settle()
    let began = scene.clock.now()
    // 800 s for the GiB that it has.
    scene.clock.advance(.seconds(803))
    scene.fleet.tell(DrainScene.observation("g1", startedAt: began - .seconds(2), takenAt: scene.clock.now()))
    await scene.settle(after: .zero)
    #expect(scene.host.calls.filter { $0.hasPrefix("abort") } == ["abort g1"])
    let abort = try #require(scene.journal.decisions.first { $0.action == .abort })
    #expect([.completionTimeout, .progressTimeout].contains(abort.trigger) && abort.kind == .acted)
    #expect(scene.fleet.announced == [.policyAbort])
    scene.end("g1", .aborted, .userAbort)
    await scene.settle()
    #expect(scene.state("g1") == .timedOut)
    #expect(scene.drains.status(scene.node)?.record.state == .incomplete)
  }

  @Test(
    "nothing is ended at its deadline while many have lost their network, also where that comes at the last moment"
  )
  func partition() async throws {
    for comesLate in [false, true] {
      let scene = DrainScene("g1")
      let isOver = Mutex(false)
      let journal = scene.journal
      let drains = DrainControl(scene.control, store: scene.store) {
        guard !isOver.withLock(\.self) else { return false }
        return !comesLate || journal.decisions.contains { $0.action == .abort }
      }
      _ = await drains.begin(scene.node, requester: "uid 0")
      await scene.settle(drains)
      let began = scene.clock.now()
      func pass(_ time: Duration) async {
        scene.clock.advance(time)
        scene.fleet.tell(
          DrainScene.observation("g1", startedAt: began - .seconds(2), takenAt: scene.clock.now()))
        await scene.settle(drains, after: .zero)
      }
      var aborts: [String] { scene.host.calls.filter { $0.hasPrefix("abort") } }
      await pass(.seconds(803))
      #expect(aborts.isEmpty && scene.journal.decisions.contains { $0.action == .abort } == comesLate)
      let text = drains.status(scene.node)?.record.vms.first?.text
      #expect(text?.contains("lost their network at once") == true, "\(text ?? "")")
      isOver.withLock { $0 = true }
      await pass(.seconds(10))
      #expect(aborts == ["abort g1"])
    }
  }

  @Test("are refused where they cannot be recorded, the back end cannot, or the node is not there")
  func refused() async {
    let none = DrainScene("g1", hasJournal: false)
    #expect(await none.begin().refusals.map(\.reason) == [.journal])
    let scene = DrainScene("g1")
    scene.store.state.withLock { $0.error = JournalError(.full, call: "c", cause: "full", remedy: "r") }
    #expect(await scene.begin().refusals.map(\.reason) == [.journal])
    #expect(scene.drains.status(scene.node)?.record.state == .cancelled)
    #expect(scene.journal.decisions.first?.result == .error)
    scene.store.state.withLock { $0.error = nil }
    // The store may have taken the first all the same: it gets a later one that is over.
    await scene.settle()
    #expect(scene.store.last?.state == .cancelled && scene.store.last?.endedAt != nil)
    #expect(scene.store.last.map { $0.revision > 1 } == true)
    for (kind, reason) in [
      (ControlError.Kind.unsupported, RefusalReason.unsupported), (.gone, .unknown), (.timeout, .unreadable),
    ] {
      scene.host.state.withLock { $0.nodeError = .sample(kind) }
      #expect(await scene.begin().refusals.map(\.reason) == [reason])
    }
    let nowhere = NodeRef(backend: BackendName(rawValue: "nobody"), node: "a")
    #expect(
      await scene.drains.begin(nowhere, requester: "x").refusals.map(\.reason) == [.unsupported])
    #expect(scene.starts.isEmpty)
  }

  @Test("one that is in force is not begun again")
  func twice() async {
    let scene = DrainScene("g1")
    await scene.begin()
    let again = await scene.begin()
    #expect(!again.isNew && again.status?.record.id == DecisionID(rawValue: 1))
    #expect(scene.journal.decisions.filter { $0.action == .drain }.count == 1)
  }

  @Test("are ended by a person: nothing more is begun, and what is under way is waited for")
  func cancelled() async {
    let scene = DrainScene("g1", "g2", settings: DrainSettings(parallel: 1))
    #expect(
      await scene.drains.end(scene.node, requester: "y", uncordons: false).refusals.map(\.reason) == [
        .unknown
      ])
    await scene.begin()
    await scene.settle()
    let answer = await scene.drains.end(scene.node, requester: "uid 7", uncordons: false)
    #expect(answer.refusals.isEmpty && answer.status?.record.state == .cancelling)
    #expect(await scene.begin().refusals.map(\.reason) == [.aborting])
    scene.end("g1", .succeeded)
    await scene.settle()
    #expect(scene.starts == ["start g1 -"])
    #expect(scene.drains.status(scene.node)?.record.state == .cancelled)
    let decisions = scene.journal.decisions.filter { $0.action == .drain && $0.kind == .acted }
    #expect(decisions.map(\.result) == [.endedOtherwise, .done])
    #expect(decisions.first?.resultText.contains("uid 7 ended it") == true)
    // It may be begun anew.
    #expect(await scene.begin().isNew)
  }

  @Test("the node is closed first, with a decision, and given free again when somebody says so")
  func cordon() async {
    let scene = DrainScene("g1")
    scene.host.state.withLock { state in
      state.isCordoned = false
      state.cordonError = .sample(.denied)
    }
    await scene.begin()
    await scene.settle()
    #expect(scene.starts.isEmpty)
    #expect(scene.journal.decisions.first { $0.action == .cordon }?.result == .error)
    scene.host.state.withLock { $0.cordonError = nil }
    await scene.settle(after: .seconds(11))
    #expect(scene.host.calls.suffix(2) == ["cordon true", "start g1 -"])
    scene.end("g1", .succeeded)
    await scene.settle()
    #expect(scene.drains.status(scene.node)?.record.isCordoned == true)
    let answer = await scene.drains.end(scene.node, requester: "uid 0", uncordons: true)
    #expect(answer.refusals.isEmpty && scene.host.calls.last == "cordon false")
    #expect(
      scene.journal.decisions.last?.action == .uncordon && scene.journal.decisions.last?.result == .done)
    #expect(scene.drains.status(scene.node) == nil)
  }

  @Test("nothing is begun while the switch is disabled, also by one that is in force")
  func disarmed() async {
    let scene = DrainScene("g1")
    await scene.begin()
    scene.drains.apply(DrainSettings(isArmed: false))
    await scene.settle()
    #expect(scene.starts.isEmpty)
    #expect(scene.drains.status(scene.node)?.hold.contains("control.switches.drain") == true)
    scene.drains.apply(DrainSettings())
    await scene.settle()
    #expect(scene.starts == ["start g1 -"])
  }

  @Test("only the leader drains: a standby refuses, begins nothing and shows nothing")
  func standby() async {
    let leads = Mutex(true)
    let scene = DrainScene(
      "g1", "g2", settings: DrainSettings(parallel: 1),
      standing: {
        leads.withLock { $0 } ? Leadership() : Leadership(election: BackendName(rawValue: "prod"))
      })
    await scene.begin()
    leads.withLock { $0 = false }
    await scene.settle()
    #expect(scene.starts.isEmpty)
    #expect(await scene.begin().refusals.map(\.reason) == [.notLeader])
    #expect(
      await scene.drains.end(scene.node, requester: "y", uncordons: true).refusals.map(\.reason) == [
        .notLeader
      ])
    leads.withLock { $0 = true }
    await scene.settle()
    #expect(scene.starts == ["start g1 -"])
  }
}
