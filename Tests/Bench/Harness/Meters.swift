import CBench
import Foundation
import Glibc

/// Clocks, and what the kernel says of a process.
enum Meters {
  /// Nanoseconds of processor time that this thread has used: what others do on the machine hardly shows in it.
  static var threadNanoseconds: UInt64 { read(CLOCK_THREAD_CPUTIME_ID) }

  /// Nanoseconds of processor time that this process has used.
  static var processNanoseconds: UInt64 { read(CLOCK_PROCESS_CPUTIME_ID) }

  /// Nanoseconds on a clock that never jumps.
  static var nanoseconds: UInt64 { read(CLOCK_MONOTONIC) }

  private static func read(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// Bytes that are allocated in this process.
  static var heap: Double { Double(bench_heap_bytes()) }

  /// Resident bytes of a process.
  static func resident(_ process: String = "self") -> Double {
    let fields = contents("/proc/\(process)/statm").split(separator: " ")
    return fields.count > 1 ? (Double(fields[1]) ?? .nan) * Double(sysconf(Int32(_SC_PAGESIZE))) : .nan
  }

  /// The most bytes that a process ever had resident.
  static func peakResident(_ process: pid_t) -> Double {
    let line = contents("/proc/\(process)/status").split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    let kibibytes = line?.split(separator: " ").compactMap { Double($0.trimmingCharacters(in: .whitespaces)) }
    return (kibibytes?.first ?? .nan) * 1024
  }

  /// Seconds of processor time of a process, all its threads together, those that have ended too.
  ///
  /// The scheduler's count: `utime` and `stime` may come from a tick, which hardly ever meets a process that only wakes
  /// for an instant.
  static func processorSeconds(_ process: pid_t) -> Double {
    var clock = clockid_t()
    var time = timespec()
    guard clock_getcpuclockid(process, &clock) == 0, clock_gettime(clock, &time) == 0 else { return .nan }
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// Load of the machine over the last minute.
  static var loadAverage: Double {
    contents("/proc/loadavg").split(separator: " ").first.flatMap { Double($0) } ?? .nan
  }

  private static func contents(_ path: String) -> String {
    (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
  }
}

/// What a piece of work took on the thread that did it.
struct Cost {
  var seconds: Double
  var allocations: Int
}

func cost(of work: () throws -> Void) rethrows -> Cost {
  let (time, calls) = (Meters.threadNanoseconds, bench_allocations())
  try work()
  return Cost(
    seconds: Double(Meters.threadNanoseconds - time) / 1e9, allocations: Int(bench_allocations() - calls))
}

extension [Double] {
  /// The middle one; NaN of nothing.
  var median: Double {
    let sorted = sorted()
    return sorted.isEmpty ? .nan : (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
  }
}

extension [Double] {
  /// Mean of the middle half: steady where values come in two kinds, unmoved by the few that were disturbed.
  var middleMean: Double {
    let middle = sorted()[(count / 4)..<(count - count / 4)]
    return middle.reduce(0, +) / Double(middle.count)
  }
}

/// Waits until a condition holds.
func wait(_ what: String, atMost seconds: Double = 60, until condition: () throws -> Bool) throws {
  let end = Meters.nanoseconds + UInt64(seconds * 1e9)
  while try !condition() {
    guard Meters.nanoseconds < end else { throw BenchError("\(what) did not come within \(seconds) s") }
    usleep(2000)
  }
}

/// Keeps the compiler from leaving out what nobody reads.
@inline(never)
func keep<Value>(_ value: Value) {
  withExtendedLifetime(value) {}
}
