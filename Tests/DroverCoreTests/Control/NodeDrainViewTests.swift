import Testing

@testable import DroverCore

@Suite("How far a node is emptied, with Drover's own drain")
struct NodeDrainViewTests {
  private func status(_ state: DrainState = .active, _ states: DrainVMState..., at: Int64 = 5) -> DrainStatus
  {
    var record = DrainRecord(
      id: DecisionID(rawValue: 1), node: NodeRef(backend: DrainScript.backend, node: "a"), requester: "uid 0",
      startedAt: 0)
    record.state = state
    for (number, state) in states.enumerated() {
      var vm = DrainVM(vm: DrainScript.vm("g\(number)"), domain: "d")
      vm.state = state
      record.vms.append(vm)
    }
    return DrainStatus(record, startedAt: Moment(milliseconds: at))
  }

  private func node(vms: UInt64 = 0, inbound: UInt64 = 0, _ drain: DrainStatus?) -> NodeView {
    var view = NodeView(
      backend: DrainScript.backend, node: "a", vms: vms, outbound: 0, inbound: inbound, failedOutbound: 0)
    view.ownDrain = drain
    return view
  }

  @Test("of a host that nobody drained nothing is said")
  func nothing() {
    let view = node(vms: 3, nil)
    #expect(view.isDraining == nil && view.drainVMs == nil && view.rebootBlockers == nil)
    #expect(view.isDrained == nil && view.drainStartedAt == nil)
  }

  @Test("a host is drained when nothing is on it, nothing arrives, and that is known now")
  func host() {
    var view = node(vms: 2, status(.active, .done, .migrating, .pending))
    #expect(view.isDraining == true && view.isDrained == false && view.rebootBlockers == [.vm])
    #expect(view.drainStartedAt == Moment(milliseconds: 5))
    #expect(view.drainVMs?[.done] == 1 && view.drainVMs?[.migrating] == 1 && view.drainVMs?[.blocked] == 0)
    view = node(status(.complete, .done))
    #expect(view.isDraining == false && view.isDrained == true && view.drainStartedAt == nil)
    #expect(view.drainVMs?[.done] == 1)
    #expect(node(inbound: 1, status(.complete)).rebootBlockers == [.inbound])
    view.isStale = true
    #expect(view.rebootBlockers == [.dataStale] && view.isDrained == false)
  }

  @Test("of a node of a cluster its own word and Drover's are joined")
  func cluster() {
    var state = NodeObservation(backend: DrainScript.backend, node: "a", takenAt: Moment(milliseconds: 0))
    state.drain = NodeDrain(blockers: [.vm, .notCordoned])
    var view = node(status(.active, .pending))
    view.state = state
    #expect(view.isDraining == true && view.drainStartedAt == Moment(milliseconds: 5))
    #expect(view.drainVMs?[.pending] == 1)
    #expect(view.rebootBlockers == [.vm, .notCordoned] && view.isDrained == false)
    view.state?.drain.isDraining = true
    view.state?.drain.startedAt = Moment(milliseconds: 3)
    view.state?.drain.vms = [.migrating: 1]
    #expect(view.drainStartedAt == Moment(milliseconds: 3))
    view.ownDrain = status(.cancelled, .pending)
    #expect(view.isDraining == true && view.drainVMs == [.migrating: 1])
    view.state?.drain = NodeDrain(blockers: [])
    #expect(view.isDraining == false && view.isDrained == true && view.drainVMs?[.pending] == 1)
  }

  @Test("the tracker shows drains at their nodes, marks what is old, and forgets those that are taken back")
  func tracker() throws {
    let name = DrainScript.backend
    var tracker = MigrationTracker(startedAt: Moment(milliseconds: 0))
    tracker.register(
      BackendDescriptor(
        name: name, type: "libvirt", endpoint: "x", origins: [], causes: [], errorKinds: []))
    let now = Moment(milliseconds: 60_000)
    tracker.show([status()], at: now)
    #expect(tracker.snapshot().nodes.first?.rebootBlockers == [.dataStale])
    let health = BackendHealth(backend: name, isUp: true, lastSuccess: now - .seconds(30))
    _ = tracker.receive(.health(health), at: now)
    tracker.show([status()], at: now)
    #expect(tracker.snapshot().nodes.first?.rebootBlockers == [])
    tracker.show([status()], at: now + .milliseconds(1))
    #expect(tracker.snapshot().nodes.first?.rebootBlockers == [.dataStale])
    tracker.show([], at: now)
    #expect(tracker.snapshot().nodes.first?.ownDrain == nil)
    // A node that its cluster has lost does not come back for a drain that is over.
    var other = status(.complete)
    other.record.node.node = "gone"
    tracker.show([other], at: now)
    #expect(tracker.snapshot().nodes.map(\.node) == ["a"])
  }
}
