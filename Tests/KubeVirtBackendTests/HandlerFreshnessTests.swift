import DroverCore
import Testing

@testable import KubeVirtBackend

@Suite("Samples that have not been seen yet")
struct HandlerFreshnessTests {
  @Test("ten remembered samples that come again and again pass once each, in order")
  func ring() {
    var freshness = Freshness()
    var passed: [Int64] = []
    for scrape in 0..<40 {
      let ring = (max(0, scrape - 9)...scrape).map { HandlerSample.at(Int64($0) * 5000 + 1000) }
      passed += freshness.take(.demo, ring).map(\.at)
      passed += freshness.take(.demo, ring).map(\.at)
    }
    #expect(passed == (0..<40).map { $0 * 5000 + 1000 })
  }

  @Test("a handler that repeats its last sample for ever tells nothing new")
  func frozen() {
    var freshness = Freshness()
    #expect(freshness.take(.demo, [.at(1000)]).count == 1)
    for _ in 0..<100 { #expect(freshness.take(.demo, [.at(1000)]).isEmpty) }
    #expect(freshness.take(.demo, [.at(500), .at(1000), .at(1001)]) == [.at(1001)])
  }

  @Test("guests do not disturb each other")
  func others() {
    var freshness = Freshness()
    var other = HandlerKey.demo
    other.node = "harvester-node-1"
    var reading = HandlerReading(serverTime: 10_000)
    reading.samples = [.demo: [.at(9000)], other: [.at(1000), .at(2000)]]
    #expect(freshness.take(reading) == reading.samples)
    reading.samples[other]?.append(.at(3000))
    #expect(freshness.take(reading) == [other: [.at(3000)]])
    freshness.forget(other)
    #expect(freshness.take(reading)[other]?.count == 3)
  }

  @Test("samples of an earlier migration are no news of the next one")
  func earlierMigration() {
    var freshness = Freshness()
    freshness.expect(.demo, from: 100_000)
    #expect(freshness.take(.demo, [.at(90_000), .at(95_000)]).isEmpty)
    #expect(
      freshness.take(.demo, [.at(95_000), .at(100_000), .at(105_000)]) == [.at(100_000), .at(105_000)])
  }

  @Test("an answer that another one has overtaken brings nothing back")
  func overtaken() {
    var freshness = Freshness()
    #expect(freshness.take(.demo, [.at(500_000)]).count == 1)
    #expect(freshness.take(.demo, [.at(440_000), .at(470_000)]).isEmpty)
    #expect(freshness.take(.demo, [.at(505_000)]).count == 1)
  }

  @Test("a clock that was set back begins anew", arguments: [nil, 900_000] as [Int64?])
  func setBack(floor: Int64?) {
    var freshness = Freshness()
    if let floor { freshness.expect(.demo, from: floor) }
    #expect(freshness.take(.demo, [.at(1_000_000)]).count == 1)
    #expect(freshness.take(.demo, [.at(1000), .at(6000)]) == [.at(1000), .at(6000)])
    #expect(freshness.take(.demo, [.at(6000), .at(11_000)]) == [.at(11_000)])
  }

  @Test("guests that have not been heard of for long are forgotten")
  func forgotten() {
    var freshness = Freshness()
    _ = freshness.take(.demo, [.at(1000)])
    freshness.forget(before: 1000)
    #expect(freshness.take(.demo, [.at(1000)]).isEmpty)
    freshness.forget(before: 1001)
    #expect(freshness.take(.demo, [.at(1000)]).count == 1)
  }
}

@Suite("Another machine's clock")
struct HandlerClockTests {
  /// Unix time of the other clock at our moment 0.
  private static let offset: Int64 = 1_772_445_600_317

  @Test("answers to the second tell its difference to a few milliseconds")
  func narrows() throws {
    var clock = HandlerClock()
    #expect(clock.moment(unixMilliseconds: 0) == nil && clock.uncertainty == nil)
    var uncertainty = Duration.seconds(10)
    for number in 0..<60 {
      ask(&clock, at: Int64(number) * 5013, took: 20)
      let now = try #require(clock.uncertainty)
      #expect(now <= uncertainty + .milliseconds(2))
      uncertainty = now
      let moment = try #require(clock.moment(unixMilliseconds: Self.offset + 12_345))
      #expect(abs((moment - Moment(milliseconds: 12_345)).milliseconds) <= now.milliseconds)
    }
    #expect(uncertainty < .milliseconds(30))
  }

  @Test("one answer is good to half a second and half its own time")
  func first() throws {
    var clock = HandlerClock()
    ask(&clock, at: 0, took: 100)
    #expect(try #require(clock.uncertainty) == .milliseconds(550))
  }

  @Test("a clock that was set is believed at once")
  func set() throws {
    var clock = HandlerClock()
    for number in 0..<10 { ask(&clock, at: Int64(number) * 5000, took: 20) }
    clock.observe(
      serverTime: 1_772_442_000_000, sent: Moment(milliseconds: 60_000),
      received: Moment(milliseconds: 60_020))
    let moment = try #require(clock.moment(unixMilliseconds: 1_772_442_000_500))
    #expect(abs((moment - Moment(milliseconds: 60_010)).milliseconds) <= 510)
  }

  @Test("two clocks that drift apart slowly stay known")
  func drift() throws {
    var clock = HandlerClock()
    for number in 0..<2000 {
      let at = Int64(number) * 5000
      // 50 parts in a million.
      let ahead = at / 20_000
      ask(&clock, at: at, took: 20, ahead: ahead)
      let moment = try #require(clock.moment(unixMilliseconds: Self.offset + at + ahead))
      let uncertainty = try #require(clock.uncertainty)
      #expect(abs((moment - Moment(milliseconds: at)).milliseconds) <= uncertainty.milliseconds)
    }
  }

  @Test("nonsense is not believed")
  func nonsense() {
    var clock = HandlerClock()
    let moment = Moment(milliseconds: 5)
    clock.observe(serverTime: 0, sent: moment, received: moment)
    clock.observe(serverTime: .max, sent: moment, received: moment)
    clock.observe(serverTime: 1000, sent: moment, received: Moment(milliseconds: 4))
    #expect(clock.uncertainty == nil)
  }

  private func ask(_ clock: inout HandlerClock, at sent: Int64, took: Int64, ahead: Int64 = 0) {
    let served = Self.offset + sent + took / 2 + ahead
    clock.observe(
      serverTime: served / 1000 * 1000, sent: Moment(milliseconds: sent),
      received: Moment(milliseconds: sent + took))
  }
}
