import Glibc
import Testing

@testable import DroverCore

@Suite("Convergence, on a model of pre-copy")
struct PassWatchTests {
  /// One verdict: when, in which pass.
  struct Judged {
    var at: Double
    var pass: UInt64
    var kind: VerdictKind
  }

  /// What the tracker says at each sample of a run.
  private func verdicts(_ run: PrecopySimulator.Run, interval: Double = 0.5) -> [Judged] {
    var tracker = MigrationTracker.withHome()
    return run.answers.map { answer in
      var sample = sample(
        sent: UInt64(answer.transferred), remaining: UInt64(answer.remaining),
        dirty: UInt64(answer.dirtyRate), pass: answer.iteration)
      sample.cpuThrottle = answer.throttle > 0 ? answer.throttle : nil
      var observation = observation(at: answer.at, sample: sample)
      observation.samplingInterval = .milliseconds(Int64(interval * 1000))
      _ = tracker.receive(.migration(observation), at: seconds(answer.at))
      return Judged(
        at: answer.at, pass: answer.iteration, kind: tracker.snapshot().first?.verdict.kind ?? .unknown)
    }
  }

  private func simulator(
    workingSet: Double, wanted ratio: Double, bandwidth: Double = 1e9, noise: Double = 0, density: Double = 1,
    firstPassDensity: Double = 1, interval: Double = 0.5, phase: Double = 0.1
  ) -> PrecopySimulator {
    PrecopySimulator(
      memory: workingSet * 1.5,
      guest: { _ in .init(workingSet: workingSet, wanted: ratio * bandwidth / density) },
      link: { _ in .init(bandwidth: bandwidth, density: density) }, firstPassDensity: firstPassDensity,
      noise: noise, samplingInterval: interval, phase: phase,
      seed: UInt64(ratio * 1000) &+ UInt64(noise * 100))
  }

  /// Passes, and seconds, from the second pass on within which a migration that never ends is seen to be one.
  static let withinPasses: UInt64 = 24
  static let withinSeconds = 40.0

  @Test(
    "Every guest that never ends is found, whatever its size, noise and sampling",
    arguments: [0.5e9, 2e9, 8e9], [0.2, 0.5, 2])
  func neverEnding(workingSet: Double, interval: Double) throws {
    for ratio in [1.2, 2, 10] {
      for noise in [0, 0.03, 0.1] {
        for (density, first) in [(1, 1), (1, 0.05), (0.3, 0.1)] as [(Double, Double)] {
          let name = "ratio \(ratio) noise \(noise) density \(density)"
          let pass = workingSet / 1e9 * density
          let simulator = simulator(
            workingSet: workingSet, wanted: ratio, noise: noise, density: density, firstPassDensity: first,
            interval: interval)
          let run = simulator.run(for: pass * 40 + 60)
          guard run.end == nil else { continue }
          let verdicts = verdicts(run, interval: interval)
          let second = try #require(verdicts.first { $0.pass >= 2 }, "\(name)")
          let found = verdicts.first { $0.kind == .notConverging }
          let isFound =
            found.map {
              $0.pass <= second.pass + Self.withinPasses || $0.at <= second.at + Self.withinSeconds
            } ?? false
          #expect(isFound, "\(name): \(String(describing: found))")
          #expect(verdicts.allSatisfy { $0.pass >= 2 || $0.kind == .unknown }, "\(name)")
        }
      }
    }
  }

  @Test(
    "No guest that ends by itself is ever said not to",
    arguments: [0.5e9, 2e9, 8e9], [0.2, 0.5, 2])
  func ending(workingSet: Double, interval: Double) {
    for ratio in [0.1, 0.5, 0.8, 0.9, 0.95] {
      for noise in [0, 0.03, 0.1] {
        for (density, first) in [(1, 1), (1, 0.05), (0.3, 0.1)] as [(Double, Double)] {
          for phase in [0.1, 0.7] {
            let simulator = simulator(
              workingSet: workingSet, wanted: ratio, noise: noise, density: density,
              firstPassDensity: first, interval: interval, phase: phase)
            let run = simulator.run(for: 2000)
            let wrong = verdicts(run, interval: interval).filter { $0.kind == .notConverging }
            #expect(run.end != nil)
            #expect(wrong.isEmpty, "ratio \(ratio) noise \(noise) density \(density): \(wrong.first as Any)")
          }
        }
      }
    }
  }

  @Test("Nor one whose memory is rich in zero pages and shrinks slowly", arguments: [0, 0.03], [0.1, 0.6])
  func zeroRich(noise: Double, phase: Double) {
    let simulator = simulator(
      workingSet: 16e9, wanted: 0.95, bandwidth: 0.1e9, noise: noise, density: 0.3, firstPassDensity: 0.1,
      phase: phase)
    let run = simulator.run(for: 600)
    #expect(run.end != nil)
    #expect(verdicts(run).allSatisfy { $0.kind != .notConverging })
  }

