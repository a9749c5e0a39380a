import Testing

@testable import DroverCore

@Suite("A copy of disks, as libvirt tells of it")
struct DiskCopyTests {
  /// Steps of 16 MiB that end at these moments, told twice a second to a tracker.
  private struct Copy {
    var tracker = MigrationTracker.withHome()
    var events: [String] = []
    var verdicts: Set<VerdictKind> = []
    private var sent: UInt64 = 0
    private let size: UInt64
    private let facts: MigrationFacts

    init(mebibytes size: UInt64 = 16_384, memory: Bytes? = .gibibytes(1), whole: Bytes = .gibibytes(8)) {
      self.size = size
      var facts = MigrationFacts.ofHostA
      facts.size = whole
      facts.memory = memory
      self.facts = facts
    }

    /// `rewritten` MiB a step are dirtied again by the guest.
    mutating func run(from start: Double, to end: Double, step: Double, rewritten: UInt64 = 0) {
      var next = start + step
      var at = start
      while at <= end {
        while next <= at + 1e-9 {
          sent += 16
          dirtied += rewritten
          next += step
        }
        tell(at: at)
        at += 0.5
      }
    }

    private var dirtied: UInt64 = 0

    private mutating func tell(at: Double) {
      var sample = Sample()
      // What a job has before its memory begins: no stream of memory, no passes, no dirty rate.
      sample.disk = StreamCounters(
        transferred: .mebibytes(16 + sent), remaining: .mebibytes(size + dirtied) - .mebibytes(sent))
      events += names(
        tracker.receive(.migration(observation(at: at, sample: sample, facts: facts)), at: seconds(at)))
      events += names(tracker.tick(at: seconds(at)))
      verdicts.insert(verdict.kind)
    }

    var view: MigrationView { tracker.snapshot().first ?? MigrationView(first: observation()) }
    var verdict: Verdict { view.verdict }
  }

