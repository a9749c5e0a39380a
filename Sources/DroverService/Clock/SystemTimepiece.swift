public import DroverCore
internal import Glibc
internal import Synchronization

/// This machine's clocks.
///
/// Moments come from CLOCK_BOOTTIME, which never jumps and runs on while the machine sleeps. The offset to Unix time is
/// held constant over small corrections of the wall clock, so that an unchanged fleet makes an unchanged scrape.
public final class SystemTimepiece: Timepiece {
  private let held = Mutex(HeldOffset())

  /// A timepiece that has not looked at the wall clock yet.
  public init() {}

  /// Now, on CLOCK_BOOTTIME.
  public func now() -> Moment { Moment(milliseconds: Self.read(.boottime)) }

  /// What turns a moment into Unix time; the same value until the clocks differ by `HeldOffset.tolerance`.
  public func epochOffset() -> EpochOffset {
    let difference = Self.difference(of: { Self.read(.realtime) }, to: { Self.read(.boottime) })
    return held.withLock { $0.update(EpochOffset(milliseconds: difference)) }
  }

  /// How far `clock` is ahead of `steady`, which is read before and after it: where the thread was paused between the two,
  /// they are read again, a few times, and the shortest span counts.
  static func difference(of clock: () -> Int64, to steady: () -> Int64) -> Int64 {
    var (span, difference) = (Int64.max, Int64(0))
    // Two readings of milliseconds may differ by one without any time between them.
    for _ in 0..<5 where span > 1 {
      let (before, there, after) = (steady(), clock(), steady())
      if after &- before < span { (span, difference) = (after &- before, there &- before) }
    }
    return difference
  }

  enum Clock: Int32 {
    case realtime = 0
    case boottime = 7
  }

  /// Milliseconds on one of Linux's clocks.
  static func read(_ clock: Clock) -> Int64 {
    var time = timespec()
    clock_gettime(clock.rawValue, &time)
    return Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000
  }
}

/// An offset that follows the true one only when it is off by `tolerance` or more.
struct HeldOffset {
  /// Smallest deviation that is followed, in milliseconds.
  static let tolerance: Int64 = 50

  private var held: EpochOffset?

  mutating func update(_ measured: EpochOffset) -> EpochOffset {
    if let held {
      let (deviation, overflow) = measured.milliseconds.subtractingReportingOverflow(held.milliseconds)
      if !overflow, deviation.magnitude < Self.tolerance.magnitude { return held }
    }
    held = measured
    return measured
  }
}
