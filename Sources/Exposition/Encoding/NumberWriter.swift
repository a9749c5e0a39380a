/// Numbers as both formats want them: integers without a point, the shortest form that reads back as the same
/// double, `NaN`, `+Inf`, `-Inf`.
///
/// Only a double with more than six decimals, or more than 15 digits, costs an allocation.
extension ByteWriter {
  mutating func append(_ value: UInt64) {
    // 20 digits hold every 64-bit number; they are made from the last to the first.
    withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { digits in
      var rest = value
      var start = 20
      repeat {
        start &-= 1
        let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
        digits.storeBytes(of: asciiDigit(digit), toByteOffset: start, as: UInt8.self)
        rest = quotient
      } while rest > 0
      append(UnsafeRawBufferPointer(rebasing: digits[start...]))
    }
  }

  /// Appends a number of thousandths, without zeros at the end.
  mutating func append(milli: Int64) { append(fixed: milli, scale: 1000) }

  /// Appends a number of millionths, without zeros at the end.
  mutating func append(micro: Int64) { append(fixed: micro, scale: 1_000_000) }

  private mutating func append(fixed units: Int64, scale: UInt64) {
    if units < 0 { append(UInt8(ascii: "-")) }
    let (whole, fraction) = units.magnitude.quotientAndRemainder(dividingBy: scale)
    append(whole)
    guard fraction > 0 else { return }
    append(UInt8(ascii: "."))
    var rest = fraction
    var place = scale
    while rest > 0 {
      place /= 10
      let (digit, next) = rest.quotientAndRemainder(dividingBy: place)
      append(asciiDigit(digit))
      rest = next
    }
  }

  mutating func append(_ value: Double) {
    // Two decimals of at most 15 digits never read as one double: one that divides back exactly is the shortest.
    if value == 0 {
      append(value.sign == .minus ? "-0" : "0")
    } else if let whole = exactly(value, timesInto: 1) {
      append(fixed: whole, scale: 1)
    } else if let thousandths = exactly(value, timesInto: 1e3) {
      append(milli: thousandths)
    } else if let millionths = exactly(value, timesInto: 1e6) {
      append(micro: millionths)
    } else if value.isFinite {
      let text = value.description
      append(text.hasSuffix(".0") ? String(text.dropLast(2)) : text)
    } else {
      append(value.isNaN ? "NaN" : value < 0 ? "-Inf" : "+Inf")
    }
  }

  /// Appends a bucket's bound as Go writes it: a float even where it is whole, with an exponent from 10^6 on.
  ///
  /// OpenMetrics demands this, so that one bound is one label value whoever exports it.
  mutating func append(bound: Double) {
    guard let whole = exactly(bound, timesInto: 1), whole >= 0 else {
      // Below 10^-4 Go has an exponent, and so has the description.
      return bound.magnitude < 1e-4 ? append(bound.description) : append(bound)
    }
    let start = count
    append(fixed: whole, scale: 1)
    let exponent = count - start - 1
    guard exponent >= 6 else { return append(".0") }
    var unit: UInt64 = 1
    for _ in 0..<exponent { unit *= 10 }
    truncate(to: start)
    append(fixed: whole, scale: unit)
    append(exponent < 10 ? "e+0" : "e+")
    append(UInt64(exponent))
  }
}

private func asciiDigit(_ digit: UInt64) -> UInt8 { UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: digit) }

private func exactly(_ value: Double, timesInto scale: Double) -> Int64? {
  let units = (value * scale).rounded()
  guard units.magnitude < 1e15, units / scale == value else { return nil }
  return Int64(units)
}
