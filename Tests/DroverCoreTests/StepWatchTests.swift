import Testing

@testable import DroverCore

@Suite("Copies that move in steps")
struct StepWatchTests {
  /// The usual step after growth at each of these moments, looked at twice a second.
  private func usual(growsAt growths: [Double], until end: Double? = nil) -> Duration? {
    var watch = StepWatch()
    var sample = 0.0
    while sample <= end ?? (growths.last ?? 0) {
      watch.observe(Bytes(UInt64(growths.count { $0 <= sample }) << 24), at: seconds(sample))
      sample += 0.5
    }
    return watch.usual
  }

  @Test("Nothing is usual before two steps have ended")
  func early() {
    #expect(usual(growsAt: []) == nil)
    #expect(usual(growsAt: [1], until: 60) == nil)
    #expect(usual(growsAt: [1, 4.5]) == .milliseconds(3500))
  }

  @Test("A copy that grows with every look steps as often as it is looked at")
  func flowing() {
    #expect(usual(growsAt: (1...40).map { Double($0) / 2 }) == .milliseconds(500))
  }

  @Test("A steady step is learned to within a look", arguments: [0.8, 3.2, 16])
  func steady(step: Double) throws {
    let learned = try #require(usual(growsAt: (1...20).map { Double($0) * step }))
    #expect(abs(learned.inSeconds - step) <= 0.5)
  }

  @Test("One outage teaches little, and is forgotten")
  func outage() throws {
    let before = (1...10).map(Double.init)
    let after = (41...60).map(Double.init)
    #expect(usual(growsAt: before + [41]) == .milliseconds(1500))
    let learned = try #require(usual(growsAt: before + after))
    #expect(learned < .milliseconds(1100))
  }

  @Test("A copy that has become slower for good is learned within a few steps")
  func slower() throws {
    let learned = try #require(
      usual(growsAt: (1...10).map(Double.init) + (1...8).map { 10 + Double($0) * 16 }))
    #expect(learned > .seconds(10))
  }

  @Test("A count that falls is no step")
  func falls() {
    var watch = StepWatch()
    for (at, bytes) in [(0, 100), (1, 200), (2, 10), (3, 20)] as [(Double, UInt64)] {
      watch.observe(Bytes(bytes), at: seconds(at))
    }
    #expect(watch.usual == .seconds(2))
  }
}
