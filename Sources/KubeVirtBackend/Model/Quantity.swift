internal import DroverCore

/// A Kubernetes quantity of bytes: `8Gi`, `512M`, `1e9`, `1500m`.
enum Quantity {
  private static let factors: [String: Double] = [
    "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 1024, "Mi": 1_048_576, "Gi": 1_073_741_824, "Ti": 1_099_511_627_776,
    "Pi": 1_125_899_906_842_624, "Ei": 1_152_921_504_606_846_976,
    "m": 1e-3, "u": 1e-6, "n": 1e-9,
  ]

  /// Whole bytes, rounded up; nil for what is no quantity, below 0, or more than any machine has.
  static func bytes(_ text: String) -> Bytes? {
    let end = text.utf8.firstIndex { !isNumeric($0) } ?? text.endIndex
    var number = text[..<end]
    var suffix = String(text[end...])
    if suffix.first == "e" || suffix.first == "E", suffix.count > 1, let exponent = Int(suffix.dropFirst()) {
      guard (-18...18).contains(exponent) else { return nil }
      number = text[...]
      suffix = ""
    }
    guard let value = Double(number), value >= 0, let factor = factors[suffix] else { return nil }
    if factor >= 1, let whole = UInt64(number) {
      let (product, overflow) = whole.multipliedReportingOverflow(by: UInt64(factor))
      return overflow || product >= 1 << 62 ? nil : Bytes(product)
    }
    let exact = value * factor
    guard exact < 4.6e18 else { return nil }
    // Few decimal fractions are exact in binary: one that is as good as whole is whole.
    let whole = exact.rounded()
    return Bytes(UInt64(abs(exact - whole) <= whole * 1e-15 ? whole : exact.rounded(.up)))
  }

  private static func isNumeric(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: ".")
      || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-")
  }
}
