import DroverCore

@testable import DroverService

/// A clock that stands still: however long a test waits for a processor, nothing grows old.
struct Still: Timepiece {
  func now() -> Moment { noon }
  func epochOffset() -> EpochOffset { sampleOffset }
}
