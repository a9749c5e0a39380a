/// Whether a migration will end by itself, with the numbers that say so.
public struct Verdict: Hashable, Sendable {
  /// The verdict.
  public internal(set) var kind = VerdictKind.unknown
  /// What it rests on.
  public internal(set) var evidence = Evidence.notInPrecopy
  /// When the present trend ends the migration; only for `converging` and `slow`.
  public internal(set) var expectedEnd: Moment?

  /// No verdict.
  public init() {}

  init(_ kind: VerdictKind, _ evidence: Evidence, expectedEnd: Moment? = nil) {
    self.kind = kind
    self.evidence = evidence
    self.expectedEnd = expectedEnd
  }
}

/// The numbers that a verdict rests on.
public enum Evidence: Hashable, Sendable {
  /// Verdicts are given in pre-copy only.
  case notInPrecopy
  /// The source has not answered for longer than `limit`: too long to say anything.
  case sampleTooOld(limit: Duration)
  /// The dirty rate is measured at the end of the first pass.
  case firstPass
  /// Too few samples yet, or samples that tell too little.
  case tooFewSamples
  /// For so long no bytes have been sent and the remaining bytes have not fallen.
  case still(sent: Duration, drop: Duration, remaining: Bytes?)
  /// Passes begin with no less to send, while the guest dirties memory about as fast as it is sent.
  ///
  /// `passes` in a row did not improve on `best`; the rates are those at the start of the last.
  case passesDoNotShrink(passes: Int, best: Bytes, dirty: BytesPerSecond, transfer: BytesPerSecond)
  /// Of the disks, `sent` bytes have gone over since their remaining bytes were last at their best, without improving it.
  case diskDoesNotShrink(best: Bytes, sent: Bytes, transfer: BytesPerSecond)
  /// The remaining bytes of the disks fall by `shrink` a second.
  case diskTrend(remaining: Bytes, shrink: BytesPerSecond, transfer: BytesPerSecond)
  /// The peer is not heard any more over one of the connections; with the moment at which the keepalive ends the
  /// migration, where that is known, and the control connection is not seen to be answered over another wire.
  case networkSilent([NetworkLoss], keepaliveDeadline: Moment?)
  /// The remaining bytes fall by the difference of the two rates.
  case trend(remaining: Bytes, dirty: BytesPerSecond, transfer: BytesPerSecond)
}
