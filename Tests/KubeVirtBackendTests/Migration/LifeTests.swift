import Testing

@testable import DroverCore
@testable import KubeVirtBackend

@Suite("The life of a VMIM, which vanishes when it is over")
struct LifeTests {
  private static let copying = MadeState(start: 5)
  private static let done = MadeState(start: 5).succeeded(at: 60)

  /// A cluster in which one migration runs, at second 50.
  private func running(at now: Double = 0) -> ClusterScript {
    var script = ClusterScript(at: now)
    script.put(MadeVMI().with(Self.copying))
    script.put(.running())
    script.advance(to: 50)
    return script
  }

  private func over(_ phase: String, _ state: MadeState?, at second: Double = 61, deleted: Double? = nil)
    -> MadeVMIM
  {
    var vmim = MadeVMIM.running().entering(phase, at: second)
    vmim.state = state
    vmim.deleted = deleted
    return vmim
  }

  @Test("An end is told once, however often and in what order its object is told after it")
  func once() {
    var script = running()
    script.advance(to: 61)
    script.put(MadeVMI().with(Self.done, node: "node-b"))
    let final = over("Succeeded", Self.done)
    for _ in 1...3 { script.put(final) }
    script.put(over("Succeeded", Self.done, deleted: 62))
    script.advance(to: 70)
    script.put(over("Failed", Self.done.failed("x", at: 63)))
    script.put(.running())
    script.remove(final)
    script.remove(final)
    script.advance(to: 90)
    #expect(script.endings == ["succeeded -"] && script.counters == [1, 1, 0, 0])
    #expect(script.watch.migrations.isEmpty && script.watch.ended.isEmpty && script.watch.openByVM.isEmpty)
    #expect(script.view()?.guest == .target)
    #expect(script.view()?.ending?.endedAt == TestTime.moment(60))
  }

  @Test("The same event twice tells nothing new")
  func twice() {
    var script = running()
    let before = script.observations.count
    for _ in 1...5 {
      script.put(.running())
      script.put(MadeVMI().with(Self.copying))
    }
    #expect(script.observations.count == before)
  }

  @Test("A final state that comes with the deletion only is latched", arguments: [true, false])
  func deletedFinal(isAbort: Bool) {
    var script = running()
    script.advance(to: 61)
    if isAbort {
      var asked = MadeVMIM.running()
      asked.deleted = 55
      script.put(asked)
      #expect(script.view()?.phase == .aborting)
      script.remove(
        over(
          "Failed", Self.copying.failed("Live migration aborted ", at: 60, abortStatus: "Succeeded"),
          deleted: 55))
    } else {
      script.remove(over("Succeeded", Self.done, deleted: 55))
    }
    #expect(script.endings == [isAbort ? "aborted user_abort reported" : "succeeded -"])
    #expect(script.watch.migrations.isEmpty && script.watch.ended.isEmpty)
  }

