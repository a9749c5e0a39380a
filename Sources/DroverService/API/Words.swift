internal import DroverCore

/// Numbers in words for people: one rule for sizes, rates and times on the page and in the tables.
public enum Words {
  /// A size in binary units: `812 B`, `62.0 MiB`, `1.4 GiB`.
  public static func size(_ bytes: UInt64) -> String {
    guard bytes >= 1024 else { return "\(bytes) B" }
    var value = Double(bytes) / 1024
    var units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"][...]
    // What would round to 1024 is 1.0 of the next unit.
    while value >= 1023.5, units.count > 1 {
      value /= 1024
      units = units.dropFirst()
    }
    return "\(short(value)) \(units.first ?? "")"
  }

  /// A rate in binary units: `41.8 MiB/s`.
  public static func rate(_ bytesPerSecond: UInt64) -> String { size(bytesPerSecond) + "/s" }

  /// A length of time in its two largest units: `350ms`, `1.8s`, `12s`, `2m 5s`, `1h 46m`, `3d 4h`; rounded down.
  public static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite else { return "unknown" }
    let milliseconds = Int64(min(max(seconds, 0), 1e12) * 1000 + 0.5)
    guard milliseconds >= 1000 else { return milliseconds == 0 ? "0s" : "\(milliseconds)ms" }
    let tenth = milliseconds / 100 % 10
    if milliseconds < 10_000, tenth > 0 { return "\(milliseconds / 1000).\(tenth)s" }
    let whole = milliseconds / 1000
    let parts = [(whole / 86_400, "d"), (whole / 3600 % 24, "h"), (whole / 60 % 60, "m"), (whole % 60, "s")]
    let first = parts.firstIndex { $0.0 > 0 } ?? 3
    return parts[first...].prefix(2).filter { $0.0 > 0 }.map { "\($0.0)\($0.1)" }.joined(separator: " ")
  }

  /// A point in time from now: `in 3m 20s`, `12s ago`, `now` within a second.
  public static func relative(_ seconds: Double) -> String {
    if seconds >= 1 { return "in \(duration(seconds.rounded(.down)))" }
    if seconds <= -1 { return "\(duration((-seconds).rounded(.down))) ago" }
    return "now"
  }

  /// What is left of a deadline: `3m 20s left`, `overdue by 12s`.
  public static func left(_ seconds: Double) -> String {
    seconds <= -1
      ? "overdue by \(duration((-seconds).rounded(.down)))"
      : "\(duration(max(0, seconds).rounded(.down))) left"
  }

  /// A part of the whole: `62%`; 100% only when nothing is missing.
  public static func percent(_ ratio: Double) -> String {
    guard ratio.isFinite else { return "unknown" }
    return "\(Int((min(max(ratio, 0), 1) * 100 + 1e-9).rounded(.down)))%"
  }

  /// A word of the API without its underscores: `not converging`.
  public static func plain(_ word: String) -> String { word.replacing("_", with: " ") }

  /// A verdict's evidence in words and numbers.
  static func evidence(_ evidence: Evidence) -> String {
    switch evidence {
    case .notInPrecopy: "verdicts are given in pre-copy only"
    case .sampleTooOld(let limit): "the source has not answered for more than \(duration(limit.inSeconds))"
    case .firstPass: "first pass: the dirty rate is measured at its end"
    case .tooFewSamples: "too few samples yet"
    case .still(let sent, let drop, let remaining):
      "no bytes sent for \(duration(sent.inSeconds)), remaining has not fallen for \(duration(drop.inSeconds))"
        + (remaining.map { "; \(size($0.count)) remaining" } ?? "")
    case .passesDoNotShrink(let passes, let best, let dirty, let transfer):
      "dirties \(rate(dirty.value)) of \(rate(transfer.value)) sent; \(passes) passes in a row "
        + "began with no less than \(size(best.count)) to send"
    case .diskDoesNotShrink(let best, let sent, let transfer):
      "disks: \(size(sent.count)) sent at \(rate(transfer.value)) since \(size(best.count)) remained, and never less"
    case .diskTrend(let remaining, let shrink, let transfer):
      "disks: \(size(remaining.count)) remaining, falling by \(rate(shrink.value)) of \(rate(transfer.value)) sent"
    case .networkSilent(let losses, let deadline):
      losses.map(silence).joined(separator: "; ")
        + (deadline != nil ? "; libvirt ends the migration at the keepalive deadline" : "")
    case .trend(let remaining, let dirty, let transfer):
      "\(size(remaining.count)) remaining; dirties \(rate(dirty.value)) of \(rate(transfer.value)) sent"
    }
  }

  private static func silence(_ loss: NetworkLoss) -> String {
    let silence = duration(loss.silence.inSeconds)
    return switch loss.network {
    case .management: "control connection: nothing received for \(silence)"
    case .migration: "data connection: nothing acknowledged for \(silence)"
    case .unknown: "nothing heard for \(silence)"
    }
  }

  /// One decimal below 100, none above.
  private static func short(_ value: Double) -> String {
    guard value < 99.95 else { return "\(UInt64(value.rounded()))" }
    let tenths = UInt64((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
}
