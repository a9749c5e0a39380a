import Testing

@testable import DroverCore
@testable import KubeVirtBackend

/// A copy of 8 GiB as virt-handler tells it: a poll every five seconds, of which it remembers ten.
struct MadeCopy {
  /// Bytes of a second, in GB.
  var rate = 0.05
  /// Seconds in which no bytes go.
  var gaps: [Range<Double>] = []
  var began = 10.0

  private func sent(at second: Double) -> Double {
    let still = gaps.reduce(0.0) { $0 + max(0, min(second, $1.upperBound) - max(began, $1.lowerBound)) }
    return max(0, second - began - still) * rate
  }

  func point(at second: Double) -> CopyPoint {
    KubeVirtBackendTests.point(
      at: second, sent: sent(at: second), remaining: max(0, 8.6 - sent(at: second)), total: 8.6)
  }

  /// What an answer at a second holds.
  func ring(at second: Double) -> [CopyPoint] {
    let last = Int((second - began) / 5)
    guard last >= 1 else { return [] }
    return (max(1, last - 9)...last).map { point(at: began + 5 * Double($0)) }
  }
}

@Suite("Counters of a copy")
struct CopyTests {
  /// A migration whose copy began at second 10, at second 11.
  private func copying() -> ClusterScript {
    var script = ClusterScript()
    script.isAnswering = true
    script.advance(to: 11)
    script.put(MadeVMI().with(MadeState(start: 10)))
    script.put(.running(at: 10))
    return script
  }

  private func follow(_ copy: MadeCopy, in script: inout ClusterScript, to end: Double, every: Double = 5) {
    while script.now + every <= end {
      script.advance(to: script.now + every)
      script.take(.copy(VMName(namespace: "default", name: "vm1"), copy.ring(at: script.now)))
    }
  }

  @Test("A ring that comes again and again counts once")
  func ring() throws {
    var script = copying()
    let copy = MadeCopy()
    follow(copy, in: &script, to: 60)
    let before = script.observations.count
    let view = try #require(script.view())
    for _ in 1...10 {
      script.take(.copy(VMName(namespace: "default", name: "vm1"), copy.ring(at: script.now)))
    }
    #expect(script.observations.count == before)
    #expect(script.view() == view)
    #expect(view.sample.transferred == 2_250_000_000 && view.transferRate == 50_000_000)
    #expect(view.sampledAt == TestTime.moment(55) && view.interruptions.count == 0)
  }

  @Test("Each point is told by itself, so that a slow scrape loses none")
  func slowScrape() throws {
    var script = copying()
    script.take(.copy(VMName(namespace: "default", name: "vm1"), []))
    script.watch.sampling.delay = .seconds(30)
    follow(MadeCopy(), in: &script, to: 75, every: 30)
    let times = script.observations.compactMap { $0.sample.transferred == nil ? nil : $0.sampledAt }
      .map(TestTime.seconds)
    #expect(Array(Set(times)).sorted() == stride(from: 15.0, through: 70, by: 5).map(\.self))
    #expect(times == times.sorted())
    #expect(script.view()?.transferRate == 50_000_000)
    #expect(script.view()?.interruptions.count == 0)
  }

  @Test(
    "What is known of the network is told again before it is forgotten, and more often where a node is lost")
  func renewal() {
    var script = copying()
    func times(from start: Double) -> [Double] {
      script.messages.compactMap { message in
        guard case .network(let told) = message else { return nil }
        let at = TestTime.seconds(told.takenAt)
        return at >= start ? at : nil
      }
    }
    script.advance(to: 28)
    #expect(times(from: 0) == [12, 17, 22, 27])
    #expect(script.view()?.network != nil)
    script.put(MadeNode(name: "node-c", ready: "Unknown"))
    script.advance(to: 32)
    #expect(times(from: 28) == [29, 31])
    script.put(MadeNode(name: "node-c"))
    script.advance(to: 38)
    #expect(times(from: 32) == [33, 38])
    // A sample a second: what it says is forgotten after five.
    script.watch.sampling.interval = .seconds(1)
    script.advance(to: 42)
    #expect(times(from: 39) == [40, 42])
  }

