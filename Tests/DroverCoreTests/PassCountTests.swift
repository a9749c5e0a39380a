import Glibc
import Testing

@testable import DroverCore

@Suite("Passes that nobody counts")
struct PassCountTests {
  private func count(_ samples: [(sent: UInt64, remaining: UInt64)]) -> [UInt64] {
    var count = PassCount()
    return samples.map { sample in
      count.observe(StreamCounters(transferred: Bytes(sample.sent), remaining: Bytes(sample.remaining)))
      return count.iteration
    }
  }

  @Test("begin where more remains than before")
  func rise() {
    #expect(
      count([(0, 1000), (400, 600), (900, 100), (1000, 300), (1200, 100), (1300, 250), (1500, 50)])
        == [1, 1, 1, 2, 2, 3, 3])
  }

  @Test("have gone by unseen where more was sent than remained")
  func unseen() {
    #expect(count([(0, 1000), (1000, 80), (1500, 60), (3000, 70), (3020, 50)]) == [1, 1, 1, 4, 4])
    #expect(count([(0, 0), (1000, 0)]) == [1, 1001])
    #expect(count([(.max, .max), (0, .max), (.max, .max)]) == [1, 1, 1])
  }

  @Test("The first is over where a dirty rate has been measured, however little that shows")
  func measured() {
    var passes = PassCount()
    var seen: [UInt64] = []
    for (remaining, isMeasured) in [(900, false), (400, false), (200, true), (100, true)] as [(Bytes, Bool)] {
      passes.observe(
        StreamCounters(transferred: 1000 - remaining, remaining: remaining), isMeasured: isMeasured)
      seen.append(passes.iteration)
    }
    #expect(seen == [1, 1, 2, 2])
  }

  @Test("A sample that does not tell what remains tells nothing")
  func untold() {
    var passes = PassCount()
    for sent in [0, 1000, 2000] as [Bytes] { passes.observe(StreamCounters(transferred: sent)) }
    #expect(passes.iteration == 1)
  }

  /// What the tracker says of a run that is sampled as a cluster does, passes and throttling untold.
  private func verdicts(
    _ run: PrecopySimulator.Run, interval: Double, isMemoryAlone: Bool = false
  ) -> [(at: Double, kind: VerdictKind)] {
    var tracker = MigrationTracker.withCluster()
    return run.answers.map { answer in
      let message = clusterSample(
        at: answer.at + 20, read: answer.at + 20, sent: UInt64(answer.transferred),
        remaining: UInt64(answer.remaining), interval: interval
      ) { told in
        told.sample.dirtyRate = BytesPerSecond(UInt64(answer.dirtyRate))
        if isMemoryAlone { (told.sample.memory, told.sample.data) = (told.sample.data, nil) }
      }
      tracker.take(message, at: answer.at + 20)
      return (answer.at, tracker.snapshot().first?.verdict.kind ?? .unknown)
    }
  }

  private func simulator(
    _ workingSet: Double, ratio: Double, noise: Double, density: (Double, Double), interval: Double,
    phase: Double = 0.1
  ) -> PrecopySimulator {
    PrecopySimulator(
      memory: workingSet * 1.5,
      guest: { _ in .init(workingSet: workingSet, wanted: ratio * 1e9 / density.0) },
      link: { _ in .init(bandwidth: 1e9, density: density.0) }, firstPassDensity: density.1, noise: noise,
      samplingInterval: interval, phase: phase, seed: UInt64(ratio * 1000) &+ UInt64(noise * 100))
  }

  private static let densities: [(Double, Double)] = [(1, 1), (1, 0.05), (0.3, 0.1)]

  @Test("No guest that ends by itself is ever said not to", arguments: [0.5e9, 2e9, 8e9], [5.0, 30])
  func ending(workingSet: Double, interval: Double) {
    for ratio in [0.1, 0.5, 0.8, 0.9, 0.95] {
      for noise in [0, 0.03, 0.1] {
        for density in Self.densities {
          for phase in [0.1, 0.7] {
            let simulator = simulator(
              workingSet, ratio: ratio, noise: noise, density: density, interval: interval, phase: phase)
            let run = simulator.run(for: 2000)
            let wrong = verdicts(run, interval: interval).filter { $0.kind == .notConverging }
            #expect(wrong.isEmpty, "ratio \(ratio) noise \(noise) density \(density): \(wrong.first as Any)")
          }
        }
      }
    }
  }

  @Test(
    "Every guest that never ends is found, in 75 s where it is sampled every 5 s",
    arguments: [0.5e9, 2e9, 8e9], [(5, 75), (30, 660)] as [(Double, Double)])
  func neverEnding(workingSet: Double, sampling: (interval: Double, limit: Double)) {
    for ratio in [1.2, 2, 10] {
      for noise in [0, 0.03, 0.1] {
        for density in Self.densities {
          let simulator = simulator(
            workingSet, ratio: ratio, noise: noise, density: density, interval: sampling.interval)
          let run = simulator.run(for: 700)
          guard run.end == nil else { continue }
          let found = verdicts(run, interval: sampling.interval).first { $0.kind == .notConverging }
          #expect(
            found.map { $0.at <= sampling.limit } ?? false,
            "ratio \(ratio) noise \(noise) density \(density): \(found as Any)")
        }
      }
    }
  }

  @Test("Memory alone is followed like memory and disks together, and is in its first pass until it is over")
  func memoryAlone() throws {
    for ratio in [0.5, 2.0] {
      let run = simulator(4e9, ratio: ratio, noise: 0, density: (1, 1), interval: 5).run(for: 200)
      let alone = verdicts(run, interval: 5, isMemoryAlone: true)
      #expect(alone.map(\.kind) == verdicts(run, interval: 5).map(\.kind))
      #expect(alone.contains { $0.kind == .notConverging } == (ratio > 1))
    }
  }

  @Test("A guest that calms down, or is given more bandwidth, is said to converge after a few passes")
  func recovers() throws {
    var calm = simulator(4e9, ratio: 3, noise: 0.03, density: (1, 1), interval: 5)
    calm.guest = { $0 < 100 ? .init(workingSet: 4e9, wanted: 3e9) : .init(workingSet: 4e9, wanted: 4e8) }
    var wide = simulator(16e9, ratio: 2, noise: 0.03, density: (1, 1), interval: 5)
    wide.link = { .init(bandwidth: $0 < 200 ? 1e9 : 3e9) }
    for (simulator, change) in [(calm, 100.0), (wide, 200)] {
      let run = simulator.run(for: 600)
      let verdicts = verdicts(run, interval: 5)
      #expect(verdicts.contains { $0.at < change && $0.kind == .notConverging })
      let end = try #require(run.end)
      #expect(verdicts.allSatisfy { $0.at < min(change + 30, end) || $0.kind != .notConverging })
    }
  }

  @Test("One that is given less does not converge any more")
  func starves() {
    var simulator = simulator(4e9, ratio: 0.9, noise: 0, density: (1, 1), interval: 5)
    simulator.link = { .init(bandwidth: $0 < 8 ? 1e9 : 0.2e9) }
    let run = simulator.run(for: 400)
    #expect(run.end == nil && verdicts(run, interval: 5).last?.kind == .notConverging)
  }
}
