public import DroverCore

/// Whether what happens is recorded.
public struct JournalState: Hashable, Sendable {
  /// Why it is not; nil where it is.
  public internal(set) var trouble: JournalError?
  /// Since when that is so.
  public internal(set) var since: Moment
  /// Migrations of which something was not recorded, and will not be, since the start.
  public internal(set) var lost: UInt64 = 0

  /// Whether what happens is recorded.
  public var isRecording: Bool { trouble == nil }

  /// What a call's end means; what is worth a line in the log.
  enum Change: Hashable, Sendable {
    case none
    /// From now on nothing is recorded, or for another reason than before.
    case lost
    /// It is recorded again.
    case regained(after: Duration)
  }

  mutating func note(_ error: JournalError?, at now: Moment) -> Change {
    switch (trouble, error) {
    case (nil, nil): return .none
    case (nil, let error?):
      (trouble, since) = (error, now)
      return .lost
    case (let old?, let error?):
      trouble = error
      return old.kind == error.kind ? .none : .lost
    case (_?, nil):
      let length = now - since
      (trouble, since) = (nil, now)
      return .regained(after: length)
    }
  }
}
