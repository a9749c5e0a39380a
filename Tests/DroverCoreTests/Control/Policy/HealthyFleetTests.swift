import Testing

@testable import DroverCore

@Suite("Policies that are armed, over migrations that need nobody")
struct HealthyFleetTests {
  private static let mebibyte = 1_048_576.0

  /// Both documented time-outs, and a guest that does not converge for a minute.
  private static let settings: AutomaticSettings = {
    var settings = AutomaticSettings()
    settings.policies = .abort
    settings.limits.aborts = 1000
    settings.rules = [
      PolicyRule(
        name: "default",
        wishes: [
          .completionTimeout: PolicyWish(.abort), .progressTimeout: PolicyWish(.abort),
          .notConverging: PolicyWish(.abort, after: .seconds(60)),
        ])
    ]
    return settings
  }()

  /// Runs a simulated migration through the tracker and everything that decides.
  private func aborts(of simulator: PrecopySimulator, size: UInt64, for limit: Double, seed: Int) -> [String]
  {
    let run = simulator.run(for: limit)
    var tracker = MigrationTracker.withHome()
    var aborts = AutomaticAborts()
    aborts.apply(Self.settings)
    aborts.restore([], EpochOffset(milliseconds: 0), at: seconds(0))
    var facts = MigrationFacts.ofHostA
    facts.size = Bytes(size)
    var told: [String] = []
    func look(_ at: Double) {
      _ = tracker.tick(at: seconds(at))
      for case .decision(let decision) in aborts.step(tracker.snapshot(), at: seconds(at)) {
        told.append("seed \(seed), second \(at): \(decision.words) \(decision.because)")
        aborts.settle(decision, .acted(nil), at: seconds(at))
      }
    }
    for answer in run.answers {
      var sample = sample(
        sent: UInt64(answer.transferred), remaining: UInt64(answer.remaining),
        dirty: UInt64(answer.dirtyRate),
        pass: answer.iteration)
      sample.cpuThrottle = answer.throttle
      _ = tracker.receive(
        .migration(observation(at: answer.at, startedAt: 0, sample: sample, facts: facts)),
        at: seconds(answer.at))
      look(answer.at + 0.01)
      look(answer.at + 0.26)
    }
    if let end = run.end { tracker.take(DroverCoreTests.end(.succeeded, at: end, startedAt: 0), at: end) }
    return told
  }

  @Test("two hundred healthy ones, and as many whose guests come and go, are let end")
  func healthy() {
    var random = SplitMix(state: 7)
    var told: [String] = []
    var ended = 0
    for seed in 0..<400 {
      let memory = (256 + 1024 * random.unit()) * Self.mebibyte
      let bandwidth = (20 + 100 * random.unit()) * Self.mebibyte
      let share = seed < 200 ? 0.6 * random.unit() : 0.9
      let workingSet = memory * (0.05 + 0.3 * random.unit())
      let (period, on) = (10 + 40 * random.unit(), 0.3 + 0.3 * random.unit())
      let isSteady = seed < 200
      var simulator = PrecopySimulator(
        memory: memory,
        guest: { now in
          let isBusy = isSteady || now.truncatingRemainder(dividingBy: period) < period * on
          // A guest that is busy dirties its memory faster than it can be sent; then it rests.
          let wanted = isSteady ? share * bandwidth : isBusy ? 1.5 * bandwidth : 0.05 * bandwidth
          return .init(workingSet: workingSet, wanted: wanted)
        }, link: { _ in .init(bandwidth: bandwidth) })
      simulator.firstPassDensity = 0.2 + 0.8 * random.unit()
      simulator.noise = 0.1 * random.unit()
      simulator.phase = random.unit()
      simulator.seed = UInt64(seed + 1)
      told += aborts(of: simulator, size: UInt64(memory), for: 300, seed: seed)
      if simulator.run(for: 300).end != nil { ended += 1 }
    }
    #expect(told.isEmpty, "\(told.count): \(told.prefix(5))")
    #expect(ended > 350)
  }

  @Test("one that never ends is told from them: it is ended once, a minute after that is known")
  func endless() {
    let simulator = PrecopySimulator(
      memory: 512 * Self.mebibyte,
      guest: { _ in .init(workingSet: 256 * Self.mebibyte, wanted: 400 * Self.mebibyte) },
      link: { _ in .init(bandwidth: 40 * Self.mebibyte) })
    let told = aborts(of: simulator, size: UInt64(512 * Self.mebibyte), for: 300, seed: 0)
    #expect(told.count == 1 && told[0].contains("acted not_converging"), "\(told)")
  }
}
