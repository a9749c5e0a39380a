import DroverCore
import Testing

@testable import DroverService

@Suite("Durations as Prometheus writes them")
struct PrometheusDurationTests {
  @Test(
    "are read, and written back in their largest whole unit",
    arguments: [
      ("0", 0, "0s"), ("0s", 0, "0s"), ("500ms", 500, "500ms"), ("800s", 800_000, "800s"),
      ("1h30m", 5_400_000, "90m"), ("15d", 1_296_000_000, "15d"), ("1d1h", 90_000_000, "25h"),
      ("1w", 604_800_000, "1w"), ("1y", 31_536_000_000, "1y"), ("1m1ms", 60_001, "60001ms"),
      ("292277024y", 9_217_248_228_864_000_000, "292277024y"),
    ] as [(String, Int64, String)])
  func good(text: String, milliseconds: Int64, shortest: String) throws {
    let duration = try PrometheusDuration.parse(text)
    #expect(duration == .milliseconds(milliseconds))
    #expect(PrometheusDuration.format(duration) == shortest)
    #expect(try PrometheusDuration.parse(shortest) == duration)
  }

  @Test(
    "name what is wrong, and the remedy",
    arguments: [
      ("", "is empty"), ("150", "has no unit"), ("-5s", "is below 0"),
      ("1.5h", "has a fraction; use a smaller unit"),
      ("1 h", "has a space in it"), ("5x", "is no duration"), ("s", "is no duration"),
      ("1h30", "is no duration"),
      ("30m1h", "has its units out of order (largest first, each once)"),
      ("1s1s", "has its units out of order (largest first, each once)"), ("292471209y", "is too long"),
      ("292471208y300d", "is too long"), ("99999999999999999999s", "is too long"), ("٣s", "is no duration"),
    ])
  func bad(text: String, reason: String) throws {
    let error = #expect(throws: DurationError.self) { try PrometheusDuration.parse(text) }
    #expect(error?.reason == reason)
    #expect(error?.description.contains("1h30m or 500ms") == true)
  }

  @Test("offer the plain number with a unit")
  func remedy() {
    #expect(
      DurationError("has no unit", "150").description
        == "\"150\" has no unit; write it as Prometheus does, such as 150s, 1h30m or 500ms")
  }
}
