import Testing

@testable import DroverCore
@testable import KubeVirtBackend

@Suite("A node with 20 VMs is emptied, two at a time")
struct NodeEvacuationTests {
  @Test("All leave, and at each moment each VM is in one state", arguments: ["1.6.0", "1.8.2", "1.9.0"])
  func evacuation(version: String) {
    var play = EvacuationPlay(vms: 20, version: version)
    play.script.put(MadeNode.drained())
    #expect(play.script.vms() == [.pending: 20])
    play.play(to: 600)
    #expect(play.gone == 20)
    #expect(play.script.vms() == [.done: 20])
    #expect(play.script.isDrained() == true)
    #expect(play.script.drainStart() == 0)
    #expect(play.seen.contains([.pending: 18, .migrating: 2]))
    #expect(play.seen.contains([.pending: 8, .migrating: 2, .done: 10]))
    play.script.put(MadeNode.cordoned())
    #expect(play.script.drain()?.isDraining == false)
    #expect(play.script.drain()?.vms == [:])
    #expect(play.script.isDrained() == true)
  }

  @Test("By eviction too; with the last VM it is over", arguments: ["1.8.0", "1.9.0"])
  func eviction(version: String) {
    var play = EvacuationPlay(vms: 20, version: version)
    play.evict()
    #expect(play.script.vms() == [.pending: 20])
    play.play(to: 600)
    #expect(play.gone == 20)
    #expect(play.script.drain()?.isDraining == false)
    #expect(play.script.isDrained() == true)
  }

  @Test(
    "One that fails again and again, and one that runs out of time, are seen as such between their attempts",
    arguments: ["1.6.0", "1.8.2"])
  func failures(version: String) {
    let slow = "Live migration is not completed after 1350 seconds and has been aborted"
    var play = EvacuationPlay(
      vms: 20, version: version,
      attempts: [
        3: Array(repeating: .init(failure: "Target pod is down"), count: 3),
        7: [.init(seconds: 40, failure: slow), .init(seconds: 40, failure: slow)],
      ])
    play.script.put(MadeNode.drained())
    play.play(to: 2000)
    #expect(play.gone == 20)
    #expect(play.script.vms() == [.done: 20])
    #expect(play.seen.contains { $0[.failed] == 1 })
    #expect(play.seen.contains { $0[.timedOut] == 1 })
    #expect(play.seen.contains { $0[.failed] == 1 && $0[.timedOut] == 1 })
    #expect(play.seen.allSatisfy { ($0[.failed] ?? 0) <= 1 && ($0[.timedOut] ?? 0) <= 1 })
  }

  @Test("From 1.9 one text stands for all: how long it took tells the time-out")
  func failuresWithOneText() {
    // 150 s for each of the 9 units of an 8 GiB guest.
    var play = EvacuationPlay(
      vms: 3, version: "1.9.0",
      attempts: [
        0: [.init(seconds: 1352, failure: "Live migration has been aborted")],
        1: [.init(failure: "virError(Code=9, Domain=10, Message='operation failed')")],
      ])
    play.script.put(MadeNode.drained())
    play.play(to: 3000)
    #expect(play.gone == 3)
    #expect(play.seen.contains { $0[.failed] == 1 })
    #expect(play.seen.contains { $0[.timedOut] == 1 })
  }

  @Test("One that cannot be migrated holds it up until it is gone")
  func blocked() {
    var play = EvacuationPlay(vms: 19, version: "1.8.0")
    let stuck = MadeVMI(name: "stuck", evictionStrategy: "LiveMigrate", migratable: MadeVMI.notMigratable)
    play.evict()
    play.script.put(stuck)
    #expect(play.script.vms() == [.pending: 19, .blocked: 1])
    while play.gone < 19 { play.step() }
    #expect(play.script.vms() == [.done: 19, .blocked: 1])
    #expect(play.script.drain()?.isDraining == true)
    #expect(play.script.blockers() == [.vm])
    play.script.remove(stuck)
    #expect(play.script.drain()?.isDraining == false)
    #expect(play.script.isDrained() == true)
  }
}
