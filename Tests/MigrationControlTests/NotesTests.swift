import DroverCore
import Synchronization
import Testing

@testable import MigrationControl

@Suite("What others are told of a decision")
struct NotesTests {
  private func eventually(_ isSo: () -> Bool) async -> Bool {
    for _ in 0..<1000 where !isSo() { try? await Task.sleep(for: .milliseconds(2)) }
    return isSo()
  }

  @Test(
    "An abort that was sent is noted at the VM, and so is an automatic one that was refused, but no person's")
  func notes() async throws {
    let scene = try Scene()
    scene.backend.state.withLock { $0.live = LiveMigration(.running(.postcopy), word: "post-copy") }
    _ = await scene.control.abort(scene.order())
    _ = await scene.control.abort(scene.order(trigger: .alert))
    #expect(await eventually { scene.backend.notes.count == 1 })
    #expect(scene.backend.notes.first?.kind == .abortRefused)
    #expect(scene.backend.notes.first?.text.contains("alert") == true)
    scene.backend.state.withLock { $0.live = LiveMigration(.running(.precopy), word: "active") }
    _ = await scene.control.abort(scene.order())
    #expect(await eventually { scene.backend.notes.count == 2 })
    #expect(scene.backend.notes.last?.kind == .abortSent)
  }

  @Test("A note that takes long holds nothing up, and there are never many on their way")
  func slow() async throws {
    let scene = try Scene()
    let gate = Mutex(true)
    scene.backend.noteGate.withLock {
      $0 = { while gate.withLock(\.self) { try? await Task.sleep(for: .milliseconds(1)) } }
    }
    scene.backend.state.withLock { $0.live = LiveMigration(.running(.postcopy), word: "post-copy") }
    for _ in 0..<40 { _ = await scene.control.abort(scene.order(trigger: .alert)) }
    gate.withLock { $0 = false }
    #expect(await eventually { scene.backend.notes.count == 16 })
    #expect(scene.control.withState(\.notes) <= 16)
  }
}

@Suite("Which migration a decision began")
struct NamingTests {
  private func order(_ scene: Scene) -> StartOrder {
    StartOrder(vm: VMRef(backend: scene.vm.backend, scope: scene.vm.scope, name: "db-1"), node: "b")
  }

  @Test("is known to the journal at once where it has an identity, and its order carries the decision's mark")
  func atOnce() async throws {
    let scene = try Scene()
    _ = await scene.control.migrate(order(scene), requester: "x")
    #expect(scene.journal.decisions.map(\.migration) == [MigrationID("made-1")])
    let decision = try #require(scene.journal.decisions.first)
    #expect(scene.backend.marks == ["1-\(decision.madeAt)"])
  }

  @Test("is added once it is seen, and an earlier migration of the VM is not taken for it")
  func later() async throws {
    let scene = try Scene()
    scene.backend.state.withLock { $0.receipt = StartReceipt() }
    let order = StartOrder(vm: scene.vm)
    await scene.end(.failed, cause: .other)
    scene.clock.advance(.seconds(60))
    _ = await scene.control.migrate(order, requester: "x")
    await scene.control.nameSeen(at: scene.clock.now())
    #expect(scene.journal.decisions.map(\.migration) == [nil])
    scene.clock.advance(.seconds(1))
    let new = try #require(MigrationID("6f2d8f0e-0000-4000-8000-000000000001-1700001070000"))
    var seen = scene.observation(.precopy)
    seen.id = new
    seen.startedAt = scene.clock.now() - .seconds(1)
    scene.fleet.tell(seen)
    await scene.control.nameSeen(at: scene.clock.now())
    #expect(scene.journal.decisions.map(\.migration) == [new])
    #expect(scene.control.withState(\.unseen.count) == 0)
  }

  @Test("is given up after five minutes")
  func never() async throws {
    let scene = try Scene()
    scene.backend.state.withLock { $0.receipt = StartReceipt() }
    _ = await scene.control.migrate(order(scene), requester: "x")
    scene.clock.advance(.seconds(301))
    await scene.control.nameSeen(at: scene.clock.now())
    #expect(scene.control.withState(\.unseen.count) == 0)
  }
}

@Suite("A dry run")
struct DryRunJournalTests {
  @Test("says that the real one would be refused for want of a journal, unless that is waived")
  func journal() async throws {
    let scene = try Scene(hasJournal: false)
    let asked = await scene.control.abort(scene.order(), isDryRun: true)
    #expect(asked.decision.kind == .acted)
    #expect(asked.warnings.count == 1 && asked.warnings[0].contains("--without-journal"))
    let waived = await scene.control.abort(scene.order(withoutJournal: true), isDryRun: true)
    #expect(waived.warnings.isEmpty)
    let start = await scene.control.migrate(
      StartOrder(vm: VMRef(backend: scene.vm.backend, scope: scene.vm.scope, name: "db-1")), requester: "x",
      isDryRun: true)
    #expect(start.warnings.contains { $0.contains("it would be refused") })
  }

  @Test("says so of a journal that fails now, and nothing of one that works")
  func trouble() async throws {
    let scene = try Scene()
    #expect(await scene.control.abort(scene.order(), isDryRun: true).warnings.isEmpty)
    scene.journal.state.withLock {
      $0.error = JournalError(.full, call: "c", cause: "no space left", remedy: "make some")
    }
    let asked = await scene.control.abort(scene.order(), isDryRun: true)
    #expect(asked.warnings.first?.contains("no space left") == true)
  }
}
