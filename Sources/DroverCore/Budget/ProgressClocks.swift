/// Three clocks of progress, never mixed: each holds when something last moved, as of the sample that showed it.
public struct ProgressClocks: Hashable, Sendable {
  /// When the bytes sent last grew.
  public internal(set) var lastSent: Moment
  /// When the remaining bytes last fell.
  public internal(set) var lastDrop: Moment
  /// When the smallest remaining ever seen was last improved.
  public internal(set) var lastBest: Moment
  /// The smallest remaining ever seen.
  public internal(set) var best: Bytes?
}

/// Times in which bytes stopped and moved again.
public struct Interruptions: Hashable, Sendable {
  /// How many.
  public internal(set) var count: UInt64 = 0
  /// Their lengths added up, from last byte to first byte.
  public internal(set) var total = Duration.zero
}
