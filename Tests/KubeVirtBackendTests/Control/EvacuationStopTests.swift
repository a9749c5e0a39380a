import DroverCore
import Synchronization
import Testing

@testable import KubeVirtBackend
@testable import Kubernetes

@Suite("Ending an evacuation step by step")
struct EvacuationStopTests {
  /// A cluster that does what is asked of it, or fails where a test wants it to.
  final class Played: EvacuationCluster {
    struct State {
      var node: MadeNode = MadeNode()
      var vmis: [MadeVMI] = [EvacuationLookTests.evicted("a"), EvacuationLookTests.evicted("b")]
      var vmims = [
        EvacuationLookTests.evacuation("m1", of: "a"), EvacuationLookTests.evacuation("m2", of: "b"),
      ]
      var calls: [String] = []
      /// Calls that fail.
      var failing: [String: ControlError.Kind] = [:]
      var refusals: [String: RefusalReason] = [:]
      /// What happens beside a call.
      var beside: [String: @Sendable (inout State) -> Void] = [:]
      var callsLeft = Int.max
    }

    let state: Mutex<State>
    let subject: EvacuationSubject

    init(_ subject: EvacuationSubject = .node("node-a"), _ edit: (inout State) -> Void = { _ in }) {
      var state = State()
      edit(&state)
      self.state = Mutex(state)
      self.subject = subject
    }

    var calls: [String] { state.withLock(\.calls).filter { !$0.hasPrefix("look") } }
    var isLate: Bool { state.withLock { $0.callsLeft <= 0 } }

    private func call(_ name: String, _ effect: (inout State) -> Void = { _ in }) throws(ControlError) {
      let kind = state.withLock { state -> ControlError.Kind? in
        state.calls.append(name)
        state.callsLeft -= name.hasPrefix("look") ? 0 : 1
        if let kind = state.failing[name] { return kind }
        effect(&state)
        state.beside.removeValue(forKey: name)?(&state)
        return nil
      }
      if let kind { throw ControlError(kind, call: name, cause: "played", remedy: "none") }
    }

    func look() async throws(ControlError) -> EvacuationLook {
      let number = state.withLock { $0.calls.count { $0.hasPrefix("look") } + 1 }
      try call("look \(number)")
      let state = state.withLock(\.self)
      do {
        return EvacuationLook(
          subject: subject, node: try state.node.decoded(), vmis: try state.vmis.map { try $0.decoded() },
          vmims: try state.vmims.map { try $0.decoded() },
          kubeVirt: try MadeKubeVirt(version: "1.8.0").decoded())
      } catch {
        throw ControlError(.other, call: "look", cause: "\(error)", remedy: "")
      }
    }

    func removeTaint(_ taint: Node.Taint, from node: Node) async throws(ControlError) {
      try call("taint") { $0.node.taints = [] }
    }

    func takeBack(_ vmi: VMI) async throws(ControlError) {
      try call("mark \(vmi.metadata.name)") { state in
        for index in state.vmis.indices where state.vmis[index].name == vmi.metadata.name {
          state.vmis[index].evacuationNode = ""
        }
      }
    }

    func refusal(of vmim: VMIM) async throws(ControlError) -> Refusal? {
      state.withLock { $0.refusals[vmim.metadata.name] }.map { Refusal($0, "played \($0.rawValue)") }
    }

    func delete(_ vmim: VMIM) async throws(ControlError) {
      try call("delete \(vmim.metadata.name)") { state in
        state.vmims.removeAll { $0.name == vmim.metadata.name }
      }
    }

    func pause() async { state.withLock { $0.beside.removeValue(forKey: "pause")?(&$0) } }

    func stop() async throws(ControlError) -> [String] {
      try await EvacuationStop(call: "ending it", cluster: self).run()
    }
  }

  private static func taint(_ state: inout Played.State) {
    state.node.taints = [("kubevirt.io/drain", "NoSchedule")]
  }

  @Test("The taint, then the marks, then the migrations; and what was done is said")
  func order() async throws {
    let cluster = Played { Self.taint(&$0) }
    let done = try await cluster.stop()
    #expect(cluster.calls == ["taint", "mark a", "mark b", "delete m1", "delete m2"])
    #expect(done.count == 5 && done[0].hasPrefix("took the taint") && done[4].contains("default/m2"))
  }

  @Test("What KubeVirt made before the taint was gone is found: a mark and a migration more")
  func late() async throws {
    let cluster = Played {
      Self.taint(&$0)
      $0.beside["taint"] = { $0.vmis.append(EvacuationLookTests.evicted("c")) }
      $0.beside["mark c"] = { $0.vmims.append(EvacuationLookTests.evacuation("m3", of: "c")) }
    }
    _ = try await cluster.stop()
    #expect(cluster.calls.suffix(4) == ["mark c", "delete m1", "delete m2", "delete m3"])
  }

  @Test("One that KubeVirt makes after the deletes is deleted once more; one that is evicted again is said")
  func afterwards() async throws {
    let cluster = Played {
      $0.beside["pause"] = { $0.vmims.append(EvacuationLookTests.evacuation("m3", of: "a")) }
    }
    let done = try await cluster.stop()
    #expect(cluster.calls.last == "delete m3" && done.last?.contains("default/m3") == true)
    let again = Played {
      $0.beside["pause"] = { state in
        state.vmis[0].evacuationNode = "node-a"
        state.vmims.append(EvacuationLookTests.evacuation("m3", of: "a"))
      }
    }
    let error = await #expect(throws: ControlError.self) { try await again.stop() }
    #expect(again.calls.last == "delete m2" && error?.cause.contains("evicted again") == true)
  }

