import CBench
import Glibc
import Posix
import Synchronization

/// Notices when this machine stands still, as a virtual one does while its host runs something else.
///
/// On each processor a thread that goes before all programs wakes now and then; where it wakes too late, either the host
/// did not run the processor or the kernel was busy on it, for whomever. The time that the kernel counts as stolen does not
/// tell: of a processor that was at rest and is not woken by the host it has nothing.
final class StallWitness: Sendable {
  /// Seldom, since each wake-up also has the kernel choose anew who runs.
  private static let period: UInt64 = 2_000_000
  /// What is later than this was no stall.
  private static let least: UInt64 = 1_000_000

  private let stalls = Mutex<[Range<UInt64>]>([])
  private let watching = Atomic(0)
  private let failure = Atomic<Int32>(0)
  private let isEnding = Atomic(false)

  private init() {}

  /// Seconds that `body` took, and in how many of these a witness waited for its processor; needs the right to real-time
  /// scheduling, which root has.
  static func time(_ body: () throws -> Void) throws -> (seconds: Double, stalled: Double) {
    let witness = StallWitness()
    defer { witness.isEnding.store(true, ordering: .releasing) }
    let processors = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    for processor in 0..<processors {
      guard startThread("stall-witness", { witness.watch(processor) }) else {
        throw BenchError("the system gives no thread")
      }
    }
    try wait("a witness on each processor", atMost: 5) {
      let failure = witness.failure.load(ordering: .acquiring)
      guard failure == 0 else {
        throw BenchError("no real-time thread on each processor: \(String(cString: strerror(failure)))")
      }
      return witness.count == processors
    }
    // What their start did to the processors is over.
    usleep(20_000)
    let began = Meters.nanoseconds
    try body()
    let span = began..<Meters.nanoseconds
    // One that stands still itself tells when it goes on.
    witness.isEnding.store(true, ordering: .releasing)
    try wait("the end of the witnesses") { witness.count == 0 }
    return (Double(span.upperBound - span.lowerBound) / 1e9, witness.stalled(in: span))
  }

  private var count: Int { watching.load(ordering: .acquiring) }

  private func stalled(in span: Range<UInt64>) -> Double {
    let stalls = stalls.withLock(\.self).map { $0.clamped(to: span) }
    var (sum, end) = (UInt64(0), span.lowerBound)
    for stall in stalls.sorted(by: { $0.lowerBound < $1.lowerBound }) where stall.upperBound > end {
      sum += stall.upperBound - max(stall.lowerBound, end)
      end = stall.upperBound
    }
    return Double(sum) / 1e9
  }

  private func watch(_ processor: Int) {
    let failure = bench_own_processor(Int32(processor))
    guard failure == 0 else { return self.failure.store(failure, ordering: .releasing) }
    watching.add(1, ordering: .releasing)
    defer { watching.subtract(1, ordering: .releasing) }
    while !isEnding.load(ordering: .acquiring) {
      let next = Meters.nanoseconds + Self.period
      var time = timespec(tv_sec: Int(next / 1_000_000_000), tv_nsec: Int(next % 1_000_000_000))
      guard clock_nanosleep(CLOCK_MONOTONIC, Int32(TIMER_ABSTIME), &time, nil) == 0 else { continue }
      let now = Meters.nanoseconds
      if now > next + Self.least { stalls.withLock { $0.append(next..<now) } }
    }
  }
}
