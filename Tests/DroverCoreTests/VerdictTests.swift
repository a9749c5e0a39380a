import Testing

@testable import DroverCore

@Suite("Verdict")
struct VerdictTests {
  /// A migration in pre-copy, sampled at second 100.
  private func view(
    phase: Phase = .precopy, sent: Double = 0, drop: Double = 0, remaining: UInt64? = 1000,
    dirty: UInt64? = 10, transfer: UInt64? = 110, pass: UInt64? = 2, deadline: Double? = 1000
  ) -> MigrationView {
    var view = MigrationView(first: observation(at: 100, phase: phase))
    view.sample = sample(sent: 5000, remaining: remaining, dirty: dirty, pass: pass)
    view.transferRate = transfer.map { BytesPerSecond($0) }
    view.progress = ProgressClocks(
      lastSent: seconds(100 - sent), lastDrop: seconds(100 - drop), lastBest: seconds(50), best: 1000)
    view.completionDeadline = deadline.map { seconds($0) }
    return view
  }

  /// Passes that do not shrink, as often as said.
  private func passes(fruitless: Int) -> PassWatch {
    var watch = PassWatch()
    var n: UInt64 = 1
    while watch.fruitless < fruitless || n < 2 {
      watch.observe(
        StreamCounters(transferred: Bytes(n * 1000), remaining: 1000), iteration: n, dirty: 100,
        transfer: 100, throttle: 0, threshold: 0.9, at: seconds(Double(n) * 10))
      n += 1
    }
    return watch
  }

  private func judge(
    _ view: MigrationView, fruitless: Int = 0, disks: DiskWatch = DiskWatch(), at: Double = 100
  ) -> Verdict {
    .judge(
      view, passes: passes(fruitless: fruitless), disks: disks, settings: VerdictSettings(), at: seconds(at))
  }

  @Test("Only pre-copy is judged", arguments: Phase.allCases.filter { $0 != .precopy })
  func otherPhases(phase: Phase) {
    let verdict = judge(view(phase: phase, sent: 99, drop: 99), fruitless: 9)
    #expect(verdict.kind == .unknown && verdict.evidence == .notInPrecopy)
  }

  @Test("The first rule that holds decides")
  func precedence() {
    // A source that is silent says nothing, not even that it stands still.
    var verdict = judge(view(sent: 90, drop: 90), fruitless: 9, at: 110.501)
    #expect(verdict.kind == .unknown)
    #expect(verdict.evidence == .sampleTooOld(limit: .milliseconds(10_500)))
    verdict = judge(view(sent: 10, drop: 10), fruitless: 9, at: 110.5)
    #expect(verdict.kind == .stalled)
    #expect(verdict.evidence == .still(sent: .seconds(10), drop: .seconds(10), remaining: 1000))
    verdict = judge(view(sent: 10, drop: 10, pass: 1))
    #expect(verdict.kind == .stalled)
    verdict = judge(view(pass: 1), fruitless: 9)
    #expect(verdict.kind == .unknown && verdict.evidence == .firstPass)
    verdict = judge(view(deadline: 100.1), fruitless: 3)
    #expect(verdict.kind == .notConverging && verdict.expectedEnd == nil)
    #expect(
      verdict.evidence == .passesDoNotShrink(passes: 3, best: 1000, dirty: 100, transfer: 100))
    #expect(judge(view(deadline: 100.1), fruitless: 2).kind == .slow)
    #expect(judge(view()).kind == .converging)
  }

  @Test(
    "Stalled takes both clocks, measured up to the sample and not to now",
    arguments: [
      (9.999, 99, .converging), (99, 9.999, .converging), (10, 10, .stalled), (9.9, 9.9, .converging),
    ] as [(Double, Double, VerdictKind)])
  func stalled(sent: Double, drop: Double, kind: VerdictKind) {
    #expect(judge(view(sent: sent, drop: drop), at: 105).kind == kind)
  }

  @Test("A sample that tells no bytes shows no stillness")
  func noCounters() {
    var still = view(sent: 60, drop: 60)
    still.sample = Sample()
    #expect(judge(still).kind == .unknown)
    #expect(judge(still).evidence == .tooFewSamples)
    #expect(judge(view(remaining: nil)).evidence == .tooFewSamples)
    #expect(judge(view(transfer: nil)).evidence == .tooFewSamples)
  }

  @Test("Without a dirty rate that is believed there is no trend")
  func noDirtyRate() {
    let verdict = judge(view(sent: 4, drop: 4, dirty: nil))
    #expect(verdict.kind == .unknown)
    #expect(verdict.evidence == .still(sent: .seconds(4), drop: .seconds(4), remaining: 1000))
    #expect(judge(view(dirty: nil)).evidence == .tooFewSamples)
  }

  @Test(
    "The trend's end is compared with the deadline",
    arguments: [(110, .converging), (109.999, .slow), (nil, .converging), (99, .slow)]
      as [(Double?, VerdictKind)])
  func deadline(deadline: Double?, kind: VerdictKind) {
    let verdict = judge(view(deadline: deadline))
    #expect(verdict.kind == kind)
    // 1000 bytes at 110 - 10 bytes a second.
    #expect(verdict.expectedEnd == seconds(110))
    #expect(verdict.evidence == .trend(remaining: 1000, dirty: 10, transfer: 110))
  }

  @Test(
    "No faster than the guest dirties is slow, without an end",
    arguments: [(110, 110), (0, 0), (110, 200), (.max - 1, .max)] as [(UInt64, UInt64)])
  func noTrend(transfer: UInt64, dirty: UInt64) {
    let verdict = judge(view(remaining: .max, dirty: dirty, transfer: transfer))
    #expect(verdict.kind == .slow && verdict.expectedEnd == nil)
  }

  @Test("A trend of centuries is none, and absurd numbers do not trap")
  func absurd() {
    let verdict = judge(view(remaining: .max, dirty: 0, transfer: 1))
    #expect(verdict.kind == .slow && verdict.expectedEnd == nil)
    #expect(judge(view(remaining: .max, dirty: 0, transfer: .max)).expectedEnd == seconds(101))
  }
}
