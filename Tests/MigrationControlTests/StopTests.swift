import DroverCore
import Logging
import Synchronization
import Testing

@testable import MigrationControl

@Suite("Ending an evacuation through the control module")
struct StopTests {
  private let node = EvacuationSubject.node("n1")

  private func stop(
    _ scene: Scene, _ subject: EvacuationSubject? = nil, withoutJournal: Bool = false, isDryRun: Bool = false
  ) async -> StopAnswer {
    await scene.control.stopEvacuation(
      of: subject ?? node, at: scene.vm.backend, requester: "x", withoutJournal: withoutJournal,
      isDryRun: isDryRun)
  }

  @Test("looks, records, does it, and keeps what was found and done")
  func whole() async throws {
    let scene = try Scene()
    let answer = await stop(scene)
    #expect(answer.decision.kind == .acted && answer.decision.result == .done)
    #expect(answer.steps == ["did one", "did two"] && answer.found == ["a taint"])
    #expect(scene.backend.calls == ["evacuation", "stop evacuation"])
    let kept = scene.journal.decisions
    #expect(
      kept.map(\.action) == [.stopEvacuation] && kept.map(\.node) == ["n1"] && kept.map(\.result) == [.done])
    #expect(kept[0].resultText == "did one; did two" && kept[0].evidence == [.init("found", "a taint")])
    let vm = await stop(scene, .vm(scene.vm))
    #expect(vm.decision.vm == scene.vm && vm.decision.node.isEmpty)
  }

  @Test("touches nothing where anything speaks against it, and records that")
  func refused() async throws {
    let scene = try Scene()
    scene.backend.state.withLock { $0.evacuation.refusals = [Refusal(.harvesterUpgrade, "an upgrade")] }
    let answer = await stop(scene)
    #expect(answer.decision.kind == .refused && answer.refusals.map(\.reason) == [.harvesterUpgrade])
    #expect(answer.steps == [] && scene.backend.calls == ["evacuation"])
    #expect(scene.journal.decisions.map(\.refusal) == [.harvesterUpgrade])
  }

  @Test("says so where there is nothing to end, and records nothing")
  func nothing() async throws {
    let scene = try Scene()
    scene.backend.state.withLock { $0.evacuation = EvacuationReading() }
    let answer = await stop(scene)
    #expect(answer.decision.kind == .observed && answer.decision.text.contains("nothing moves node n1 away"))
    #expect(scene.backend.calls == ["evacuation"] && scene.journal.decisions.isEmpty)
  }

  @Test("asks only, where only a question is asked")
  func dryRun() async throws {
    let scene = try Scene()
    let answer = await stop(scene, isDryRun: true)
    #expect(answer.isDryRun && answer.steps == ["one", "two"] && answer.decision.kind == .acted)
    #expect(scene.backend.calls == ["evacuation"] && scene.journal.decisions.isEmpty)
  }

  @Test("does nothing that it cannot record, unless a person says so")
  func journal() async throws {
    let scene = try Scene(hasJournal: false)
    #expect(await stop(scene).refusals.map(\.reason) == [.journal])
    #expect(scene.backend.calls == ["evacuation"])
    #expect(await stop(scene, withoutJournal: true).decision.result == .done)
  }

  @Test(
    "what cannot be read is refused, by what it is",
    arguments: [
      (ControlError.Kind.gone, RefusalReason.unknown), (.unsupported, .unsupported), (.denied, .unreadable),
      (.timeout, .unreadable),
    ])
  func unreadable(kind: ControlError.Kind, reason: RefusalReason) async throws {
    let scene = try Scene()
    scene.backend.state.withLock { $0.evacuationError = .sample(kind) }
    #expect(await stop(scene).refusals.map(\.reason) == [reason])
    #expect(scene.backend.calls == ["evacuation"])
  }

  @Test("a Drover that does not lead touches nothing, also where it lost that while it looked")
  func standby() async throws {
    let (backend, clock, looksLeft) = (Backend(), Clock(), Left())
    let control = MigrationControl(
      fleet: Fleet(clock, backend.descriptor), journal: nil, clock: clock,
      log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
      election: Election(
        standing: { looksLeft.take() ? Leadership() : Leadership(election: BackendName(rawValue: "prod")) },
        claims: { nil })
    ) { _ in backend }
    for looks in 0...1 {
      looksLeft.set(looks)
      let answer = await control.stopEvacuation(
        of: node, at: backend.descriptor.name, requester: "x", withoutJournal: true)
      #expect(answer.refusals.map(\.reason) == [.notLeader])
    }
    #expect(backend.calls == ["evacuation"])
  }

  /// How often it still leads.
  private final class Left: Sendable {
    private let count = Mutex(0)
    func set(_ count: Int) { self.count.withLock { $0 = count } }
    func take() -> Bool {
      count.withLock { count in
        count -= 1
        return count >= 0
      }
    }
  }

  @Test("a failure in the middle is told and recorded; without a back end it is refused")
  func errors() async throws {
    let scene = try Scene()
    scene.backend.state.withLock { $0.stopError = .sample(.refused) }
    let answer = await stop(scene)
    #expect(answer.error?.kind == .refused && answer.decision.result == .error && answer.steps == [])
    #expect(scene.journal.decisions.map(\.result) == [.error])
    #expect(await stop(try Scene(isControllable: false)).refusals.map(\.reason) == [.unsupported])
  }

  @Test("the same is not done twice at a time; another one is")
  func once() async throws {
    let scene = try Scene()
    let inner = Mutex<[RefusalReason]>([])
    scene.backend.state.withLock { state in
      state.during = { [control = scene.control, backend = scene.vm.backend] in
        scene.backend.state.withLock { $0.during = nil }
        let again = await control.stopEvacuation(of: .node("n1"), at: backend, requester: "y")
        let other = await control.stopEvacuation(of: .node("n2"), at: backend, requester: "y")
        inner.withLock { $0 = (again.refusals + other.refusals).map(\.reason) }
      }
    }
    #expect(await stop(scene).decision.result == .done)
    #expect(inner.withLock(\.self) == [.aborting])
    #expect(await stop(scene).decision.result == .done)
  }
}