  @Test("Points of the migration before are not taken")
  func previous() throws {
    var script = copying()
    script.advance(to: 16)
    script.copy(
      point(at: 2, sent: 7, remaining: 1), point(at: 7, sent: 8, remaining: 0.5),
      point(at: 15, sent: 0.25, remaining: 8))
    let view = try #require(script.view())
    #expect(view.sample.transferred == 250_000_000 && view.interruptions.count == 0)
    #expect(view.progress?.best == 8_000_000_000)
  }

  @Test("Before the start nothing is taken, and other VMs' points never")
  func unstarted() {
    var script = ClusterScript()
    script.put(MadeVMIM().entering("TargetReady", at: 1))
    script.copy(point(at: 2, sent: 7, remaining: 1))
    #expect(script.view()?.sample.transferred == nil)
    var other = copying()
    other.copy(point(at: 15, sent: 1, remaining: 1), of: "vm2")
    #expect(other.view()?.sample.transferred == nil)
  }

  @Test("Memory and disks are told apart only where no disk goes along")
  func streams() {
    var script = copying()
    script.advance(to: 16)
    script.copy(point(at: 15, sent: 1, remaining: 7, total: 8.6))
    #expect(script.view()?.sample.memory?.transferred == 1_000_000_000 && script.view()?.sample.data == nil)
    var block = ClusterScript()
    block.advance(to: 11)
    block.put(MadeVMI(method: "BlockMigration").with(MadeState(start: 10)))
    block.put(.running(at: 10))
    block.advance(to: 16)
    block.copy(point(at: 16, sent: 1, remaining: 7, total: 8.6))
    #expect(block.view()?.sample.data?.transferred == 1_000_000_000 && block.view()?.sample.memory == nil)
  }

  @Test("A dirty rate of 0 is none until the first pass is over")
  func dirtyRate() {
    var script = copying()
    script.advance(to: script.now + 5)
    script.copy(point(at: 16, sent: 1, remaining: 7, dirty: 0))
    #expect(script.view()?.sample.dirtyRate == nil)
    script.advance(to: script.now + 5)
    script.copy(point(at: 21, sent: 2, remaining: 6.5, dirty: 0.25))
    #expect(script.view()?.sample.dirtyRate == 250_000_000)
    script.advance(to: script.now + 5)
    script.copy(point(at: 26, sent: 9, remaining: 1, dirty: 0))
    #expect(script.view()?.sample.dirtyRate == 0)
  }

  @Test("Fields that are left out are not known, and absurd ones do not trap")
  func gaps() {
    var script = copying()
    script.advance(to: 21)
    script.copy(point(at: 15, sent: nil, remaining: 7), point(at: 20, sent: 1, remaining: nil))
    #expect(script.view()?.sample.transferred == 1_000_000_000 && script.view()?.sample.remaining == nil)
    let vast = CopyPoint(
      at: TestTime.moment(25), processed: Bytes(.max), remaining: Bytes(.max), total: Bytes(.max),
      dirtyRate: BytesPerSecond(.max))
    script.advance(to: 26)
    script.copy(vast)
    script.advance(to: 31)
    script.copy(CopyPoint(at: TestTime.moment(30), processed: 0, remaining: 0, total: 0, dirtyRate: 0))
    script.advance(to: 40)
    #expect(script.view()?.isOver == false)
  }

  @Test("How far off virt-handler's clock may be widens the keepalive's deadline")
  func clockError() throws {
    var script = copying()
    script.advance(to: 16)
    script.copy(point(at: 15, sent: 1, remaining: 7))
    let exact = try #require(script.view()?.keepalive)
    var next = point(at: 20, sent: 2, remaining: 6)
    next.clockError = .milliseconds(43)
    script.advance(to: 21)
    script.copy(next)
    let keepalive = try #require(script.view()?.keepalive)
    #expect(keepalive.deadline == exact.deadline + .seconds(5) - .milliseconds(43))
    #expect(keepalive.uncertainty == exact.uncertainty + .milliseconds(86))
    // A clock that is known better by now was not when the last byte was seen, nor at the sample before that.
    script.advance(to: 26)
    script.copy(point(at: 25, sent: 2, remaining: 6))
    #expect(script.view()?.keepalive == keepalive)
    script.advance(to: 31)
    script.copy(point(at: 30, sent: 3, remaining: 5))
    #expect(script.view()?.keepalive?.uncertainty == exact.uncertainty)
    next = point(at: 35, sent: 4, remaining: 4)
    next.clockError = .milliseconds(43)
    script.advance(to: 36)
    script.copy(next)
    script.advance(to: 41)
    script.copy(point(at: 40, sent: 5, remaining: 3))
    #expect(script.view()?.keepalive?.uncertainty == exact.uncertainty + .milliseconds(86))
  }

