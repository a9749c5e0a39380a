/// The figures that verdicts are made with.
public struct VerdictSettings: Hashable, Sendable {
  /// How long neither clock may move before a migration counts as stalled.
  public var stalledAfter: Duration
  /// How many passes in a row must begin with no less to send.
  public var passes: Int
  /// The part of the transfer rate from which the guest counts as dirtying as fast as is sent.
  public var dirtyRatio: Double
  /// How long the control connection may be silent; never less than two seconds more than its keepalive's interval.
  public var controlSilence: Duration
  /// How long the data connection may leave what was sent without an acknowledgement.
  public var dataSilence: Duration
  /// How old a sample may be, beyond its interval, for anything to be said at all.
  public var sampleAge: Duration

  /// The documented defaults.
  public init(
    stalledAfter: Duration = .seconds(10), passes: Int = 3, dirtyRatio: Double = 0.9,
    controlSilence: Duration = .seconds(7), dataSilence: Duration = .seconds(5),
    sampleAge: Duration = .seconds(10)
  ) {
    self.stalledAfter = stalledAfter
    self.passes = passes
    self.dirtyRatio = dirtyRatio
    self.controlSilence = controlSilence
    self.dataSilence = dataSilence
    self.sampleAge = sampleAge
  }

  func longestSampleAge(_ samplingInterval: Duration) -> Duration { sampleAge + samplingInterval }
}

extension Verdict {
  /// Judges a migration by its last sample; the first rule that holds decides.
  ///
  /// Stillness is measured up to the sample that shows it, never up to now: a source that does not answer says nothing
  /// about its bytes.
  static func judge(
    _ view: MigrationView, passes: PassWatch, disks: DiskWatch, settings: VerdictSettings, at now: Moment
  ) -> Verdict {
    guard view.phase == .precopy else { return Verdict() }
    if !view.networkLosses.isEmpty {
      let deadline = view.isAnsweredApart ? nil : view.keepalive?.deadline
      return Verdict(.networkLost, .networkSilent(view.networkLosses, keepaliveDeadline: deadline))
    }
    guard let clocks = view.progress else { return Verdict(.unknown, .tooFewSamples) }

    guard now - view.sampledAt <= view.sampleAgeLimit else {
      return Verdict(.unknown, .sampleTooOld(limit: view.sampleAgeLimit))
    }

    guard view.sample.transferred != nil else { return Verdict(.unknown, .tooFewSamples) }
    let sent = view.sampledAt - clocks.lastSent
    let drop = view.sampledAt - clocks.lastDrop
    // A copy that moves in steps is not stalled between two of them.
    let patience = max(settings.stalledAfter, (disks.step ?? .zero) * 3)
    if sent >= patience, drop >= patience {
      return Verdict(.stalled, .still(sent: sent, drop: drop, remaining: view.sample.remaining))
    }

    guard let transfer = view.transferRate, let remaining = view.sample.remaining else {
      return Verdict(.unknown, .tooFewSamples)
    }
    if disks.isFruitless(passes: settings.passes), let best = disks.best {
      return Verdict(
        .notConverging, .diskDoesNotShrink(best: best, sent: disks.sentSinceBest, transfer: transfer))
    }
    if disks.step != nil, transfer.value > 0 { return judgeDisks(view, disks, transfer: transfer) }
    if let iteration = view.sample.iterations ?? passes.iteration, iteration < 2 {
      return Verdict(.unknown, .firstPass)
    }

    if passes.fruitless >= max(1, settings.passes), let best = passes.best {
      return Verdict(
        .notConverging,
        .passesDoNotShrink(
          passes: passes.fruitless, best: best, dirty: passes.dirty, transfer: passes.transfer))
    }

    // Without a dirty rate that can be believed there is no trend.
    guard let dirty = view.sample.dirtyRate else {
      let isStill = sent > .zero
      return Verdict(
        .unknown, isStill ? .still(sent: sent, drop: drop, remaining: remaining) : .tooFewSamples)
    }
    let evidence = Evidence.trend(remaining: remaining, dirty: dirty, transfer: transfer)
    guard transfer > dirty else { return Verdict(.slow, evidence) }
    let seconds = Double(remaining.count) / Double(transfer.value - dirty.value)
    // A trend of more than a century is none.
    guard seconds < 3.2e9 else { return Verdict(.slow, evidence) }
    return ends(view, in: seconds, evidence)
  }

  /// While disks are copied their remaining bytes are all there is: nobody tells how fast a guest dirties a disk.
  private static func judgeDisks(
    _ view: MigrationView, _ disks: DiskWatch, transfer: BytesPerSecond
  ) -> Verdict {
    guard let shrink = disks.shrinkRate, let remaining = view.sample.disk?.remaining else {
      return Verdict(.unknown, .tooFewSamples)
    }
    let evidence = Evidence.diskTrend(remaining: remaining, shrink: shrink, transfer: transfer)
    guard shrink.value > 0 else { return Verdict(.slow, evidence) }
    // Memory follows when the disks are done, as fast as they went over. A pause makes the transfer rate fall at once,
    // the trend little by little.
    let size = view.sample.memory?.remaining ?? view.facts.memory
    let memory = size.map { Double($0.count) / Double(max(transfer.value, shrink.value)) } ?? 0
    let seconds = Double(remaining.count) / Double(shrink.value) + memory
    guard seconds < 3.2e9 else { return Verdict(.slow, evidence) }
    return ends(view, in: seconds, evidence)
  }

  private static func ends(_ view: MigrationView, in seconds: Double, _ evidence: Evidence) -> Verdict {
    let end = view.sampledAt + .milliseconds(Int64(seconds * 1000))
    let isLate = view.completionDeadline.map { end > $0 } ?? false
    return Verdict(isLate ? .slow : .converging, evidence, expectedEnd: end)
  }
}

extension MigrationView {
  /// Whether the keepalive is seen to be answered, over another wire than the one that is lost: then it ends nothing.
  fileprivate var isAnsweredApart: Bool {
    guard let network, keepalive?.method == .measured else { return false }
    return !network.sharesWire && !networkLosses.contains { $0.network == .management }
  }
}
