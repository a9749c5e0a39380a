internal import Glibc

/// This machine's wall clock.
enum WallClock {
  /// Milliseconds since 1970.
  static var unixMilliseconds: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}
