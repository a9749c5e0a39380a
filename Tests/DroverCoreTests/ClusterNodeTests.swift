import Testing

@testable import DroverCore

@Suite("A node of a cluster")
struct ClusterNodeTests {
  private func state(
    _ node: String = "node-1", at: Double, blockers: [RebootBlocker] = [], isDraining: Bool = true
  ) -> BackendMessage {
    var drain = NodeDrain(blockers: blockers)
    drain.isDraining = isDraining
    return .nodeState(NodeObservation(backend: prod, node: node, takenAt: seconds(at), drain: drain))
  }

  private func node(_ tracker: MigrationTracker, _ name: String = "node-1") -> NodeView? {
    tracker.snapshot().nodes.first { $0.node == name }
  }

  private func tracker() -> MigrationTracker {
    var tracker = MigrationTracker(startedAt: seconds(0))
    tracker.register(descriptor(prod, node: nil))
    return tracker
  }

  @Test("is drained while nothing speaks against it, and for 30 s no longer than that is known")
  func stale() {
    var tracker = tracker()
    tracker.take(state(at: 10), at: 10)
    #expect(node(tracker)?.isDrained == true && node(tracker)?.rebootBlockers == [])
    _ = tracker.look(at: 40)
    #expect(node(tracker)?.isDrained == true && node(tracker)?.isStale == false)
    _ = tracker.look(at: 40.1)
    #expect(node(tracker)?.isDrained == false && node(tracker)?.isStale == true)
    #expect(node(tracker)?.rebootBlockers == [.dataStale])
    tracker.take(state(at: 41), at: 41)
    #expect(node(tracker)?.isDrained == true && node(tracker)?.isStale == false)
  }

  @Test("is not drained by what was old already when it was told")
  func toldLate() {
    var tracker = tracker()
    tracker.take(state(at: 10), at: 40.1)
    #expect(node(tracker)?.isDrained == false && node(tracker)?.rebootBlockers == [.dataStale])
  }

  @Test("is not drained while anything speaks against it", arguments: RebootBlocker.allCases)
  func blocked(blocker: RebootBlocker) {
    var tracker = tracker()
    tracker.take(state(at: 10, blockers: [blocker]), at: 10)
    #expect(node(tracker)?.isDrained == false && node(tracker)?.rebootBlockers == [blocker])
    _ = tracker.look(at: 100)
    #expect(node(tracker)?.isDrained == false)
  }

  @Test("that VMs may be put on is told when something changes only, and does not grow old")
  func uncordoned() {
    var tracker = tracker()
    tracker.take(state(at: 10, blockers: [.vm, .notCordoned], isDraining: false), at: 10)
    _ = tracker.look(at: 1000)
    #expect(node(tracker)?.isStale == false && node(tracker)?.rebootBlockers == [.vm, .notCordoned])
  }

  @Test("that something empties grows old, though VMs may be put on it")
  func emptied() {
    var tracker = tracker()
    tracker.take(state(at: 10, blockers: [.vm, .notCordoned]), at: 10)
    _ = tracker.look(at: 1000)
    #expect(node(tracker)?.rebootBlockers == [.vm, .notCordoned, .dataStale])
  }

  @Test("shows all that is told of it, and a host that watches itself shows nothing of the kind")
  func told() {
    var tracker = tracker()
    var told = NodeObservation(backend: prod, node: "node-1", takenAt: seconds(10))
    told.isReady = false
    told.heartbeat = seconds(9)
    told.slots = SlotUse(used: 1, limit: 2)
    told.drain.vms = [.pending: 3]
    tracker.take(.nodeState(told), at: 10)
    #expect(node(tracker)?.state == told)
    tracker.take(.node(prod, "node-2"), at: 10)
    #expect(node(tracker, "node-2")?.state == nil && node(tracker, "node-2")?.isDrained == nil)
    #expect(node(tracker, "node-2")?.rebootBlockers == nil)
  }

  @Test("that goes leaves nothing, whatever still ends on it, and has its counts when it comes back")
  func gone() {
    var tracker = MigrationTracker.withCluster()
    tracker.take(state(at: 10), at: 10)
    tracker.take(state("node-2", at: 10), at: 10)
    tracker.take(clusterSight(at: 11), at: 11)
    tracker.take(.nodeGone(prod, "node-1"), at: 12)
    tracker.take(.nodeGone(prod, "node-7"), at: 12)
    #expect(tracker.snapshot().nodes.map(\.node) == ["node-2"])
    tracker.take(clusterEnd(.failed, .sourceLost, at: 13), at: 13)
    tracker.take(.vmGone(VMKey(backend: prod, text: "uid-db")), at: 13)
    _ = tracker.look(at: 14)
    #expect(tracker.snapshot().nodes.map(\.node) == ["node-2"])
    tracker.take(state(at: 20), at: 20)
    #expect(tracker.snapshot().nodes.map(\.node) == ["node-1", "node-2"])
    #expect(tracker.counts(at: "node-1") == [0, 0, 0, 1, 0] && node(tracker)?.vms == 0)
    tracker.take(.nodeGone(prod, "node-1"), at: 21)
    tracker.unregister(prod)
    tracker.register(descriptor(prod, node: nil))
    tracker.take(state(at: 22), at: 22)
    #expect(tracker.counts(at: "node-1") == [0, 0, 0, 0, 0])
  }

  @Test("stands among the others by back end and name, in whatever order they come")
  func sorted() {
    var table = NodeTable()
    for name in ["n3", "n1", "n2"] {
      table.prepare(name, of: prod)
      table.prepare(name, of: home)
    }
    table.prepare("n2", of: prod)
    #expect(table.views.map(\.node) == ["n1", "n2", "n3", "n1", "n2", "n3"])
    #expect(table.views.map(\.backend) == [prod, prod, prod, home, home, home])
  }
}

@Suite("What else a cluster tells")
struct ClusterTests {
  @Test("A VM is on a node, and a drain of that does something to it")
  func vm() {
    var tracker = MigrationTracker.withCluster()
    let key = VMKey(backend: prod, text: "uid-db")
    #expect(tracker.snapshot().vms.map(\.drainOutcome) == [nil])
    #expect(tracker.vm(of: key) == clusterVM())
    for outcome in DrainOutcome.allCases {
      let told = VMObservation(
        key: key, vm: clusterVM(), node: "node-9", blockers: [], drainOutcome: outcome)
      tracker.take(.vm(told), at: 1)
      #expect(tracker.snapshot().vms.map(\.drainOutcome) == [outcome])
      #expect(tracker.snapshot().vms.map(\.node) == ["node-9"])
    }
    tracker.take(.vmGone(key), at: 2)
    #expect(tracker.vm(of: key) == nil)
  }

  @Test("Slots and requests are those that were told last, of the back end that told them")
  func slots() {
    var tracker = MigrationTracker.withCluster()
    tracker.register(descriptor())
    let list = RequestCount(verb: "list", resource: "nodes", code: "200", count: 1)
    tracker.take(.slots(prod, SlotUse(used: 5, limit: 5)), at: 1)
    tracker.take(.slots(prod, SlotUse(used: 4, limit: 5)), at: 2)
    tracker.take(.requests(prod, [list]), at: 2)
    let backends = tracker.snapshot().backends
    #expect(backends.map(\.slots) == [SlotUse(used: 4, limit: 5), nil])
    #expect(backends.map(\.requests) == [[list], []])
  }
}
