import Testing

@testable import DroverCore
@testable import DroverService

@Suite("What the API tells of a cluster")
struct ClusterAPITests {
  private func json(_ value: some Encodable) throws -> String {
    String(decoding: try APICoding.encode(value), as: UTF8.self)
  }

  private func item(_ change: @escaping (inout MigrationView) -> Void) -> MigrationItem {
    sampleItem(sampleView(scope: .namespace("shop"), change))
  }

  @Test("a migration that waits, exactly")
  func pending() throws {
    let item = item(waiting(.queueNode, position: 3, text: "2 of 2 slots are taken"))
    #expect(
      try json(item)
        == #"{"asOf":"2026-11-23T17:00:00.123Z","backend":"qemu","createdAt":"2026-11-23T16:57:00.123Z","#
        + #""evidence":"verdicts are given in pre-copy only","guestRunsOn":"source","host":null,"#
        + #""id":"0b1f-1700000000000","interruptions":{"count":0,"seconds":0},"migrationPolicy":"slow-ones","#
        + #""namespace":"shop","network":"harvester-system/vm-migration","object":"web-x7k2p","#
        + #""origin":"evacuation","pending":{"position":3,"reason":"queue_node","text":"2 of 2 slots are taken"},"#
        + #""phase":"pending","phaseEnteredAt":"2026-11-23T16:58:00.123Z","productStatus":"Pending migration","#
        + #""requestedTarget":"rack2","sizeBytes":8589934592,"source":"rack1","target":"","verdict":"unknown","#
        + #""vm":"web"}"#)
    #expect(
      try json(self.item(waiting(.unschedulable)).pending) == #"{"reason":"unschedulable"}"#)
  }

  @Test("the time-out that KubeVirt enforces, its uncertainty, and the documented figure beside it")
  func budgets() throws {
    let item = item(clustered)
    #expect(
      try json(item.completion)
        == #"{"action":"abort","deadlineAt":"2026-11-23T17:20:25.123Z","documentedSeconds":6400,"#
        + #""enforcedBy":"kubevirt","setBy":"version_default","timeoutSeconds":1350,"uncertaintySeconds":150,"#
        + #""usedSeconds":125}"#)
    #expect(item.progress?.enforcedBy == "kubevirt" && item.progress?.documentedSeconds == nil)
    #expect(item.startedAt != nil && item.createdAt != nil && item.productStatus == "Migrating")
  }

