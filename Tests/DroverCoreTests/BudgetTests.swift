import Testing

@testable import DroverCore

@Suite("Completion budget")
struct CompletionBudgetTests {
  @Test(
    "Seconds per GiB times the size in GiB, not rounded",
    arguments: [
      (800, .gibibytes(8), 6_400_000), (800, .gibibytes(1), 800_000), (800, .mebibytes(1536), 1_200_000),
      (800, Bytes(1_000_000_000), 745_058), (800, .mebibytes(1), 781), (150, .gibibytes(3), 450_000),
      (1, .gibibytes(12_288), 12_288_000),
    ] as [(Int64, Bytes, Int64)])
  func timeout(perGiB: Int64, size: Bytes, milliseconds: Int64) {
    let budget = CompletionBudget(perGiB: .seconds(perGiB), size: size)
    #expect(budget?.timeout == .milliseconds(milliseconds))
    #expect(budget?.setBy == .config)
    #expect(budget?.enforcedBy == Enforcer.none)
    #expect(budget?.action == DeadlineAction.none)
  }

  @Test(
    "No time-out, no size and absurd ones make no budget",
    arguments: [
      (.zero, .gibibytes(8)), (.seconds(-1), .gibibytes(8)), (.seconds(800), nil), (.seconds(800), 0),
      (.seconds(Int64.max), Bytes(.max)), (.seconds(10_000_000), Bytes(.max)),
    ] as [(Duration, Bytes?)])
  func none(perGiB: Duration, size: Bytes?) {
    #expect(CompletionBudget(perGiB: perGiB, size: size) == nil)
  }

  @Test("The defaults are the documented ones")
  func defaults() {
    #expect(BudgetSettings().completionPerGiB == .seconds(800))
    #expect(BudgetSettings().progress == .seconds(150))
  }
}

@Suite("Progress")
struct ProgressWatchTests {
  /// One sample: seconds, bytes sent, bytes remaining.
  typealias Step = (at: Double, sent: UInt64, remaining: UInt64?)

  static let interval = Duration.milliseconds(500)
  static let tolerance = Duration.seconds(2)

  private func watch(_ steps: [Step]) -> ProgressWatch {
    var watch = ProgressWatch(
      sent: Bytes(steps[0].sent), remaining: steps[0].remaining.map { Bytes($0) }, at: seconds(steps[0].at))
    for step in steps {
      _ = watch.observe(
        sent: Bytes(step.sent), remaining: step.remaining.map { Bytes($0) }, at: seconds(step.at),
        samplingInterval: Self.interval, tolerance: Self.tolerance)
    }
    return watch
  }

  @Test("Each clock moves alone")
  func clocksAreNeverMixed() {
    // Bytes flow, nothing falls: a new pass.
    var clocks = watch([(0, 100, 50), (1, 200, 90)]).clocks
    #expect(clocks.lastSent == seconds(1) && clocks.lastDrop == seconds(0) && clocks.lastBest == seconds(0))
    // The remaining bytes fall, but not below the best, and nothing is sent.
    clocks = watch([(0, 100, 50), (1, 100, 90), (2, 100, 80)]).clocks
    #expect(clocks.lastSent == seconds(0) && clocks.lastDrop == seconds(2) && clocks.lastBest == seconds(0))
    #expect(clocks.best == 50)
    // The best is improved from where nothing was known: no fall, nothing sent.
    clocks = watch([(0, 100, nil), (1, 100, 90)]).clocks
    #expect(clocks.lastSent == seconds(0) && clocks.lastDrop == seconds(0) && clocks.lastBest == seconds(1))
    // An equal number moves nothing.
    clocks = watch([(0, 100, 50), (5, 100, 50)]).clocks
    #expect(clocks.lastSent == seconds(0) && clocks.lastDrop == seconds(0) && clocks.lastBest == seconds(0))
  }

  @Test("A sample that does not tell the remaining bytes leaves their clocks alone")
  func unknownRemaining() {
    let clocks = watch([(0, 100, 50), (1, 200, nil), (2, 300, 50), (3, 400, 40)]).clocks
    #expect(clocks.lastDrop == seconds(3) && clocks.best == 40)
  }

  @Test("A counter that falls is stillness, and grows again from there")
  func counterFalls() {
    let watch = watch([(0, 100, 50), (1, 10, 50), (2, 20, 50)])
    #expect(watch.clocks.lastSent == seconds(2))
    #expect(watch.interruptions.count == 0)
  }

