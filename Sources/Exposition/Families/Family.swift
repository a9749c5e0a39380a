internal import DroverCore

/// What a metric family is called and means; the metric reference is made of these.
public struct FamilyDeclaration: Sendable {
  /// The name of its series; histograms add their suffixes.
  public let name: String
  /// What kind of numbers it holds.
  public let kind: FamilyKind
  /// The base unit, which the name ends with; nil where it counts things or has no unit.
  public let unit: FamilyUnit?
  /// The part of a scrape that it belongs to.
  public let part: ScrapePart
  /// What it says, short enough for a tooltip.
  public let help: String
  /// Who fills it; empty where no back end does yet.
  public let filledBy: [Filler]
  /// All label names that it may carry; a series has either `namespace` or `host`.
  public let labels: [String]
  /// Whether a migration that is over keeps it until it is forgotten.
  public let staysAfterEnd: Bool
}

/// What kind of numbers a family holds.
public enum FamilyKind: String, Sendable {
  /// Only grows; the name ends with `_total`.
  case counter
  /// Goes up and down.
  case gauge
  /// Always 1; the facts are in its labels; the name ends with `_info`.
  case info
  /// One series for each state, 1 for the state that holds.
  ///
  /// A gauge in both formats: OpenMetrics' own state sets want their label to be named like the family.
  case stateSet = "state set"
  /// Buckets, their sum and their count.
  case histogram
}

/// A base unit.
public enum FamilyUnit: String, Sendable {
  case seconds, bytes, ratio
  case bytesPerSecond = "bytes_per_second"
}

/// Who fills a family.
public struct Filler: Hashable, Sendable, CustomStringConvertible {
  /// A back end's kind, or Drover itself.
  public let name: String
  /// The first version that tells it; nil where every supported one does.
  public let since: String?

  /// Any QEMU.
  public static let qemu = Filler(name: "QEMU", since: nil)
  /// Any libvirt that tells a migration from other jobs: 3.3 and later.
  public static let libvirt = Filler(name: "libvirt", since: nil)
  /// Any KubeVirt.
  public static let kubevirt = Filler(name: "KubeVirt", since: nil)
  /// Drover itself, whatever it watches.
  public static let drover = Filler(name: "Drover", since: nil)

  /// QEMU from a version on.
  public static func qemu(since version: String) -> Filler { Filler(name: "QEMU", since: version) }

  /// libvirt from a version on.
  public static func libvirt(since version: String) -> Filler { Filler(name: "libvirt", since: version) }

  /// KubeVirt from a version on.
  public static func kubevirt(since version: String) -> Filler { Filler(name: "KubeVirt", since: version) }

  /// The name, and the version where there is one.
  public var description: String { since.map { "\(name) \($0)+" } ?? name }
}

extension [Filler] {
  /// Every back end that watches hosts.
  static var hosts: [Filler] { [.qemu, .libvirt] }
  /// Every back end.
  static var all: [Filler] { hosts + [.kubevirt] }
}

/// A family and the way from what is known to its samples.
struct Family<Subject>: Sendable {
  let declaration: FamilyDeclaration
  let name: [UInt8]
  let emit: @Sendable (Subject, inout SampleSink) -> Void

  init(
    _ name: String, _ kind: FamilyKind, unit: FamilyUnit? = nil, part: ScrapePart, labels: [String],
    filledBy: [Filler], staysAfterEnd: Bool = false, _ help: String,
    emit: @escaping @Sendable (Subject, inout SampleSink) -> Void
  ) {
    declaration = FamilyDeclaration(
      name: name, kind: kind, unit: unit, part: part, help: help, filledBy: filledBy, labels: labels,
      staysAfterEnd: staysAfterEnd)
    self.name = Array(name.utf8)
    self.emit = emit
  }
}

/// A number as it is shown.
enum SampleValue {
  case count(UInt64)
  case number(Double)
  /// A whole number of thousandths.
  case milli(Int64)
  /// A whole number of millionths.
  case micro(Int64)
  /// Shown as Unix seconds.
  case moment(Moment)

  static let zero = SampleValue.count(0)
  static let one = SampleValue.count(1)
}

/// What a family's function may answer.
protocol SampleConvertible: SendableMetatype {
  var sample: SampleValue { get }
}

extension Bytes: SampleConvertible { var sample: SampleValue { .count(count) } }
extension BytesPerSecond: SampleConvertible { var sample: SampleValue { .count(value) } }
extension UInt64: SampleConvertible { var sample: SampleValue { .count(self) } }
extension Double: SampleConvertible { var sample: SampleValue { .number(self) } }
extension Bool: SampleConvertible { var sample: SampleValue { .count(self ? 1 : 0) } }
extension Moment: SampleConvertible { var sample: SampleValue { .moment(self) } }
extension Duration: SampleConvertible {
  var sample: SampleValue {
    let (seconds, attoseconds) = components
    let (millionfold, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
    guard !overflow else { return .number(Double(seconds)) }
    return .micro(millionfold &+ attoseconds / 1_000_000_000_000)
  }
}

/// A part of a whole, 0 to 1, shown to a millionth: more digits say nothing and cost bytes in every scrape.
struct Ratio: SampleConvertible {
  let value: Double
  var sample: SampleValue {
    guard value.magnitude < 1_000_000 else { return .number(value) }
    return .micro(Int64((value * 1_000_000).rounded()))
  }
}