  @Test("A guest that calms down is no longer said not to converge, after the next pass")
  func calmsDown() throws {
    var simulator = simulator(workingSet: 4e9, wanted: 3)
    simulator.guest = { $0 < 60 ? .init(workingSet: 4e9, wanted: 3e9) : .init(workingSet: 4e9, wanted: 6e8) }
    let run = simulator.run(for: 600)
    let verdicts = verdicts(run)
    #expect(verdicts.contains { $0.at < 60 && $0.kind == .notConverging })
    let last = try #require(verdicts.last { $0.kind == .notConverging })
    // Three passes of 4 s at most.
    #expect(last.at < 72)
    #expect(run.end != nil && verdicts.last?.kind == .converging)
  }

  @Test("More bandwidth in flight ends a migration that did not converge")
  func moreBandwidth() throws {
    var simulator = simulator(workingSet: 16e9, wanted: 2)
    simulator.link = { .init(bandwidth: $0 < 200 ? 1e9 : 3e9) }
    let run = simulator.run(for: 600)
    let verdicts = verdicts(run)
    #expect(verdicts.contains { $0.at < 200 && $0.kind == .notConverging })
    let last = try #require(verdicts.last { $0.kind == .notConverging })
    // What was left of the pass, and one of 5 s.
    #expect(last.at < 212)
    #expect(run.end != nil && verdicts.last?.kind == .converging)
  }

  @Test("Less bandwidth in flight makes one that converged not converge")
  func lessBandwidth() {
    var simulator = simulator(workingSet: 4e9, wanted: 0.9)
    simulator.link = { .init(bandwidth: $0 < 8 ? 1e9 : 0.2e9) }
    let run = simulator.run(for: 400)
    let verdicts = verdicts(run)
    #expect(verdicts.allSatisfy { $0.at > 8 || $0.kind != .notConverging })
    #expect(run.end == nil && verdicts.last?.kind == .notConverging)
  }

