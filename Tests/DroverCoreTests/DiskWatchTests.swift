import Testing

@testable import DroverCore

@Suite("Disks that are copied along")
struct DiskWatchTests {
  private static let mebibyte: UInt64 = 1 << 20

  /// Remaining MiB sample by sample, 40 MiB sent between two of them, beside a memory stream.
  private func watch(_ remaining: [UInt64], memoryPerSample: UInt64 = 0) -> DiskWatch {
    var watch = DiskWatch()
    for (n, left) in remaining.enumerated() {
      watch.observe(
        StreamCounters(transferred: .mebibytes(40 * UInt64(n)), remaining: .mebibytes(left)),
        memory: StreamCounters(transferred: .mebibytes(memoryPerSample * UInt64(n))), at: seconds(Double(n)))
    }
    return watch
  }

  @Test("a disk that is rewritten as fast as it is sent does not converge")
  func rewritten() {
    // As measured: the remaining bytes swing between 128 and 496 MiB without ever ending.
    let swinging = (0..<20).map { 128 + 46 * UInt64($0 % 8) }
    #expect(watch(swinging).isFruitless(passes: 3))
    #expect(watch(swinging).best == .mebibytes(128))
    #expect(!watch(Array(swinging.prefix(6))).isFruitless(passes: 3))
  }

  @Test("a disk that gets smaller converges, however slowly")
  func shrinking() {
    #expect(!watch((0..<100).map { 500 - $0 }).isFruitless(passes: 3))
  }

  @Test("a copy that is done waits for nothing")
  func done() {
    #expect(!watch([40, 0, 0, 0, 0, 0, 0, 0, 0]).isFruitless(passes: 3))
  }

  @Test("a trickle of rewritten blocks says nothing while memory moves")
  func trickle() {
    let rest = [40, 1] + Array(repeating: UInt64(1), count: 20)
    #expect(watch(rest).isFruitless(passes: 3))
    #expect(!watch(rest, memoryPerSample: 40).isFruitless(passes: 3))
  }

  @Test("the verdict speaks of the disk, in the first pass over the memory too")
  mutating func verdict() throws {
    var tracker = MigrationTracker.withHome()
    for n in 0..<20 {
      var disks = sample(sent: 0, remaining: 256 << 20, dirty: nil, pass: 1)
      disks.disk = StreamCounters(
        transferred: .mebibytes(40 * UInt64(n)), remaining: .mebibytes(128 + 46 * UInt64(n % 8)))
      _ = tracker.receive(.migration(observation(at: Double(n), sample: disks)), at: seconds(Double(n)))
    }
    let view = try #require(tracker.snapshot().first)
    #expect(view.verdict.kind == .notConverging)
    #expect(
      view.verdict.evidence
        == .diskDoesNotShrink(
          best: .mebibytes(128), sent: .mebibytes(760), transfer: BytesPerSecond(40 << 20)))
  }
}