  static let stops: [(String, [Step], UInt64, Duration)] = [
    ("steady", [(0, 1, nil), (0.5, 2, nil), (1, 3, nil)], 0, .zero),
    ("shorter than the tolerance", [(0, 1, nil), (1, 1, nil), (2, 1, nil), (2.5, 2, nil)], 0, .zero),
    (
      "longer", [(0, 1, nil), (1, 1, nil), (2, 1, nil), (2.5, 1, nil), (3, 2, nil)], 1, .seconds(3)
    ),
    ("a gap in the samples is no stop", [(0, 1, nil), (30, 2, nil)], 0, .zero),
    (
      "a stop seen for too short a time before a gap", [(0, 1, nil), (1, 1, nil), (30, 2, nil)], 0, .zero
    ),
    (
      "a stop that spans a gap counts as far as it was seen",
      [(0, 1, nil), (3, 1, nil), (30, 2, nil)], 1, .milliseconds(3500)
    ),
    (
      "samples missing in the middle of a stop do not matter",
      [(0, 1, nil), (1, 1, nil), (20, 1, nil), (20.5, 2, nil)], 1, .milliseconds(20_500)
    ),
    (
      "several", [(0, 1, nil), (3, 1, nil), (3.5, 2, nil), (4, 3, nil), (9, 3, nil), (9.5, 4, nil)], 2,
      .seconds(9)
    ),
    ("one that is not over", [(0, 1, nil), (60, 1, nil)], 0, .zero),
  ]

  @Test("Interruptions", arguments: stops)
  func interruptions(_ name: String, steps: [Step], count: UInt64, total: Duration) {
    let watch = watch(steps)
    #expect(watch.interruptions.count == count, "\(name)")
    #expect(watch.interruptions.total == total, "\(name)")
  }

  @Test("What stops in a pause is no interruption, also when it does not move at once afterwards")
  func pause() {
    var watch = watch([(0, 1, nil), (1, 1, nil)])
    watch.pause()
    for (at, sent) in [(60.0, 1), (61, 1), (61.5, 2)] as [(Double, UInt64)] {
      let ended = watch.observe(
        sent: Bytes(sent), remaining: nil, at: seconds(at), samplingInterval: Self.interval,
        tolerance: Self.tolerance)
      #expect(ended == nil)
    }
    #expect(watch.interruptions.count == 0)
    #expect(watch.clocks.lastSent == seconds(61.5))
  }
}

@Suite("Throughput")
struct RateWindowTests {
  private func window(_ points: [(Double, UInt64)]) -> RateWindow {
    var window = RateWindow()
    for (at, sent) in points { window.add(Bytes(sent), at: seconds(at), length: .seconds(3)) }
    return window
  }

  @Test("One sample makes no rate")
  func first() {
    #expect(window([]).rate == nil)
    #expect(window([(0, 100)]).rate == nil)
    #expect(window([(0, 100), (0, 200)]).rate == nil)
  }

  @Test("A steady stream has its rate, however often it is sampled", arguments: [0.05, 0.1, 0.5, 0.7, 2, 30])
  func steady(interval: Double) {
    var window = RateWindow()
    for n in 0..<200 {
      let at = seconds(Double(n) * interval)
      window.add(Bytes(UInt64(at.milliseconds) * 1000), at: at, length: .seconds(3))
    }
    #expect(window.rate == 1_000_000)
  }

  @Test("A stall is a rate of 0 once the window has passed", arguments: [0.05, 0.1, 0.5, 0.7, 1])
  func stall(interval: Double) {
    var window = RateWindow()
    var at = 0.0
    var zeroAfter: Double?
    while at < 20 {
      window.add(Bytes(UInt64(min(at, 10) * 1_000_000)), at: seconds(at), length: .seconds(3))
      if at > 10, window.rate == 0, zeroAfter == nil { zeroAfter = at - 10 }
      at += interval
    }
    #expect(zeroAfter.map { $0 <= 3 + 2 * max(interval, 0.5) } == true, "\(String(describing: zeroAfter))")
  }

  @Test("Irregular samples and gaps keep the mean")
  func irregular() {
    #expect(window([(0, 0), (0.1, 100), (2.5, 2500), (2.6, 2600)]).rate == 1000)
    #expect(window([(0, 0), (40, 40_000)]).rate == 1000)
  }

  @Test("A counter that falls begins a new window; time that does not pass changes nothing")
  func reset() {
    #expect(window([(0, 5000), (1, 6000), (2, 10)]).rate == nil)
    #expect(window([(0, 5000), (1, 6000), (2, 10), (3, 510)]).rate == 500)
    #expect(window([(0, 0), (1, 1000), (0.5, 9000)]).rate == 1000)
  }
}