  @Test("A guest that works in bursts and never ends is found", arguments: [4.0, 11, 30])
  func bursts(period: Double) {
    var simulator = simulator(workingSet: 4e9, wanted: 1)
    simulator.guest = {
      $0.truncatingRemainder(dividingBy: period) < period * 0.6
        ? .init(workingSet: 4e9, wanted: 5e9) : .init(workingSet: 4e9, wanted: 0.3e9)
    }
    let run = simulator.run(for: 400)
    let verdicts = verdicts(run)
    if run.end == nil { #expect(verdicts.contains { $0.at < 120 && $0.kind == .notConverging }) }
  }

  @Test("While auto-converge still slows the guest down nothing is said; when it has ended in vain, it is")
  func autoConverge() {
    var simulator = simulator(workingSet: 4e9, wanted: 9)
    simulator.autoConverge = true
    let ending = simulator.run(for: 900)
    #expect(ending.end != nil)
    #expect(verdicts(ending).allSatisfy { $0.kind != .notConverging })

    simulator.guest = { _ in .init(workingSet: 4e9, wanted: 400e9) }
    let vain = simulator.run(for: 900)
    #expect(vain.end == nil)
    #expect(verdicts(vain).last?.kind == .notConverging)
  }

  @Test("A dirty rate above the bandwidth alone is not enough")
  func dirtyRateAlone() {
    var watch = PassWatch()
    var remaining = 1e9
    var sent = 0.0
    for n in 1...12 {
      watch.observe(
        StreamCounters(transferred: Bytes(UInt64(sent)), remaining: Bytes(UInt64(remaining))),
        iteration: UInt64(n), dirty: 3_000_000_000, transfer: 1_000_000_000, throttle: 0, threshold: 0.9,
        at: seconds(Double(n) * 10))
      sent += remaining
      remaining *= 0.9
      #expect(watch.fruitless == 0)
    }
  }

  @Test("Passes that do not shrink while the guest is calm are not enough either")
  func shrinkingAlone() {
    var watch = PassWatch()
    for n in 1...12 {
      watch.observe(
        StreamCounters(transferred: Bytes(UInt64(n) * 1_000_000_000), remaining: 1_000_000_000),
        iteration: UInt64(n), dirty: 500_000_000, transfer: 1_000_000_000, throttle: 0, threshold: 0.9,
        at: seconds(Double(n) * 10))
      #expect(watch.fruitless == 0)
    }
  }

  /// How often passes were fruitless after each of some that begin with so much and dirty at such a ratio.
  private func fruitless(_ passes: [(start: Double, ratio: Double)]) -> [Int] {
    var watch = PassWatch()
    var sent = 0.0
    return passes.enumerated().map { n, pass in
      watch.observe(
        StreamCounters(transferred: Bytes(UInt64(sent)), remaining: Bytes(UInt64(pass.start * 1e9))),
        iteration: UInt64(n + 1), dirty: BytesPerSecond(UInt64(pass.ratio * 1e9)), transfer: 1_000_000_000,
        throttle: 0, threshold: 0.9, at: seconds(Double(n) * 10))
      sent += pass.start * 1e9
      return watch.fruitless
    }
  }

  @Test("Passes above and below the ratio by turns, that come to nothing, are fruitless")
  func byTurns() {
    let passes = (0..<12).map { $0 % 2 == 0 ? (start: 1.0, ratio: 1.6) : (start: 0.62, ratio: 0.62) }
    #expect((fruitless(passes).last ?? 0) >= 6)
  }

  @Test(
    "At an even load one pass that is smaller, or one rate that is lower, does not take back what is known",
    arguments: [
      ([(0.85, 1)], true), ([(1, 0.6)], true), ([(0.85, 1), (1, 1), (0.85, 1)], true),
      ([(1, 0.6), (1, 1.1), (0.8, 1.1)], true), ([(0.85, 1), (0.8, 1)], false),
      ([(1, 0.6), (1, 0.6)], false), ([(0.85, 0.6)], false), ([(0.85, 1), (1, 0.6)], false),
    ] as [([(start: Double, ratio: Double)], Bool)])
  func evenLoad(then: [(start: Double, ratio: Double)], isKept: Bool) {
    let counts = fruitless(Array(repeating: (start: 1.0, ratio: 1.0), count: 6) + then)
    #expect(counts[5] >= 3)
    #expect(counts.dropFirst(6).allSatisfy { $0 >= 3 } == isKept, "\(counts)")
  }

  @Test(
    "A small guest that dirties all it has under a narrow cap is not said to be slow by turns",
    arguments: [0.05, 0.1], [3e6, 3.5e6, 4e6])
  func narrowCap(noise: Double, bandwidth: Double) throws {
    var simulator = PrecopySimulator(
      memory: 64e6, guest: { _ in .init(workingSet: 8.4e6, wanted: 100e6) },
      link: { _ in .init(bandwidth: bandwidth) })
    simulator.noise = noise
    simulator.seed = UInt64(bandwidth / 1e5)
    let run = simulator.run(for: 300)
    let verdicts = verdicts(run)
    let first = try #require(verdicts.firstIndex { $0.kind == .notConverging })
    #expect(run.end == nil && verdicts[first].at < 90)
    let left = verdicts[first...].filter { $0.kind != .notConverging }
    #expect(left.isEmpty, "\(left.count) of \(verdicts.count), the first \(left.first as Any)")
  }

  @Test("What a guest did long ago does not count against it: a long way down from a new height is progress")
  func forgets() {
    var passes = [(start: 8.0, ratio: 0.0)]
    passes += Array(repeating: (start: 0.1, ratio: 0.95), count: 3)
    passes += Array(repeating: (start: 5.0, ratio: 1.0), count: 4)
    for n in 1...14 { passes.append((start: 5 * pow(0.92, Double(n)), ratio: 0.92)) }
    let counts = fruitless(passes)
    #expect(counts[7] >= 3)
    #expect(counts.suffix(4).allSatisfy { $0 < 3 })
  }

  @Test(
    "Zero pages cost nothing on the wire: a pass began with no less than was seen to remain",
    arguments: [2, 5])
  func zeroPages(iteration: UInt64) {
    var watch = PassWatch()
    let samples: [(iteration: UInt64, remaining: UInt64, sent: UInt64)] = [
      (1, 600, 11), (iteration, 450, 50),
    ]
    for (n, told) in samples.enumerated() {
      watch.observe(
        StreamCounters(transferred: Bytes(told.sent), remaining: Bytes(told.remaining)),
        iteration: told.iteration, dirty: 100, transfer: 100, throttle: 0, threshold: 0.9,
        at: seconds(Double(n)))
    }
    #expect(watch.best == 450)
  }

  @Test("Absurd counters do not trap")
  func absurd() {
    var watch = PassWatch()
    for (n, bytes) in [(1, 0), (2, .max), (.max, 0), (0, .max), (3, .max)] as [(UInt64, UInt64)] {
      watch.observe(
        StreamCounters(transferred: Bytes(bytes), remaining: Bytes(bytes)), iteration: n,
        dirty: BytesPerSecond(.max), transfer: 1, throttle: .nan, threshold: 0.9,
        at: seconds(Double(min(n, 9)) * 10))
    }
    #expect(watch.best != nil)
  }
}