  @Test("A list without the object, after an outage, ends it with what the VMI says")
  func goneFromList() {
    let vmis: [(MadeVMI, String)] = [
      (MadeVMI().with(Self.done, node: "node-b"), "succeeded - inferred"),
      (
        MadeVMI().with(
          Self.copying.failed("Live migration stuck for 151 seconds and has been aborted", at: 60)),
        "failed progress_timeout reported"
      ),
      (MadeVMI(), "failed unknown inferred"),
    ]
    for (vmi, ending) in vmis {
      for isVMIFirst in [true, false] {
        var script = running()
        script.advance(to: 600)
        if isVMIFirst { script.put(vmi) }
        script.remove(.running(), last: false)
        if !isVMIFirst {
          script.advance(to: 603)
          #expect(script.endings.isEmpty)
          script.put(vmi)
        }
        script.answer()
        script.advance(to: 610)
        #expect(script.endings.map { $0.hasPrefix("succeeded") ? "succeeded - inferred" : $0 } == [ending])
        #expect(script.view()?.ending?.certainty == (ending.hasSuffix("inferred") ? .inferred : .reported))
        #expect(
          script.counters == [
            1, ending.hasPrefix("succeeded") ? 1 : 0, ending.hasPrefix("failed") ? 1 : 0, 0,
          ])
        #expect(script.watch.ended.isEmpty)
      }
    }
  }

  @Test("It waits for VMIs that cannot be read yet, but not for ever")
  func slowVMIs() {
    var script = running()
    script.advance(to: 100)
    script.remove(.running(), last: false)
    script.advance(to: 130)
    #expect(script.endings.isEmpty)
    var late = script
    late.put(MadeVMI().with(Self.done, node: "node-b"))
    #expect(late.endings == ["succeeded -"])
    script.advance(to: 161)
    #expect(script.endings == ["failed unknown inferred"])
    #expect(script.view()?.ending?.text == "its object vanished before it was final")
  }

  @Test("What was over in the first list counts nothing, whenever it ended")
  func history() {
    for ended in [-5000.0, -1, 100] {
      var script = ClusterScript(empty: 100)
      for node in ["node-a", "node-b"] { script.put(MadeNode(name: node)) }
      script.put(MadeKubeVirt())
      script.put(MadeVMI())
      for n in 1...5 {
        var vmim = MadeVMIM.running("m\(n)", at: ended - 60).entering(
          n == 3 ? "Failed" : "Succeeded", at: ended)
        vmim.state = MadeState(uid: "m\(n)-uid", start: ended - 60).succeeded(at: ended)
        script.put(vmim, isInitial: true)
      }
      script.begin()
      script.advance(to: 120)
      #expect(script.counters == [0, 0, 0, 0] && script.snapshot.trackedCount == 0)
      #expect(script.endings.count == 5 && script.endings.allSatisfy { $0.hasPrefix("found") })
      // The oldest are collected, the others told again after an outage: still nothing.
      script.remove(MadeVMIM(name: "m1"))
      script.put(MadeVMIM.running("m2").entering("Succeeded", at: ended))
      script.advance(to: 140)
      #expect(script.counters == [0, 0, 0, 0] && script.endings.count == 5)
      #expect(script.watch.ended.count == 4)
    }
  }

  @Test("What came and ended while the API server was away is counted once")
  func outage() throws {
    var script = ClusterScript()
    script.advance(to: 600)
    var vmim = MadeVMIM.running(at: 305).entering("Failed", at: 406)
    vmim.state = MadeState(start: 305).failed(
      "Live migration is not completed after 100 seconds and has been aborted", at: 405)
    script.put(vmim)
    #expect(script.endings == ["failed completion_timeout reported"] && script.counters == [1, 0, 1, 0])
    let view = try #require(script.view())
    #expect(view.startedAt == TestTime.moment(305) && view.ending?.endedAt == TestTime.moment(405))
    #expect(view.duration == .seconds(100))
    script.put(vmim)
    script.remove(vmim)
    #expect(script.counters == [1, 0, 1, 0])
  }

  @Test("One that never started keeps the time of its end, too")
  func outageUnstarted() throws {
    var script = ClusterScript()
    script.advance(to: 600)
    var vmim = MadeVMIM(created: 100).entering("Pending", at: 100).entering("Scheduling", at: 101)
    vmim.enter("Failed", at: 402)
    script.put(vmim)
    script.advance(to: 603)
    let view = try #require(script.view())
    #expect(view.ending?.endedAt == TestTime.moment(402) && view.duration == nil)
    #expect(script.endings == ["failed unschedulable inferred"])
  }

  @Test("One that ended between the first list and the first word is counted")
  func endedWhileReading() {
    var script = ClusterScript(empty: 0)
    script.put(MadeVMI().with(Self.copying))
    script.put(.running(at: -50), isInitial: true)
    script.advance(to: 5)
    script.put(over("Succeeded", MadeState(start: -50).succeeded(at: 4), at: 4))
    script.put(MadeKubeVirt())
    script.begin()
    #expect(script.counters == [0, 1, 0, 0])
    #expect(script.endings == ["succeeded -"])
  }

  @Test("One that was found running is not counted as started, its end is counted")
  func foundRunning() {
    var script = ClusterScript(empty: 100)
    script.put(MadeVMI().with(Self.copying))
    script.put(.running(), isInitial: true)
    script.begin()
    #expect(script.view()?.startedAt == TestTime.moment(5))
    script.advance(to: 110)
    script.put(over("Succeeded", MadeState(start: 5).succeeded(at: 109), at: 110))
    #expect(script.counters == [0, 1, 0, 0])
  }

  @Test("The same VM may be migrated again at once, and each migration keeps its own")
  func again() throws {
    var script = running()
    script.advance(to: 61)
    script.put(MadeVMI().with(Self.done, node: "node-b"))
    script.put(over("Succeeded", Self.done))
    script.put(MadeVMIM(name: "m2", created: 61))
    #expect(script.view("m2")?.phase == .pending && script.view("m2")?.facts.source == "node-b")
    script.advance(to: 67)
    var second = MadeState(uid: "m2-uid", start: 66)
    second.sourceNode = "node-b"
    second.targetNode = "node-a"
    script.put(MadeVMI().with(second, node: "node-b"))
    script.put(MadeVMIM.running("m2", at: 66))
    script.copy(point(at: 67, sent: 1, remaining: 7))
    #expect(script.view()?.phase == .succeeded && script.view()?.guest == .target)
    let view = try #require(script.view("m2"))
    #expect(
      view.phase == .precopy && view.facts.target == "node-a" && view.sample.transferred == 1_000_000_000)
    #expect(script.view()?.sample.transferred == nil)
    #expect(script.counters == [2, 1, 0, 0])
  }

  @Test(
    "A VMI of the same name is another one, in whatever order the two are told", arguments: [true, false])
  func recreated(isGoneFirst: Bool) throws {
    var script = running()
    let old = MadeVMI()
    var new = MadeVMI(node: "node-c")
    new.uid = "another"
    new.memory = "64Gi"
    if isGoneFirst { script.remove(old) }
    script.put(new)
    if !isGoneFirst { script.remove(old) }
    let view = try #require(script.view())
    #expect(view.guest == .unknown && view.facts.source == "node-a" && view.facts.memory == .gibibytes(8))
    #expect(view.completion?.timeout == .seconds(1350))
    script.advance(to: 60)
    script.put(MadeVMIM.running().entering("Failed", at: 60))
    script.advance(to: 63)
    #expect(script.endings == ["failed vm_lost inferred"])
    #expect(script.snapshot.vms.map(\.node) == ["node-c"])
  }

  @Test("One that waits goes on with the new VMI")
  func recreatedWaiting() throws {
    var script = ClusterScript()
    script.put(MadeVMIM().entering("Pending", at: 0))
    script.remove(MadeVMI())
    var new = MadeVMI(node: "node-c")
    new.uid = "another"
    script.put(new)
    #expect(try #require(script.view()).guest == .source)
    let state = MadeState(start: 5, sourceNode: "node-c")
    script.put(new.with(state))
    script.put(.running())
    #expect(script.view()?.facts.source == "node-c")
  }

  @Test("What is said of an ended one later changes nothing of it")
  func modifiedAfter() throws {
    var script = running()
    script.advance(to: 61)
    script.put(over("Failed", Self.copying.failed("Live migration failed x", at: 60)))
    let ended = try #require(script.view())
    script.put(MadeVMI().with(Self.done, node: "node-b"))
    script.copy(point(at: 62, sent: 5, remaining: 1))
    script.put(MadeEvent(message: "Migration failed due to being canceled"))
    script.advance(to: 70)
    #expect(script.view()?.ending == ended.ending && script.view()?.sample == ended.sample)
  }

  @Test("The state on the VMI does not go back")
  func noWayBack() {
    var script = running()
    script.put(over("Running", Self.done))
    script.put(MadeVMI().with(Self.copying))
    #expect(script.view()?.phase == .switchover)
  }
}