  @Test("Where the taint cannot be taken away nothing else is touched")
  func taintStays() async throws {
    let cluster = Played {
      Self.taint(&$0)
      $0.failing = ["taint": .denied]
    }
    let error = await #expect(throws: ControlError.self) { try await cluster.stop() }
    #expect(error?.kind == .denied && cluster.calls == ["taint"])
    #expect(error?.cause.contains("nothing was changed") == true)
    #expect(error?.cause.contains("not tried: take back that default/a") == true)
  }

  @Test("A VM whose mark stays keeps its migration; the others go on, and both are said")
  func markStays() async throws {
    let cluster = Played { $0.failing = ["mark a": .timeout] }
    let error = await #expect(throws: ControlError.self) { try await cluster.stop() }
    #expect(cluster.calls == ["mark a", "mark b", "delete m2"])
    #expect(error?.kind == .timeout && error?.mayBeDone == true)
    let cause = error?.cause ?? ""
    #expect(
      cause.contains("not done: take back that default/a")
        && cause.contains("not tried: delete VMIM default/m1"))
    #expect(
      cause.contains("done before: took back that default/b") && cause.contains("deleted VMIM default/m2"))
  }

  @Test("A VM that is evicted again at once keeps its migration, and that is said")
  func again() async throws {
    let cluster = Played {
      $0.beside["mark b"] = { $0.vmis[0].evacuationNode = "node-a" }
    }
    let error = await #expect(throws: ControlError.self) { try await cluster.stop() }
    #expect(cluster.calls == ["mark a", "mark b", "delete m2"])
    #expect(error?.cause.contains("evicted again") == true)
  }

  @Test("A taint that comes back, and an upgrade that begins, end it in the middle")
  func takenOver() async throws {
    let tainted = Played {
      Self.taint(&$0)
      $0.beside["mark a"] = { Self.taint(&$0) }
    }
    var error = await #expect(throws: ControlError.self) { try await tainted.stop() }
    #expect(tainted.calls == ["taint", "mark a", "mark b"])
    #expect(error?.cause.contains("there again") == true)
    let upgraded = Played {
      $0.beside["mark a"] = { state in
        Self.taint(&state)
        state.node.tainted.value = "draining"
        state.node.labels = ["harvesterhci.io/managed": "true"]
      }
    }
    error = await #expect(throws: ControlError.self) { try await upgraded.stop() }
    #expect(upgraded.calls == ["mark a", "mark b"])
    #expect(
      error?.cause.contains("Harvester upgrade") == true && error?.cause.contains("done before") == true)
  }

  @Test("An upgrade is not touched at all")
  func upgrade() async throws {
    let cluster = Played {
      Self.taint(&$0)
      $0.node.tainted.value = "draining"
      $0.node.labels = ["harvesterhci.io/managed": "true"]
    }
    let error = await #expect(throws: ControlError.self) { try await cluster.stop() }
    #expect(error?.kind == .refused && cluster.calls == [])
  }

  @Test(
    "A migration that is over, or ends whatever is done, is left alone, which is no failure; an unreadable one is",
    arguments: [(RefusalReason.postcopy, RefusalReason.switchover), (.finished, .aborting)])
  func left(one: RefusalReason, other: RefusalReason) async throws {
    let cluster = Played { $0.refusals = ["m1": one, "m2": other] }
    let done = try await cluster.stop()
    #expect(cluster.calls == ["mark a", "mark b"] && done.count { $0.hasPrefix("left VMIM") } == 2)
    let unreadable = Played { $0.refusals = ["m1": .unreadable] }
    let error = await #expect(throws: ControlError.self) { try await unreadable.stop() }
    #expect(unreadable.calls.last == "delete m2" && error?.cause.contains("delete VMIM default/m1") == true)
  }

  @Test("One that is gone meanwhile was ended by somebody else")
  func gone() async throws {
    let cluster = Played { $0.failing = ["delete m1": .gone] }
    let done = try await cluster.stop()
    #expect(done.contains { $0.contains("not there any more") })
  }

  @Test("When its time is over no step is begun, and what was not tried is said")
  func outOfTime() async throws {
    let cluster = Played { $0.callsLeft = 1 }
    let error = await #expect(throws: ControlError.self) { try await cluster.stop() }
    #expect(cluster.calls == ["mark a"] && error?.kind == .timeout)
    #expect(error?.cause.contains("not tried: take back that default/b") == true)
  }

  @Test("What cannot be read in the middle ends it, with what was done")
  func unreadable() async throws {
    let cluster = Played {
      Self.taint(&$0)
      $0.failing = ["look 3": .unreachable]
    }
    let error = await #expect(throws: ControlError.self) { try await cluster.stop() }
    #expect(error?.kind == .unreachable && cluster.calls == ["taint", "mark a", "mark b"])
    #expect(error?.cause.contains("done before: took the taint") == true)
  }
}
