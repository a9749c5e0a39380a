internal import Glibc

/// The text format 0.0.4, as virt-handler and other exporters write it.
///
/// A body has megabytes of other metrics: a line whose name is not asked for costs a look at its first bytes and one
/// search for its end.
enum PrometheusText {
  /// One line that was asked for.
  struct Sample: Hashable, Sendable {
    /// The metric's name.
    var name: String
    /// The labels in their order, without their escapes.
    var labels: [Label]
    /// The value; may be NaN or infinite.
    var value: Double
    /// The sample's own time, milliseconds since 1970; nil where the line has none.
    var timestamp: Int64?

    /// The value of a label; nil where it is not there.
    func label(_ name: String) -> String? { labels.first { $0.name == name }?.value }
  }

  /// A label of a sample.
  struct Label: Hashable, Sendable {
    var name: String
    var value: String
  }

  /// What a body was made of.
  struct Tally: Hashable, Sendable {
    /// Lines of every kind.
    var lines = 0
    /// Lines that were asked for and handed over.
    var samples = 0
    /// Lines that cannot be of this format, by their first byte or, where they were asked for, as a whole.
    var malformed = 0
  }

  /// Hands over each sample whose name begins with one of the prefixes, in the order of the body.
  static func visit(
    _ body: Span<UInt8>, prefixes: [String], _ take: (Sample) throws -> Void
  ) rethrows -> Tally {
    let wanted = NamePrefixes(prefixes)
    var tally = Tally()
    try body.withUnsafeBufferPointer { bytes in
      guard let base = bytes.baseAddress else { return }
      var next = base
      let end = base + bytes.count
      while next < end {
        let start = next
        let found = memchr(start, Int32(UInt8(ascii: "\n")), end - start)
        let lineEnd = found.map { UnsafePointer($0.assumingMemoryBound(to: UInt8.self)) } ?? end
        next = lineEnd + 1
        tally.lines &+= 1

        let line = UnsafeBufferPointer(start: start, count: lineEnd - start)
        switch wanted.look(at: line) {
        case .other: continue
        case .malformed: tally.malformed += 1
        case .wanted:
          var parser = PrometheusLine(line)
          guard let sample = parser.sample() else {
            tally.malformed += 1
            continue
          }
          tally.samples += 1
          try take(sample)
        }
      }
    }
    return tally
  }
}

/// Tells lines that are asked for from the rest by their first bytes.
private struct NamePrefixes {
  enum Look { case wanted, other, malformed }

  private let prefixes: [[UInt8]]
  /// What all of them begin with.
  private let common: [UInt8]

  init(_ prefixes: [String]) {
    self.prefixes = prefixes.map { Array($0.utf8) }
    var common = self.prefixes.first ?? []
    for prefix in self.prefixes {
      common = Array(zip(common, prefix).prefix { $0 == $1 }.map(\.0))
    }
    self.common = common
  }

  func look(at line: UnsafeBufferPointer<UInt8>) -> Look {
    guard let first = line.first else { return .other }
    guard first != UInt8(ascii: " "), first != UInt8(ascii: "\t") else {
      guard let start = line.firstIndex(where: { !$0.isBlank }) else { return .other }
      return look(at: UnsafeBufferPointer(rebasing: line[start...]))
    }
    if line.starts(withBytes: common), prefixes.contains(where: { line.starts(withBytes: $0) }) {
      return .wanted
    }
    if first.isNameStart || first == UInt8(ascii: "#") || (first == UInt8(ascii: "\r") && line.count == 1) {
      return .other
    }
    return .malformed
  }
}

extension UnsafeBufferPointer<UInt8> {
  fileprivate func starts(withBytes prefix: [UInt8]) -> Bool {
    guard count >= prefix.count, let baseAddress else { return false }
    return prefix.withUnsafeBufferPointer { prefix in
      prefix.baseAddress.map { memcmp(baseAddress, $0, prefix.count) == 0 } ?? true
    }
  }
}

extension UInt8 {
  /// Whether it separates the parts of a line.
  var isBlank: Bool { self == UInt8(ascii: " ") || self == UInt8(ascii: "\t") }

  /// Whether a metric's name may begin with it.
  var isNameStart: Bool {
    switch self {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"),
      UInt8(ascii: ":"):
      true
    default: false
    }
  }

  /// Whether a metric's name may go on with it.
  var isNamePart: Bool { isNameStart || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }
}