  @Test("Timestamps that are frozen say nothing of the bytes: too old, not stalled, and nothing is lost")
  func frozenTimestamps() throws {
    var script = copying()
    let copy = MadeCopy()
    follow(copy, in: &script, to: 60)
    let ring = copy.ring(at: 60)
    for second in stride(from: 65.0, through: 120, by: 5) {
      script.advance(to: second)
      script.take(.copy(VMName(namespace: "default", name: "vm1"), ring))
    }
    let view = try #require(script.view())
    #expect(view.verdict.kind == .unknown && view.verdict.evidence == .sampleTooOld(limit: .seconds(15)))
    #expect(view.networkLosses.isEmpty && view.interruptions.count == 0)
  }

  // MARK: Outages

  @Test("Bytes that stop while both nodes are well are a lost migration network")
  func migrationNetwork() throws {
    var script = copying()
    let copy = MadeCopy(gaps: [42..<500])
    follow(copy, in: &script, to: 51)
    script.advance(to: 53)
    #expect(script.view()?.sampledAt == TestTime.moment(50))
    #expect(script.view()?.networkLosses.isEmpty == true, "one still sample may be chance")
    follow(copy, in: &script, to: 58)
    #expect(
      script.events.allSatisfy {
        if case .verdictChanged(let view, _) = $0 { view.verdict.kind != .stalled } else { true }
      })
    follow(copy, in: &script, to: 63)
    let view = try #require(script.view())
    #expect(view.networkLosses.map(\.network) == [.migration])
    #expect(view.verdict.kind == .networkLost)
    // The last byte was seen at 45 and went between 40 and 45; the peer was heard at most 5 s before.
    #expect(view.keepalive?.method == .inferred)
    #expect(view.keepalive?.deadline == TestTime.moment(65) && view.keepalive?.uncertainty == .seconds(10))
    #expect(view.progressDeadline == TestTime.moment(190) && view.progress?.dropUncertainty == .seconds(5))
    guard case .networkSilent(let losses, let deadline) = view.verdict.evidence else {
      Issue.record("\(view.verdict.evidence)")
      return
    }
    #expect(losses.first?.silence == .seconds(10) || losses.first?.silence == .seconds(15))
    #expect(deadline == TestTime.moment(65))
  }

  @Test(
    "They resume with a delay: one interruption, as long as it was to one sample",
    arguments: [(42.0, 70.0), (41, 66), (45, 75), (44.9, 300)])
  func resumed(from: Double, to: Double) throws {
    var script = copying()
    follow(MadeCopy(gaps: [from..<to]), in: &script, to: to + 40)
    let view = try #require(script.view())
    #expect(view.interruptions.count == 1)
    #expect(
      view.interruptions.total >= .seconds(to - from - 5)
        && view.interruptions.total <= .seconds(to - from + 5)
    )
    #expect(view.networkLosses.isEmpty && view.verdict.kind != .networkLost)
    let told = script.events.filter { if case .interrupted = $0 { true } else { false } }
    #expect(told.count == 1)
  }

  @Test("Where a node is not well, which network it is is not known", arguments: ["node-a", "node-b"])
  func unknownNetwork(node: String) {
    var script = copying()
    script.put(MadeNode(name: node, ready: "False"))
    follow(MadeCopy(gaps: [42..<500]), in: &script, to: 65)
    #expect(script.view()?.networkLosses.map(\.network) == [.unknown])
  }

  @Test("Of nodes that cannot be read nothing is claimed")
  func unreadableNodes() {
    var script = ClusterScript(empty: 0)
    script.put(MadeKubeVirt())
    for resource in ClusterResource.allCases where resource != .nodes { script.take(.synced(resource)) }
    script.take(.failed(.nodes, .denied))
    script.advance(to: 11)
    script.put(MadeVMI().with(MadeState(start: 10)))
    script.put(.running(at: 10))
    follow(MadeCopy(gaps: [42..<500]), in: &script, to: 65)
    #expect(script.view()?.networkLosses.map(\.network) == [.unknown])
    #expect(script.view()?.guest == .source)
  }

  @Test(
    "A node that is not heard any more is a lost management network, bytes or no bytes",
    arguments: ["node-a", "node-b"])
  func nodeLost(node: String) throws {
    var script = copying()
    let copy = MadeCopy()
    follow(copy, in: &script, to: 60)
    #expect(script.view()?.networkLosses.isEmpty == true)
    // Its last heartbeat is minutes old although it was heard all the time.
    script.put(MadeNode(name: node, ready: "Unknown", lastHeartbeat: -200, lastTransition: 60))
    follow(copy, in: &script, to: 70)
    let loss = try #require(script.view()?.networkLosses.first)
    #expect(loss.network == .management && loss.isReported)
    #expect(loss.silence >= .seconds(40) && loss.silence <= .seconds(50))
    #expect(script.view()?.verdict.kind == .networkLost)
    #expect(script.view()?.guest == (node == "node-a" ? .unknown : .source))
    script.put(MadeNode(name: node))
    follow(copy, in: &script, to: 80)
    #expect(script.view()?.networkLosses.isEmpty == true && script.view()?.interruptions.count == 0)
  }

  @Test("So is a virt-handler that is not reached for ten seconds", arguments: ["node-a", "node-b"])
  func handlerSilent(node: String) throws {
    var script = copying()
    follow(MadeCopy(), in: &script, to: 40)
    script.take(.handler(node: node, silentSince: TestTime.moment(38)))
    script.advance(to: 46)
    #expect(script.view()?.networkLosses.isEmpty == true)
    script.advance(to: 51)
    let loss = try #require(script.view()?.networkLosses.first)
    #expect(loss.network == .management && loss.silence >= .seconds(10) && loss.limit == .seconds(10))
    script.take(.handler(node: node, silentSince: nil))
    script.advance(to: 54)
    #expect(script.view()?.networkLosses.isEmpty == true)
    // Of a node that has nothing to do with it nothing is said.
    script.take(.handler(node: "node-c", silentSince: TestTime.moment(38)))
    script.advance(to: 60)
    #expect(script.view()?.networkLosses.isEmpty == true)
  }

  @Test(
    "Without virt-handler's numbers there is no keepalive deadline and no verdict, and no deadline but KubeVirt's own"
  )
  func noCounters() throws {
    var script = copying()
    script.advance(to: 100)
    let view = try #require(script.view())
    #expect(view.keepalive == nil && view.progress == nil && view.progressDeadline == nil)
    #expect(view.verdict.kind == .unknown && view.verdict.evidence == .tooFewSamples)
    #expect(view.completionDeadline == TestTime.moment(1360))
  }

  @Test("Only copies that run are asked for, at the node that they leave")
  func active() {
    var script = ClusterScript(vmis: (1...6).map { MadeVMI(name: "vm\($0)") })
    func put(_ n: Int, _ phase: String, _ state: MadeState?) {
      var state = state
      state?.uid = "m\(n)-uid"
      script.put(MadeVMI(name: "vm\(n)").with(state))
      script.put(MadeVMIM(name: "m\(n)", vmi: "vm\(n)").entering(phase, at: 0))
    }
    put(1, "Pending", nil)
    put(2, "PreparingTarget", MadeState())
    put(3, "TargetReady", MadeState())
    put(4, "Running", MadeState(start: 0))
    put(5, "Running", MadeState(start: 0).succeeded(at: 1))
    put(6, "Running", MadeState(start: 0, mode: "PostCopy"))
    let active = script.watch.activeCopies
    #expect(active.keys.sorted() == ["node-a"])
    #expect(active["node-a"]?.map(\.name).sorted() == ["vm4", "vm6"])
  }
}