  @Test("It converges, and ends when its disks and then its memory have gone over as fast")
  func converging() throws {
    var copy = Copy(mebibytes: 1600, memory: .mebibytes(640))
    copy.run(from: 0, to: 30, step: 0.5)
    // 32 MiB/s: 1600 - 960 MiB of disks, 640 of memory.
    #expect(copy.verdict.kind == .converging)
    #expect(copy.verdict.expectedEnd == seconds(30 + 40))
    #expect(
      copy.verdict.evidence
        == .diskTrend(
          remaining: .mebibytes(640), shrink: BytesPerSecond(32 << 20), transfer: BytesPerSecond(32 << 20)))
  }

  @Test("Where the size of the memory is not known it ends with its disks")
  func memoryUnknown() {
    var copy = Copy(mebibytes: 1600, memory: nil)
    copy.run(from: 0, to: 30, step: 0.5)
    #expect(copy.verdict.expectedEnd == seconds(50))
  }

  @Test("Where the source tells what is left of the memory, that counts, once")
  func memoryTold() throws {
    var tracker = MigrationTracker.withHome()
    for step in 0...60 {
      let at = Double(step) / 2
      var sample = Sample()
      sample.memory = StreamCounters(transferred: 0, remaining: .mebibytes(320), total: .gibibytes(1))
      sample.disk = StreamCounters(
        transferred: .mebibytes(16 * UInt64(step)), remaining: .mebibytes(1600 - 16 * UInt64(step)))
      tracker.take(.migration(observation(at: at, sample: sample)), at: at)
    }
    let view = try #require(tracker.snapshot().first)
    #expect(view.verdict.expectedEnd == seconds(30 + 20 + 10))
    guard case .diskTrend(let remaining, _, _) = view.verdict.evidence else {
      Issue.record("\(view.verdict.evidence)")
      return
    }
    #expect(remaining == .mebibytes(640))
  }

  @Test("A guest that writes makes the trend slower than the transfer, and the end later")
  func rewritten() throws {
    var copy = Copy(mebibytes: 1600, memory: nil)
    copy.run(from: 0, to: 30, step: 0.5, rewritten: 8)
    guard case .diskTrend(let remaining, let shrink, let transfer) = copy.verdict.evidence else {
      Issue.record("\(copy.verdict.evidence)")
      return
    }
    #expect(remaining == .mebibytes(1120))
    #expect(shrink == BytesPerSecond(16 << 20) && transfer == BytesPerSecond(32 << 20))
    #expect(copy.verdict.expectedEnd == seconds(30 + 70))
  }

  @Test("It is slow where its deadline comes first, and where its disks do not get smaller")
  func slow() {
    // 1 GiB is given 800 s; 4 GiB of memory and disk at 4 MiB/s take longer.
    var copy = Copy(mebibytes: 3072, memory: .gibibytes(1), whole: .gibibytes(1))
    copy.run(from: 0, to: 60, step: 4)
    #expect(copy.verdict.kind == .slow)
    #expect(copy.verdict.expectedEnd.map { $0 > seconds(800) } == true)
    var rewritten = Copy(mebibytes: 3072)
    rewritten.run(from: 0, to: 60, step: 4, rewritten: 16)
    #expect(rewritten.verdict.kind == .slow)
    #expect(rewritten.verdict.expectedEnd == nil)
  }

  @Test("Before there is a trend there is no verdict")
  func noTrend() {
    var copy = Copy()
    copy.run(from: 0, to: 6, step: 3.2)
    #expect(copy.verdict.kind == .unknown && copy.verdict.evidence == .tooFewSamples)
  }

  @Test("Steps of 16 MiB are no stall and no interruption, however far apart", arguments: [0.8, 3.2, 16])
  func steps(step: Double) {
    var copy = Copy(mebibytes: 2048 + UInt64(4800 / step))
    copy.run(from: 0, to: 300, step: step)
    #expect(copy.verdicts.isSubset(of: [.unknown, .converging]))
    #expect(copy.verdict.kind == .converging)
    #expect(copy.view.interruptions.count == 0)
    // 16 MiB a step, whatever part of a step the window ends with.
    let rate = Double(copy.view.transferRate?.value ?? 0) * step / Double(16 << 20)
    #expect((0.6...1.4).contains(rate))
  }

  @Test("A short pause makes nothing of it")
  func pause() {
    var copy = Copy(mebibytes: 16_384, memory: .gibibytes(64))
    copy.run(from: 0, to: 60, step: 0.4)
    copy.run(from: 60.5, to: 66, step: 600)
    #expect(copy.verdicts.isSubset(of: [.unknown, .converging]))
  }

  @Test(
    "A real outage is a stall while it lasts, and one interruption when it is over", arguments: [0.4, 3.2])
  func outage(step: Double) throws {
    var copy = Copy()
    copy.run(from: 0, to: 60, step: step)
    copy.run(from: 60.5, to: 90, step: 600)
    #expect(copy.verdict.kind == .stalled)
    copy.run(from: 90.5, to: 200, step: step)
    #expect(copy.verdict.kind == .converging)
    #expect(copy.view.interruptions.count == 1)
    // From the last byte before it to the first one behind it: up to a step on either side.
    #expect((30...(31 + 2 * step)).contains(copy.view.interruptions.total.inSeconds))
    #expect(copy.events.count { $0.hasPrefix("interrupted") } == 1)
  }

  @Test("When memory moves, it is judged by its passes, and steps are waited for no more")
  func memoryBegins() throws {
    var copy = Copy(mebibytes: 160, memory: .mebibytes(640))
    copy.run(from: 0, to: 30, step: 3.2)
    var tracker = copy.tracker
    for step in 1...40 {
      let at = 30 + Double(step) / 2
      var sample = sample(
        sent: UInt64(min(step, 8)) << 24, remaining: (640 << 20) - UInt64(min(step, 8)) << 24, dirty: nil,
        pass: 1)
      sample.disk = StreamCounters(transferred: .mebibytes(176), remaining: 0)
      tracker.take(.migration(observation(at: at, sample: sample)), at: at)
      if step == 8 { #expect(tracker.snapshot().first?.verdict.evidence == .firstPass) }
    }
    #expect(tracker.snapshot().first?.verdict.kind == .stalled)
    #expect(tracker.snapshot().first?.interruptions.count == 0)
  }
}
