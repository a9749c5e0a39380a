import Testing

@testable import DroverCore

@Suite("Inventory")
struct InventoryTests {
  private func observed(
    _ key: String, name: String = "vm1", node: String = "host-a", blockers: [NotMigratableReason]? = []
  ) -> VMObservation {
    VMObservation(
      key: VMKey(backend: home, text: key), vm: vmRef(name), node: node, blockers: blockers)
  }

  private func failure() -> Ending { Ending(outcome: .failed, certainty: .reported, endedAt: ms(0)) }

  private func view(_ vm: VMRef, source: String = "host-a") -> MigrationView {
    var facts = MigrationFacts()
    facts.source = source
    return MigrationView(first: observation(vm: vm, facts: facts))
  }

  @Test("Two entries of one name are one line with all that speaks against either")
  func joined() {
    var inventory = Inventory()
    inventory.insert(observed("a", blockers: [.gpu]))
    inventory.insert(observed("b", blockers: [.cdrom, .gpu]))
    #expect(inventory.vms.map(\.blockers) == [[.cdrom, .gpu]])
    #expect(inventory.nodes.views.map(\.vms) == [2])
    inventory.remove(VMKey(backend: home, text: "b"))
    #expect(inventory.vms.map(\.blockers) == [[.gpu]])
    inventory.insert(observed("a", blockers: nil))
    #expect(inventory.vms.map(\.blockers) == [nil])
    inventory.insert(observed("c", blockers: []))
    #expect(inventory.vms.map(\.blockers) == [[]])
    inventory.remove(VMKey(backend: home, text: "a"))
    inventory.remove(VMKey(backend: home, text: "c"))
    inventory.remove(VMKey(backend: home, text: "c"))
    #expect(inventory.vms.isEmpty)
    #expect(inventory.nodes.views.map(\.vms) == [0])
  }

  @Test("How many VMs are on a host is not known until its back end has answered")
  func unknownHost() {
    var tracker = MigrationTracker(startedAt: ms(0))
    tracker.register(descriptor())
    func health(isUp: Bool) -> BackendMessage {
      .health(BackendHealth(backend: home, isUp: isUp, lastSuccess: isUp ? ms(1) : nil))
    }
    _ = tracker.receive(health(isUp: false), at: ms(1))
    #expect(tracker.snapshot().nodes.map(\.knownVMs) == [nil])
    _ = tracker.receive(health(isUp: true), at: ms(1))
    #expect(tracker.snapshot().nodes.map(\.knownVMs) == [0])
    _ = tracker.receive(.node(home, "host-b"), at: ms(1))
    #expect(tracker.snapshot().nodes.map(\.knownVMs) == [0, 0])
    tracker.unregister(home)
    tracker.register(descriptor())
    #expect(tracker.snapshot().nodes.map(\.knownVMs) == [nil])
    tracker.receiveVM()
    #expect(tracker.snapshot().nodes.map(\.knownVMs) == [1])
  }

  @Test("VMs are sorted whatever order they come in")
  func sorted() {
    var inventory = Inventory()
    for name in ["d", "a", "c", "b", "e"] { inventory.insert(observed(name, name: name)) }
    #expect(inventory.vms.map(\.vm.name) == ["a", "b", "c", "d", "e"])
    inventory.remove(VMKey(backend: home, text: "c"))
    inventory.insert(observed("a", name: "z"))
    #expect(inventory.vms.map(\.vm.name) == ["b", "d", "e", "z"])
  }

  @Test("Failures in a row are remembered by name, over a move to another node; aborts do not count")
  func consecutiveFailures() {
    var inventory = Inventory()
    inventory.insert(observed("a"))
    inventory.countEnd(of: view(vmRef()), ending: failure())
    inventory.countEnd(of: view(vmRef()), ending: failure())
    inventory.insert(observed("a", node: "host-b"))
    let abort = Ending(outcome: .aborted, cause: .userAbort, certainty: .reported, endedAt: ms(0))
    inventory.countEnd(of: view(vmRef()), ending: abort)
    #expect(inventory.vms.map(\.consecutiveFailures) == [2])
    #expect(inventory.nodes.views.map(\.vms) == [0, 1])
    #expect(inventory.nodes.views.map(\.failedOutbound) == [2, 0])
    inventory.countEnd(
      of: view(vmRef()), ending: Ending(outcome: .succeeded, certainty: .reported, endedAt: ms(0)))
    #expect(inventory.vms.map(\.consecutiveFailures) == [0])
  }

  @Test("A VM that is not there leaves no trace, and neither does a node without a name")
  func unknown() {
    var inventory = Inventory()
    inventory.countEnd(of: view(vmRef(), source: ""), ending: failure())
    inventory.count(view(vmRef(), source: ""), by: +1)
    inventory.insert(observed("a", node: ""))
    #expect(inventory.nodes.views.isEmpty)
    #expect(inventory.vms.map(\.consecutiveFailures) == [0])
    inventory.remove(VMKey(backend: home, text: "a"))
    #expect(inventory.vms.isEmpty)
  }