  @Test("no documented figure where it is in force, none is configured, the size is not known, or of a host")
  func noDocumented() {
    func documented(
      _ settings: BudgetSettings? = BudgetSettings(), _ change: (inout MigrationView) -> Void = { _ in }
    ) -> Double? {
      var view = sampleView(scope: .namespace("shop"), clustered)
      change(&view)
      return sampleItem(view, documented: settings).completion?.documentedSeconds
    }
    #expect(documented() == 6400)
    #expect(documented { $0.completion?.timeout = .seconds(6400) } == nil)
    #expect(documented(nil) == nil)
    #expect(documented(BudgetSettings(completionPerGiB: .zero)) == nil)
    #expect(
      documented {
        $0.facts.memory = nil
        $0.facts.size = nil
      } == nil)
    // The figure is one of guest memory; disks are not in it.
    #expect(documented { $0.facts.size = .gibibytes(100) } == 6400)
    #expect(sampleItem().completion?.documentedSeconds == nil)
    #expect(sampleItem(sampleView { $0.facts.memory = .gibibytes(1) }).completion?.documentedSeconds == nil)
  }

  @Test("the documented figure is that of the migration's own back end, in a list, too")
  func documentedOfBackend() {
    var other = sampleBackend("other")
    other.descriptor.budget = BudgetSettings(completionPerGiB: .seconds(1))
    var own = sampleBackend()
    own.descriptor.budget = BudgetSettings(completionPerGiB: .seconds(100))
    own.slots = SlotUse(used: 2, limit: 5)
    let view = sampleView(scope: .namespace("shop"), clustered)
    let list = MigrationList(
      sampleSnapshot([view], backends: [other, own]), epochOffset: sampleOffset, now: noon)
    #expect(list.items.first?.completion?.documentedSeconds == 800)
    #expect(list.backends.map(\.slots) == [nil, Slots(used: 2, limit: 5)])
  }

  @Test("counters that nobody has read have no age, and are not old")
  func noCounters() {
    let item = item { view in
      clustered(&view)
      view.sample = Sample()
      view.sampledAt = noon - .seconds(900)
    }
    #expect(item.sampledAt == nil && item.sampleAgeSeconds == nil && item.sampleAgeLimitSeconds == nil)
    #expect(!item.isOld && item.urgency == .calm)
  }

  @Test("what waits sorts by when it was asked for")
  func order() {
    let views = [
      sampleView(id: "started", scope: .namespace("n"), startedAt: noon - .seconds(100), clustered),
      sampleView(id: "waits", scope: .namespace("n"), waiting(.queueCluster, position: 1)),
    ]
    let list = MigrationList(sampleSnapshot(views), epochOffset: sampleOffset, now: noon)
    #expect(list.items.map(\.id) == ["waits", "started"])
  }

  private static func node(_ change: (inout NodeView) -> Void = { _ in }) -> NodeView {
    var view = NodeView(
      backend: BackendName(rawValue: "prod"), node: "node-a", vms: 3, outbound: 2, inbound: 1,
      failedOutbound: 4)
    change(&view)
    return view
  }

  private static func state(
    _ blockers: [RebootBlocker], _ change: (inout NodeObservation) -> Void = { _ in }
  ) -> (inout NodeView) -> Void {
    var state = NodeObservation(
      backend: BackendName(rawValue: "prod"), node: "node-a", takenAt: noon - .seconds(2),
      drain: NodeDrain(blockers: blockers))
    change(&state)
    return { $0.state = state }
  }

  @Test("a node that is drained, exactly")
  func node() throws {
    let view = Self.node { view in
      view.pending = 5
      view.failedInbound = 6
      Self.state([.vm, .inbound]) { state in
        state.isReady = true
        state.heartbeat = noon - .seconds(20)
        state.slots = SlotUse(used: 2, limit: 2)
        state.drain.isDraining = true
        state.drain.startedAt = noon - .seconds(60)
        state.drain.vms = [.pending: 1, .migrating: 2]
      }(&view)
    }
    #expect(
      try json(NodeItem(view, epochOffset: sampleOffset))
        == #"{"backend":"prod","drain":{"isDrained":false,"isDraining":true,"knownAt":"2026-11-23T16:59:58.123Z","#
        + #""rebootBlockers":["vm","inbound"],"startedAt":"2026-11-23T16:59:00.123Z","vms":{"blocked":0,"#
        + #""done":0,"failed":0,"migrating":2,"pending":1,"timed_out":0}},"failedInbound":6,"failedOutbound":4,"#
        + #""heartbeatAt":"2026-11-23T16:59:40.123Z","inbound":1,"isReady":true,"node":"node-a","outbound":2,"#
        + #""pending":5,"slots":{"limit":2,"used":2},"vms":3}"#)
  }

  @Test("a node that may be rebooted, one of which what is known is old, and a host")
  func nodes() throws {
    let drained = NodeItem(Self.node(Self.state([])), epochOffset: sampleOffset)
    #expect(
      try json(drained.drain)
        == #"{"isDrained":true,"isDraining":false,"knownAt":"2026-11-23T16:59:58.123Z","rebootBlockers":[]}"#)
    let stale = NodeItem(
      Self.node { view in
        Self.state([])(&view)
        view.isStale = true
      }, epochOffset: sampleOffset)
    #expect(stale.drain?.isDrained == false && stale.drain?.rebootBlockers == ["data_stale"])
    #expect(
      try json(NodeItem(Self.node(), epochOffset: sampleOffset))
        == #"{"backend":"prod","failedOutbound":4,"inbound":1,"node":"node-a","outbound":2,"vms":3}"#)
  }

  @Test("VMs, exactly, and what a drain does to them")
  func vms() throws {
    let name = VMRef(backend: BackendName(rawValue: "prod"), scope: .namespace("shop"), name: "db")
    let blocked = VMView(
      vm: name, node: "node-a", blockers: [.hostDevice], consecutiveFailures: 2, drainOutcome: .blocks)
    #expect(
      try json(VMItem(blocked, dirtyRate: nil))
        == #"{"backend":"prod","consecutiveFailures":2,"drainOutcome":"blocks","host":null,"isMigratable":false,"#
        + #""namespace":"shop","node":"node-a","notMigratable":["host_device"],"vm":"db"}"#)
    let host = VMRef(backend: BackendName(rawValue: "hv"), scope: .host("hv-1"), name: "idle")
    #expect(
      try json(VMItem(VMView(vm: host), dirtyRate: 4096))
        == #"{"backend":"hv","consecutiveFailures":0,"dirtyBytesPerSecond":4096,"host":"hv-1","namespace":null,"#
        + #""vm":"idle"}"#)
    #expect(VMItem(VMView(vm: host, blockers: []), dirtyRate: nil).isMigratable == true)
  }

  @Test("lists hold all of a snapshot, with the back ends, and are read back")
  func lists() throws {
    var snapshot = sampleSnapshot([])
    snapshot.nodes = [Self.node(), Self.node(Self.state([.vm]))]
    snapshot.vms = [
      VMView(vm: VMRef(backend: BackendName(rawValue: "hv"), scope: .host("hv-1"), name: "idle"))
    ]
    snapshot.dirtyRates = [snapshot.vms[0].vm: 7]
    let nodes = NodeList(snapshot, epochOffset: sampleOffset, now: noon)
    #expect(nodes.items.count == 2 && nodes.backends.map(\.name) == ["qemu"])
    #expect(try APICoding.decode(NodeList.self, from: APICoding.encode(nodes)) == nodes)
    let vms = VMList(snapshot, epochOffset: sampleOffset, now: noon)
    #expect(vms.items.map(\.dirtyBytesPerSecond) == [7] && vms.backends.map(\.name) == ["qemu"])
    #expect(try APICoding.decode(VMList.self, from: APICoding.encode(vms)) == vms)
  }
}
