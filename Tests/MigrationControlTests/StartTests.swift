import DroverCore
import Synchronization
import Testing

@testable import MigrationControl

@Suite("Starting a migration through the control module")
struct StartTests {
  private func order(_ scene: Scene, to node: String? = "b") -> StartOrder {
    StartOrder(vm: VMRef(backend: scene.vm.backend, scope: scene.vm.scope, name: "db-1"), node: node)
  }

  @Test("looks at everything, records, sends, and tells what was made")
  func whole() async throws {
    let scene = try Scene()
    let answer = await scene.control.migrate(order(scene), requester: "x")
    #expect(answer.decision.kind == .acted && answer.decision.result == .done)
    #expect(answer.object == "vm-abcde" && answer.decision.migration == MigrationID("made-1"))
    #expect(scene.backend.calls == ["plan", "start db-1 b"])
    #expect(scene.journal.decisions.map(\.result) == [.done])
    #expect(scene.journal.decisions.first?.evidence.contains(.init("request", "POST it")) == true)
    // Only aborts are counted as such.
    #expect(scene.control.totals.decisions.isEmpty)
  }

  @Test("sends nothing where anything speaks against it, and tells all of that")
  func refused() async throws {
    let scene = try Scene()
    scene.backend.state.withLock {
      $0.plan.refusals = [Refusal(.notRunning, "one"), Refusal(.targetUnfit, "two")]
    }
    let answer = await scene.control.migrate(order(scene), requester: "x")
    #expect(answer.refusals.map(\.reason) == [.notRunning, .targetUnfit])
    #expect(answer.decision.text == "one; two" && answer.decision.refusal == .notRunning)
    #expect(scene.backend.calls == ["plan"])
    #expect(scene.journal.decisions.map(\.kind) == [.refused])
  }

  @Test("two who ask at once begin one")
  func atOnce() async throws {
    let scene = try Scene()
    let (control, order) = (scene.control, order(scene))
    let isFirst = Mutex(true)
    let second = Mutex<[RefusalReason]>([])
    scene.backend.state.withLock { state in
      state.during = {
        guard
          isFirst.withLock({ first in
            defer { first = false }
            return first
          })
        else { return }
        let answer = await control.migrate(order, requester: "y")
        second.withLock { $0 = answer.refusals.map(\.reason) }
      }
    }
    #expect(await control.migrate(order, requester: "x").decision.result == .done)
    #expect(second.withLock(\.self) == [.migrating])
    #expect(scene.backend.calls.filter { $0.hasPrefix("start") }.count == 1)
  }

  @Test("does not migrate what migrates already, also where the source does not say so yet")
  func migrating() async throws {
    let scene = try Scene()
    let answer = await scene.control.migrate(StartOrder(vm: scene.vm), requester: "x")
    #expect(answer.refusals.map(\.reason) == [.migrating])
    #expect(scene.backend.calls == ["plan"])
    await scene.end(.succeeded)
    #expect(await scene.control.migrate(StartOrder(vm: scene.vm), requester: "x").decision.kind == .acted)
  }

  @Test("asks only, where only a question is asked")
  func dryRun() async throws {
    let scene = try Scene()
    let answer = await scene.control.migrate(order(scene), requester: "x", isDryRun: true)
    #expect(answer.isDryRun && answer.request == "POST it" && answer.decision.kind == .acted)
    #expect(scene.backend.calls == ["plan"] && scene.journal.decisions.isEmpty)
  }

  @Test("sends nothing that it cannot record, unless a person says so, nor what it cannot read about")
  func journal() async throws {
    let scene = try Scene(hasJournal: false)
    let refused = await scene.control.migrate(order(scene), requester: "x")
    #expect(refused.refusals.map(\.reason) == [.journal] && scene.backend.calls == ["plan"])
    let acted = await scene.control.migrate(order(scene), requester: "x", withoutJournal: true)
    #expect(acted.decision.kind == .acted && scene.backend.calls.last == "start db-1 b")
    scene.backend.state.withLock { $0.planError = .sample(.denied) }
    let blind = await scene.control.migrate(order(scene), requester: "x", withoutJournal: true)
    #expect(blind.refusals.map(\.reason) == [.unreadable])
  }

  @Test("tells an error of the back end, and where there is none that can")
  func errors() async throws {
    let scene = try Scene()
    scene.backend.state.withLock { $0.startError = .sample(.refused) }
    let answer = await scene.control.migrate(order(scene), requester: "x")
    #expect(answer.decision.result == .error && scene.journal.decisions.map(\.result) == [.error])
    let deaf = try Scene(isControllable: false)
    #expect(await deaf.control.migrate(order(deaf), requester: "x").refusals.map(\.reason) == [.unsupported])
  }
}
