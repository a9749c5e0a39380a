import DroverCore
import Testing

@testable import KubeVirtBackend

@Suite("When which node is asked")
struct HandlerScheduleTests {
  @Test("only nodes with a migration are asked, each at once when its migration begins")
  func active() {
    var schedule = HandlerSchedule(interval: .seconds(5))
    #expect(schedule.due(at: at(0)).isEmpty && schedule.nextDeadline == nil)
    schedule.setActive(["b", "a"], at: at(1))
    #expect(schedule.nextDeadline == at(1))
    let turns = schedule.due(at: at(1))
    #expect(turns.map(\.nodes) == [["a"], ["b"]])
    schedule.setActive(["b", "c"], at: at(2))
    #expect(schedule.due(at: at(2)).map(\.nodes) == [["c"]])
    schedule.answered(turns[0], at: at(2))
    schedule.answered(turns[1], at: at(2))
    #expect(schedule.due(at: at(100)).map(\.nodes) == [["b"]])
  }

  @Test("one question at a time goes to a node, however long it takes")
  func oneInFlight() throws {
    var schedule = asked()
    #expect(schedule.due(at: at(1000)).isEmpty && schedule.nextDeadline == nil)
    // Not even where its migrations end and others begin.
    schedule.setActive([], at: at(1000))
    schedule.setActive(["n"], at: at(1001))
    #expect(schedule.due(at: at(1001)).isEmpty)
  }

  @Test(
    "the next question comes an interval after the last, and no earlier than four times as long as that took",
    arguments: [
      (0, 5000), (100, 5000), (1000, 5000), (1001, 5005), (2000, 10_000), (10_000, 50_000),
    ] as [(Int64, Int64)])
  func spacing(took: Int64, next: Int64) {
    var schedule = asked()
    schedule.answered(Self.turn, at: at(milliseconds: took))
    #expect(schedule.nextDeadline == at(milliseconds: next))
    #expect(schedule.due(at: at(milliseconds: next - 1)).isEmpty)
    #expect(schedule.due(at: at(milliseconds: next)).count == 1)
  }

  @Test("a node that comes back is not asked sooner for it")
  func comesBack() {
    var schedule = asked()
    schedule.answered(Self.turn, at: at(2))
    schedule.setActive([], at: at(2))
    #expect(schedule.nextDeadline == nil && schedule.due(at: at(3)).isEmpty)
    schedule.setActive(["n"], at: at(3))
    #expect(schedule.nextDeadline == at(10))
    schedule.setActive([], at: at(11))
    schedule.setActive(["n"], at: at(12))
    #expect(schedule.nextDeadline == at(12))
  }

  @Test(
    "a busy handler is asked at twice the interval, then at four times, up to a minute, and then as before")
  func busy() throws {
    var schedule = HandlerSchedule(interval: .seconds(5))
    schedule.setActive(["n"], at: at(0))
    var now = at(0)
    for step in [10, 20, 40, 60, 60, 60] as [Int64] {
      let turn = try #require(schedule.due(at: now).first)
      schedule.failed(turn, .busy, at: now)
      let next = try #require(schedule.nextDeadline)
      let pause = next - now
      #expect(pause <= .seconds(step) && pause >= .seconds(step) * 3 / 4)
      now = next
    }
    #expect(schedule.health(of: "n")?.failures == 6)
    let turn = try #require(schedule.due(at: now).first)
    schedule.answered(turn, at: now)
    #expect(schedule.nextDeadline == now + .seconds(5))
    let again = try #require(schedule.due(at: now + .seconds(5)).first)
    schedule.failed(again, .busy, at: now + .seconds(5))
    #expect(try #require(schedule.nextDeadline) <= now + .seconds(15))
  }

  @Test("nodes that are busy together are not asked together again")
  func jitter() {
    var schedule = HandlerSchedule(interval: .seconds(5))
    schedule.setActive(Set((0..<20).map { "n\($0)" }), at: at(0))
    for turn in schedule.due(at: at(0)) { schedule.failed(turn, .busy, at: at(0)) }
    var moments: Set<Moment> = []
    while let next = schedule.nextDeadline {
      moments.insert(next)
      _ = schedule.due(at: next)
    }
    #expect(moments.count > 10)
  }

  @Test(
    "how long a server wants to be left alone is respected, within reason",
    arguments: [(1, 7.5...10), (30, 30...30), (120, 120...120), (65_535, 300...300)]
      as [(
        Int64, ClosedRange<Double>
      )])
  func retryAfter(seconds: Int64, pause: ClosedRange<Double>) throws {
    var schedule = asked()
    schedule.failed(Self.turn, .busy, retryAfter: .seconds(seconds), at: at(0))
    #expect(pause.contains((try #require(schedule.nextDeadline) - at(0)).inSeconds))
  }

  @Test(
    "what each failure means",
    arguments: [
      // Kind, took, unreachable since, earliest and latest next question, all in seconds.
      (.refused, 0, 0, 5...5), (.connect, 5, 0, 5...5), (.timeout, 12, 0, 60...60), (.closed, 1, nil, 5...5),
      (.tls, 0, nil, 7.5...10), (.busy, 0, nil, 7.5...10), (.denied, 0, nil, 7.5...10),
      (.missing, 0, nil, 7.5...10),
      (.status, 10, nil, 50...50), (.garbled, 0, nil, 7.5...10), (.tooLarge, 1, nil, 8.5...11),
      (.apiServer, 0, nil, 7.5...10), (.settings, 0, nil, 7.5...10), (.other, 0, nil, 7.5...10),
    ] as [(HandlerError.Kind, Int64, Int64?, ClosedRange<Double>)])
  func failures(kind: HandlerError.Kind, took: Int64, since: Int64?, next: ClosedRange<Double>) throws {
    var schedule = asked()
    schedule.failed(Self.turn, kind, at: at(took))
    #expect(schedule.unreachableSince("n") == since.map { at($0) })
    #expect(next.contains((try #require(schedule.nextDeadline) - at(0)).inSeconds))
    #expect(schedule.health(of: "n")?.failures == 1 && schedule.health(of: "n")?.failuresTotal == 1)
    #expect(schedule.health(of: "n")?.lastDuration == .seconds(took))
  }