  @Test("A dirty rate is that of the VM's name, the last that was told, and goes with the VM")
  func dirtyRates() {
    var inventory = Inventory()
    let key = VMKey(backend: home, text: "a")
    inventory.setDirtyRate(100, of: key)
    #expect(inventory.dirtyRates.isEmpty, "nothing is known of that VM yet")
    inventory.insert(observed("a"))
    inventory.insert(observed("b", name: "vm2"))
    inventory.setDirtyRate(100, of: key)
    inventory.setDirtyRate(0, of: VMKey(backend: home, text: "b"))
    inventory.setDirtyRate(200, of: key)
    #expect(inventory.dirtyRates == [vmRef(): 200, vmRef("vm2"): 0])
    // Under another name it is to be measured anew.
    inventory.insert(observed("a", name: "vm3"))
    #expect(inventory.dirtyRates == [vmRef("vm2"): 0])
    inventory.setDirtyRate(300, of: key)
    inventory.remove(VMKey(backend: home, text: "b"))
    #expect(inventory.dirtyRates == [vmRef("vm3"): 300])
    inventory.remove(key)
    #expect(inventory.dirtyRates.isEmpty)
  }

  @Test("A dirty rate stays while one entry of the name is left, and goes with its back end")
  func sharedDirtyRates() {
    var inventory = Inventory()
    inventory.insert(observed("a"))
    inventory.insert(observed("b"))
    inventory.setDirtyRate(100, of: VMKey(backend: home, text: "a"))
    inventory.remove(VMKey(backend: home, text: "a"))
    #expect(inventory.dirtyRates == [vmRef(): 100])
    inventory.remove(home)
    #expect(inventory.dirtyRates.isEmpty)
  }

  @Test("A node that is told of is there before anything is on it, once")
  func node() {
    var tracker = MigrationTracker.withHome()
    let other = BackendName(rawValue: "rack2")
    for _ in 1...2 { tracker.take(.node(home, "host-z"), at: 1) }
    tracker.take(.node(home, ""), at: 1)
    tracker.take(.node(other, "host-y"), at: 1)
    #expect(tracker.snapshot().nodes.map(\.node) == ["host-a", "host-z"])
    #expect(tracker.snapshot().nodes.allSatisfy { $0.vms == 0 && $0.outbound == 0 })
    tracker.unregister(home)
    #expect(tracker.snapshot().nodes.isEmpty)
  }

  @Test("A measured dirty rate is in the snapshot")
  func measuredDirtyRate() {
    var tracker = MigrationTracker.withHome()
    tracker.receiveVM()
    tracker.take(.dirtyRate(VMKey(backend: home, text: "a"), 4096), at: 1)
    #expect(tracker.snapshot().dirtyRates == [vmRef(): 4096])
  }

  @Test("Node counts never fall below 0")
  func neverNegative() {
    var inventory = Inventory()
    inventory.count(view(vmRef()), by: -1)
    inventory.count(view(vmRef()), by: +1)
    #expect(inventory.nodes.views.map(\.outbound) == [1])
  }

  @Test("What is shown agrees with a plain list after any changes")
  func model() {
    var random = SplitMix(state: 7)
    var inventory = Inventory()
    var model: [VMKey: VMObservation] = [:]
    for _ in 0..<3000 {
      let key = VMKey(backend: home, text: "k\(random.below(40))")
      if random.below(3) == 0 {
        inventory.remove(key)
        model[key] = nil
      } else {
        let vm = VMObservation(
          key: key, vm: vmRef("vm\(random.below(15))"), node: "n\(random.below(4))",
          blockers: random.below(2) == 0 ? [] : [.gpu])
        inventory.insert(vm)
        model[key] = vm
      }
      let expected = Dictionary(grouping: model.values, by: \.vm.name)
      #expect(inventory.vms.map(\.vm.name) == expected.keys.sorted())
      for shown in inventory.vms {
        let isBlocked = expected[shown.vm.name]?.contains { $0.blockers == [.gpu] }
        #expect((shown.blockers == [.gpu]) == isBlocked)
      }
      for node in inventory.nodes.views {
        #expect(node.vms == UInt64(model.values.count { $0.node == node.node }))
      }
    }
  }
}

@Suite("Histogram")
struct HistogramTests {
  @Test("Each value falls into the first bucket whose bound it does not exceed")
  func buckets() {
    var histogram = Histogram(bounds: [1, 2, 4])
    for value in [0, 1, 1.5, 2, 4.1, 1e300] { histogram.observe(value) }
    #expect(histogram.counts == [2, 2, 0, 2])
    #expect(histogram.count == 6)
  }

  @Test("What is no number, or below 0, is left out", arguments: [-0.1, .nan, .infinity, -.infinity])
  func leftOut(value: Double) {
    var histogram = Histogram(bounds: [1])
    histogram.observe(value)
    #expect(histogram.count == 0 && histogram.sum == 0)
  }

  @Test(
    "Bounds rise", arguments: [Histogram.durationSeconds, Histogram.downtimeSeconds, Histogram.sentBytes])
  func bounds(bounds: [Double]) {
    #expect(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 })
    #expect(Histogram.durationSeconds.last == 32_768)
    #expect(Histogram.sentBytes.first == 16_777_216 && Histogram.sentBytes.last == 4_398_046_511_104)
  }
}
