import Foundation
import Testing

/// What is proven by doing it hundreds of times; `make soak`, or `make soak SOAK=kills` for a part of it.
@Suite("Soak", .serialized)
enum Soak {
  /// The part that is wanted; nil outside `make soak`.
  private static let wanted = ProcessInfo.processInfo.environment["DROVER_SOAK"]

  /// Whether a part is to run: `1` and `all` stand for each.
  static func wants(_ part: String) -> Bool { ["1", "all", part].contains(wanted ?? "") }

  /// What the random choices are made from; the same with the same DROVER_SEED.
  static let seed =
    ProcessInfo.processInfo.environment["DROVER_SEED"].flatMap { UInt64($0) } ?? .random(in: 0..<1_000_000)

  /// How often something is done: DROVER_SOAK_COUNT, to try a part out.
  static func count(_ usual: Int) -> Int {
    ProcessInfo.processInfo.environment["DROVER_SOAK_COUNT"].flatMap { Int($0) } ?? usual
  }

  /// A line for whoever waits.
  static func tell(_ words: String) {
    let seconds = Int(Double((ContinuousClock.now - begun).components.seconds))
    FileHandle.standardOutput.write(Data("soak: \(seconds) s: \(words)\n".utf8))
  }

  private static let begun = ContinuousClock.now
}

/// Repeatable random numbers.
struct Dice: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Times that were measured, in seconds.
struct Times: CustomStringConvertible {
  private var all: [Double] = []

  mutating func add(_ seconds: Double) { all.append(seconds) }

  var count: Int { all.count }
  var longest: Double { all.max() ?? .infinity }
  var shortest: Double { all.min() ?? -.infinity }

  var description: String {
    let sorted = all.sorted()
    func text(_ seconds: Double?) -> String { String(format: "%.3f", seconds ?? .nan) }
    return
      "\(all.count) runs: min \(text(sorted.first)) s, median \(text(sorted.isEmpty ? nil : sorted[sorted.count / 2])) s, "
      + "max \(text(sorted.last)) s"
  }
}

/// The wall clock, in milliseconds since 1970.
func unixNow() -> Int64 {
  var time = timespec()
  clock_gettime(CLOCK_REALTIME, &time)
  return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
}