  @Test("a question that we gave up ourselves says nothing")
  func cancelled() {
    var schedule = asked()
    schedule.failed(Self.turn, .cancelled, at: at(1))
    #expect(schedule.health(of: "n")?.failures == 0 && schedule.nextDeadline == at(5))
  }

  @Test(
    "unreachable is since the first question that found nobody, until anything answers",
    arguments: [nil, .busy, .status, .closed, .denied] as [HandlerError.Kind?])
  func unreachable(ending: HandlerError.Kind?) throws {
    var schedule = HandlerSchedule(interval: .seconds(5))
    schedule.setActive(["n", "other"], at: at(100))
    for start in [100, 105, 110] as [Int64] {
      for turn in schedule.due(at: at(start)) {
        if turn.nodes == ["n"] {
          schedule.failed(turn, .connect, at: at(start + 3))
        } else {
          schedule.answered(turn, at: at(start))
        }
      }
      #expect(schedule.unreachableSince("n") == at(100) && schedule.unreachableSince("other") == nil)
    }
    #expect(schedule.health(of: "n")?.failures == 3)
    let turn = try #require(schedule.due(at: at(115)).first { $0.nodes == ["n"] })
    if let ending {
      schedule.failed(turn, ending, at: at(115))
    } else {
      schedule.answered(turn, at: at(115))
      #expect(schedule.health(of: "n")?.failures == 0 && schedule.health(of: "n")?.lastAnswer == at(115))
    }
    #expect(schedule.unreachableSince("n") == nil)
    #expect(schedule.health(of: "n")?.failuresTotal == (ending == nil ? 3 : 4))
  }

  @Test("a node without a migration is not called unreachable")
  func inactive() {
    var schedule = asked()
    schedule.failed(Self.turn, .connect, at: at(1))
    schedule.setActive([], at: at(2))
    #expect(schedule.unreachableSince("n") == nil)
    #expect(schedule.health(of: "elsewhere") == nil)
  }

  @Test("an answer that comes after its node was forgotten changes nothing")
  func late() throws {
    var schedule = asked()
    schedule.setActive([], at: at(1))
    schedule.answered(Self.turn, at: at(1))
    schedule.setActive([], at: at(10))
    schedule.answered(Self.turn, at: at(11))
    schedule.failed(Self.turn, .busy, at: at(11))
    #expect(schedule.nextDeadline == nil && schedule.health(of: "n") == nil)
  }

  @Test(
    "where one server knows all nodes, one question is about all of them, and its failures are not theirs")
  func together() throws {
    var schedule = HandlerSchedule(interval: .seconds(5), grouping: .together)
    schedule.setActive([], at: at(0))
    #expect(schedule.due(at: at(0)).isEmpty && schedule.nextDeadline == nil)
    schedule.setActive(["b", "a"], at: at(0))
    let turn = try #require(schedule.due(at: at(0)).first)
    #expect(turn.nodes == ["a", "b"] && schedule.due(at: at(0)).isEmpty)
    schedule.setActive(["a", "b", "c"], at: at(1))
    #expect(schedule.due(at: at(1)).isEmpty)
    schedule.failed(turn, .connect, at: at(2))
    #expect(schedule.unreachableSince("a") == nil)
    #expect(schedule.health(of: "a")?.failures == 1)
    #expect(schedule.due(at: at(5)).map(\.nodes) == [["a", "b", "c"]])
  }

  @Test(
    "below 1.9 each scrape measures in every guest, so it is asked more rarely; a Prometheus has scraped already",
    arguments: [
      ("v1.9.0", false, 5), ("1.9.0", false, 5), ("v1.9.0-rc.1+4-abc", false, 5), ("v1.10.2", false, 5),
      ("v2.0", false, 5), ("v1.8.3", false, 30), ("v0.59.2", false, 30), ("", false, 30),
      ("devel", false, 30),
      ("v1", false, 30), ("v1.6.0", true, 5), ("", true, 5),
    ] as [(String, Bool, Int64)])
  func interval(version: String, isScraped: Bool, seconds: Int64) {
    let usual = HandlerSchedule.usualInterval(version: KubeVirtVersion(version), isScraped: isScraped)
    #expect(usual == .seconds(seconds))
  }

  /// The only question of ``asked()``.
  private static let turn: HandlerSchedule.Turn = {
    var schedule = HandlerSchedule(interval: .seconds(5))
    schedule.setActive(["n"], at: Moment(milliseconds: 0))
    return schedule.due(at: Moment(milliseconds: 0))[0]
  }()

  /// A schedule whose one node was asked at 0.
  private func asked() -> HandlerSchedule {
    var schedule = HandlerSchedule(interval: .seconds(5))
    schedule.setActive(["n"], at: at(0))
    _ = schedule.due(at: at(0))
    return schedule
  }

  private func at(_ seconds: Int64) -> Moment { Moment(milliseconds: seconds * 1000) }

  private func at(milliseconds: Int64) -> Moment { Moment(milliseconds: milliseconds) }
}
