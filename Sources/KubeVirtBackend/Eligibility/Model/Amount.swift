/// An amount of a resource, exact as Kubernetes keeps it: in billionths of a core, a byte or a device.
struct Amount: Hashable, Comparable, Sendable {
  /// Billionths.
  let nanos: Int128

  /// Nothing.
  static let zero = Amount(nanos: 0)

  /// So many whole ones.
  init(_ whole: Int64) { nanos = Int128(whole) * 1_000_000_000 }

  init(nanos: Int128) { self.nanos = nanos }

  static func < (a: Amount, b: Amount) -> Bool { a.nanos < b.nanos }
  static func + (a: Amount, b: Amount) -> Amount { Amount(nanos: a.nanos + b.nanos) }
  static func - (a: Amount, b: Amount) -> Amount { Amount(nanos: a.nanos - b.nanos) }

  /// The amount as the scheduler counts it: thousandths of cores, whole bytes and devices, rounded up.
  func counted(as resource: String) -> Amount {
    let unit: Int128 = resource == "cpu" ? 1_000_000 : 1_000_000_000
    let (whole, rest) = nanos.quotientAndRemainder(dividingBy: unit)
    return rest > 0 ? Amount(nanos: (whole + 1) * unit) : self
  }

  /// In words, for a resource: `3.5 cores`, `8.0 GiB`, `2`.
  func words(of resource: String) -> String {
    switch resource {
    case "cpu": return "\(decimal(nanos, places: 3)) \(nanos == 1_000_000_000 ? "core" : "cores")"
    case "memory", "ephemeral-storage": return bytes
    case _ where resource.hasPrefix("hugepages-"): return bytes
    default: return decimal(nanos, places: 0)
    }
  }

  private var bytes: String {
    let units: [(String, Int128)] = [
      ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
    ]
    for (name, size) in units where nanos.magnitude >= size.magnitude * 1_000_000_000 {
      return "\(decimal(nanos / size, places: 1)) \(name)"
    }
    return "\(nanos / 1_000_000_000) B"
  }

  /// Rounded down, without zeros at its end.
  private func decimal(_ nanos: Int128, places: Int) -> String {
    let sign = nanos < 0 ? "-" : ""
    let (whole, rest) = nanos.magnitude.quotientAndRemainder(dividingBy: 1_000_000_000)
    var digits = String(rest)
    digits = String(repeating: "0", count: 9 - digits.count) + digits
    var fraction = digits.prefix(places)
    while fraction.last == "0" { fraction.removeLast() }
    return fraction.isEmpty ? "\(sign)\(whole)" : "\(sign)\(whole).\(fraction)"
  }
}

extension Quantity {
  private static let binary: [Substring: Int128] = [
    "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60,
  ]
  private static let decimal: [Substring: Int] = [
    "n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18,
  ]

  /// Any quantity, to the billionth, rounded up as Kubernetes does; nil for what is none or absurdly large.
  static func amount(_ text: String) -> Amount? {
    var digits = text[...]
    let isNegative = digits.first == "-"
    if isNegative || digits.first == "+" { digits = digits.dropFirst() }
    let end = digits.firstIndex { !("0"..."9" ~= $0) && $0 != "." } ?? digits.endIndex
    let (number, suffix) = (digits[..<end], digits[end...])
    let parts = number.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    let fraction = parts.count > 1 ? parts[1] : ""
    guard parts[0].count + fraction.count > 0, !fraction.contains("."),
      let mantissa = mantissa(parts[0] + fraction)
    else { return nil }
    let nanos: Int128?
    if let factor = binary[suffix] {
      nanos = scaled(mantissa, by: 9 - fraction.count, times: factor)
    } else {
      guard let exponent = decimal[suffix] ?? exponent(suffix) else { return nil }
      nanos = scaled(mantissa, by: 9 - fraction.count + exponent, times: 1)
    }
    return nanos.map { Amount(nanos: isNegative ? -$0 : $0) }
  }

  /// The digits as a number; nil where there are more than any quantity has.
  private static func mantissa(_ digits: Substring) -> Int128? {
    digits.allSatisfy(\.isASCII) && digits.count <= 27 ? Int128(digits) : nil
  }

  private static func exponent(_ suffix: Substring) -> Int? {
    guard suffix.first == "e" || suffix.first == "E", suffix.count > 1 else { return nil }
    return Int(suffix.dropFirst()).flatMap { (-30...30).contains($0) ? $0 : nil }
  }

  private static func scaled(_ mantissa: Int128, by power: Int, times factor: Int128) -> Int128? {
    var (value, overflow) = mantissa.multipliedReportingOverflow(by: factor)
    guard !overflow else { return nil }
    var rest: Int128 = 0
    for _ in 0..<abs(power) {
      if power > 0 {
        (value, overflow) = value.multipliedReportingOverflow(by: 10)
        if overflow { return nil }
      } else {
        rest |= value % 10
        value /= 10
      }
    }
    return rest == 0 ? value : value + 1
  }
}

/// Amounts by resource.
typealias Amounts = [String: Amount]

extension Amounts {
  /// Reads what can be read of them.
  init(_ texts: [String: IntOrText]?) { self = (texts ?? [:]).compactMapValues { Quantity.amount($0.text) } }

  /// The larger amount of each resource.
  func atLeast(_ other: Amounts) -> Amounts { merging(other) { Swift.max($0, $1) } }

  /// The sum for each resource.
  func adding(_ other: Amounts) -> Amounts { merging(other) { $0 + $1 } }
}

extension Substring {
  fileprivate static func + (a: Substring, b: Substring) -> Substring { Substring(String(a) + String(b)) }
}
