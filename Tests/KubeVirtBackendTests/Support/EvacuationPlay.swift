import Testing

@testable import DroverCore
@testable import KubeVirtBackend

/// Plays how KubeVirt empties a node, second by second, and holds what must be true at every moment.
struct EvacuationPlay {
  /// What becomes of an attempt: how long it copies, and the text of its failure; nil where it succeeds.
  struct Attempt {
    var seconds = 10.0
    var failure: String?
  }

  private struct Guest {
    var vmi: MadeVMI
    var attempts: [Attempt]
    var vmim: MadeVMIM?
    var runningSince: Double?
    var failures = 0
    var notBefore = 0.0
    var isGone = false
  }

  var script: ClusterScript
  private var guests: [Guest] = []
  /// Up to 1.8 there are only as many VMIMs as slots.
  private let makesAllAtOnce: Bool
  private let slots: Int
  private var count = 0
  /// Every combination of states that was seen, in order, each once.
  private(set) var seen: [[DrainVMState: UInt64]] = []

  /// `attempts` by VM; one that is not named succeeds at once.
  init(vms: Int, version: String, slots: Int = 2, attempts: [Int: [Attempt]] = [:]) {
    self.slots = slots
    makesAllAtOnce = KubeVirtVersion(version).map { $0 >= .cheapScrapes } ?? false
    let made = (0..<vms).map { MadeVMI(name: "vm\($0)") }
    script = ClusterScript(
      kubeVirt: MadeKubeVirt(
        version: version, migrations: ["parallelOutboundMigrationsPerNode": .int(Int64(slots))]), vmis: made)
    guests = made.enumerated().map { Guest(vmi: $1, attempts: attempts[$0] ?? []) }
  }

  /// `kubectl drain`: each VM is marked, and the node cordoned.
  mutating func evict() {
    script.put(MadeNode.cordoned())
    for index in guests.indices {
      guests[index].vmi.evacuationNode = "node-a"
      script.put(guests[index].vmi)
    }
  }

  /// How many have left.
  var gone: Int { guests.count { $0.isGone } }
  var running: Int { guests.count { $0.runningSince != nil } }

  /// Plays on until a second, or until all have left.
  mutating func play(to end: Double) {
    while script.now < end, gone < guests.count {
      step { $0.look() }
    }
  }

  /// Plays a second; `look` is done whenever something has happened.
  mutating func step(_ look: (inout EvacuationPlay) -> Void = { _ in }) {
    make()
    start()
    look(&self)
    script.live(to: script.now + 1)
    look(&self)
    finish()
    look(&self)
  }

  private mutating func make() {
    for index in guests.indices where !guests[index].isGone && guests[index].vmim == nil {
      guard makesAllAtOnce || guests.count(where: { $0.vmim != nil }) < slots else { return }
      guard makesAllAtOnce || script.now >= guests[index].notBefore else { continue }
      count += 1
      var vmim = MadeVMIM.evacuation("e\(count)", vmi: guests[index].vmi.name, at: script.now)
      script.put(vmim)
      vmim.enter("Pending", at: script.now)
      script.put(vmim)
      guests[index].vmim = vmim
    }
  }

  private mutating func start() {
    for index in guests.indices where guests[index].runningSince == nil {
      guard running < slots, script.now >= guests[index].notBefore, var vmim = guests[index].vmim else {
        continue
      }
      for phase in ["Scheduling", "Scheduled", "PreparingTarget", "TargetReady", "Running"] {
        vmim.enter(phase, at: script.now)
        script.put(vmim)
      }
      guests[index].vmi.state = MadeState(uid: vmim.uid, start: script.now)
      script.put(guests[index].vmi)
      guests[index].vmim = vmim
      guests[index].runningSince = script.now
    }
  }

  private mutating func finish() {
    for index in guests.indices {
      guard let since = guests[index].runningSince, let vmim = guests[index].vmim,
        let state = guests[index].vmi.state
      else { continue }
      let attempt = guests[index].attempts.first ?? Attempt()
      guard script.now - since >= attempt.seconds else { continue }
      if !guests[index].attempts.isEmpty { guests[index].attempts.removeFirst() }
      if let text = attempt.failure {
        let failed = state.failed(
          text, at: script.now, abortStatus: text.contains("abort") ? "Succeeded" : "")
        guests[index].vmi.state = failed
        script.put(guests[index].vmi)
        script.put(vmim.ended("Failed", at: script.now, failed))
        guests[index].failures += 1
        guests[index].notBefore = script.now + 20 * Double(1 << (guests[index].failures - 1))
      } else {
        let succeeded = state.succeeded(at: script.now)
        guests[index].vmi = guests[index].vmi.with(succeeded).moved(to: "node-b")
        script.put(guests[index].vmi)
        script.put(vmim.ended("Succeeded", at: script.now, succeeded))
        guests[index].isGone = true
      }
      guests[index].vmim = nil
      guests[index].runningSince = nil
    }
  }

  /// What holds whenever anybody looks.
  private mutating func look() {
    let states = script.vms()
    if seen.last != states { seen.append(states) }
    if gone < guests.count {
      #expect(states.values.reduce(0, +) == UInt64(guests.count), "each VM is in one state")
      #expect(states[.done] ?? 0 == UInt64(gone))
      #expect(states[.migrating] ?? 0 == UInt64(running))
      #expect(script.isDrained() == false)
      #expect(script.blockers()?.contains(.vm) == true)
    }
  }
}
