import Glibc

@testable import DroverCore

/// A model of QEMU's pre-copy, near enough to try verdicts on: passes over the dirty pages, a bitmap sync when what is
/// left would fit into the downtime, a dirty rate of distinct pages that is measured once a second at most.
struct PrecopySimulator {
  /// What the guest does at one moment.
  struct Guest {
    /// Bytes that it writes to over and over.
    var workingSet: Double
    /// Bytes that it would dirty in a second if it never hit the same page twice.
    var wanted: Double
  }

  struct Link {
    /// Bytes a second.
    var bandwidth: Double
    /// Bytes that go over the wire for each byte of memory: below 1 for zero pages and compression.
    var density: Double = 1
  }

  /// What `query-migrate` would say.
  struct Answer {
    var at: Double
    var iteration: UInt64
    var remaining: Double
    var transferred: Double
    var dirtyRate: Double
    var throttle: Double
  }

  struct Run {
    var answers: [Answer] = []
    /// When it ended by itself; nil where it did not within the time.
    var end: Double?
  }

  var memory: Double
  /// The guest as a function of the time.
  var guest: @Sendable (Double) -> Guest
  var link: @Sendable (Double) -> Link
  /// Density of the first pass, where most pages of an idle guest are zero.
  var firstPassDensity = 1.0
  var downtimeLimit = 0.3
  /// Relative spread of the distinct pages in a pass.
  var noise = 0.0
  var autoConverge = false
  var samplingInterval = 0.5
  var phase = 0.0
  var seed: UInt64 = 1

  /// Runs for at most `limit` seconds.
  func run(for limit: Double) -> Run {
    var random = SplitMix(state: seed)
    var run = Run()
    var now = 0.0
    var nextSample = phase * samplingInterval
    var dirty = memory
    var iteration: UInt64 = 1
    var sent = 0.0
    var writes = 0.0
    var passBegan = 0.0
    var dirtyRate = 0.0
    var periodBytes = 0.0
    var periodBegan = 0.0
    var periodSent = 0.0
    var throttle = 0.0
    var highPeriods = 0

    while now < limit {
      let guest = guest(now)
      let link = link(now)
      let density = link.density * (iteration == 1 ? firstPassDensity : 1)
      let pageRate = link.bandwidth / density
      let threshold = link.bandwidth * downtimeLimit

      // QEMU sends for 50 ms at least, or all there is, before it looks at what is left.
      let untilSync = max((dirty - threshold) / pageRate, min(0.05 - (now - passBegan), dirty / pageRate), 0)
      let step = min(untilSync, nextSample - now, 0.05)
      if step > 0 {
        dirty = max(0, dirty - pageRate * step)
        sent += link.bandwidth * step
        writes += guest.wanted * (1 - throttle) * step
        now += step
      }
      if now >= nextSample - 1e-9 {
        run.answers.append(
          Answer(
            at: now, iteration: iteration, remaining: dirty, transferred: sent, dirtyRate: dirtyRate,
            throttle: throttle))
        nextSample += samplingInterval
        continue
      }
      guard step >= untilSync else { continue }

      // The bitmap sync: distinct pages of random writes into the working set.
      var distinct = guest.workingSet * (1 - exp(-writes / guest.workingSet))
      distinct *= 1 + noise * (2 * random.unit() - 1)
      // What is still to be sent belongs to the working set, from the second pass on: the same page is not dirtied twice.
      if iteration > 1 { distinct *= max(0, 1 - dirty / guest.workingSet) }
      distinct = min(distinct, memory - dirty)
      writes = 0
      dirty += distinct
      iteration += 1
      passBegan = now
      periodBytes += distinct
      if now - periodBegan > 1 {
        dirtyRate = periodBytes / (now - periodBegan)
        if autoConverge, periodBytes > 0.5 * (sent - periodSent) {
          highPeriods += 1
          if highPeriods >= 2 {
            highPeriods = 0
            throttle = throttle == 0 ? 0.2 : min(0.99, throttle + 0.1)
          }
        }
        periodBytes = 0
        periodBegan = now
        periodSent = sent
      }
      if dirty < threshold {
        run.end = now
        return run
      }
    }
    return run
  }
}

/// Random numbers that are the same in every run.
struct SplitMix {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func unit() -> Double { Double(next() >> 11) / 9_007_199_254_740_992 }

  mutating func below(_ n: Int) -> Int { Int(next() % UInt64(n)) }
}
