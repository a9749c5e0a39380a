import Foundation
import Testing

@testable import Exposition

@Suite("Numbers")
struct NumberWriterTests {
  private func written(_ body: (inout ByteWriter) -> Void) -> String {
    var writer = ByteWriter(capacity: 0)
    body(&writer)
    return writer.withUnsafeBytes(0..<writer.count) { String(decoding: $0, as: UTF8.self) }
  }

  @Test(
    "doubles take their shortest form, integers no point",
    arguments: [
      (0, "0"), (-0.0, "-0"), (1, "1"), (-17, "-17"), (0.5, "0.5"), (0.3, "0.3"), (-2.125, "-2.125"),
      (0.1 + 0.2, "0.30000000000000004"), (1_790_000_000.123, "1790000000.123"), (0.000_001, "0.000001"),
      (123_456_789.000_001, "123456789.000001"), (999_999_999_999_999, "999999999999999"),
      (1e15, "1000000000000000"), (9_007_199_254_740_992, "9007199254740992"), (1e16, "1e+16"),
      (1e300, "1e+300"),
      (.leastNonzeroMagnitude, "5e-324"), (1e-7, "1e-07"),
      (.greatestFiniteMagnitude, "1.7976931348623157e+308"),
      (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"), (-.nan, "NaN"),
    ] as [(Double, String)])
  func doubles(_ value: Double, _ text: String) {
    #expect(written { $0.append(value) } == text)
  }

  @Test(
    "any double reads back as itself, with the digits of its description",
    arguments: 1...8 as ClosedRange<UInt64>)
  func roundTrip(_ seed: UInt64) {
    var generator = SplitMix(state: seed)
    for round in 0..<20_000 {
      let value: Double =
        switch round % 4 {
        case 0: Double(bitPattern: generator.next())
        case 1: Double(Int64(bitPattern: generator.next()) >> (generator.next() % 60)) / 1000
        case 2: Double(Int64(bitPattern: generator.next()) >> (generator.next() % 60)) / 1_000_000
        default: Double(generator.next() >> 11) * 0x1p-53
        }
      let text = written { $0.append(value) }
      guard !value.isNaN else {
        #expect(text == "NaN")
        continue
      }
      let same = Double(text.replacingOccurrences(of: "Inf", with: "inf")) == value
      // Not in the macro: it would be evaluated for each of the many rounds.
      if !same { Issue.record("\(value) was written as \(text)") }
      if value.isFinite, digits(text) != digits(value.description) {
        Issue.record("\(value.description) was written with other digits: \(text)")
      }
    }
  }

  /// The significant digits, whatever the exponent.
  private func digits(_ text: String) -> String {
    let mantissa = text.prefix { $0 != "e" }.filter(\.isNumber)
    let trimmed = mantissa.drop { $0 == "0" }.reversed().drop { $0 == "0" }.reversed()
    return String(trimmed)
  }

  @Test("whole numbers", arguments: [0, 9, 10, 4096, 18_446_744_073_709_551_615] as [UInt64])
  func integers(_ value: UInt64) {
    #expect(written { $0.append(value) } == String(value))
  }

  @Test(
    "thousandths and millionths lose the zeros at their end",
    arguments: [
      (0, "0", "0"), (1, "0.001", "0.000001"), (1500, "1.5", "0.0015"), (-1_250_000, "-1250", "-1.25"),
      (.min, "-9223372036854775.808", "-9223372036854.775808"),
    ] as [(Int64, String, String)])
  func fixed(_ units: Int64, _ thousandths: String, _ millionths: String) {
    #expect(written { $0.append(milli: units) } == thousandths)
    #expect(written { $0.append(micro: units) } == millionths)
  }

  @Test(
    "bounds of buckets are written as Go writes them",
    arguments: [
      (0, "0.0"), (1, "1.0"), (10, "10.0"), (0.025, "0.025"), (1e-5, "1e-05"), (0.0001, "0.0001"),
      (32768, "32768.0"),
      (999_999, "999999.0"), (1e6, "1e+06"), (16_777_216, "1.6777216e+07"), (1e10, "1e+10"),
      (4_398_046_511_104, "4.398046511104e+12"), (1e100, "1e+100"), (.infinity, "+Inf"),
    ] as [(Double, String)])
  func bounds(_ bound: Double, _ text: String) {
    #expect(written { $0.append(bound: bound) } == text)
  }
}

/// A small generator with a seed, so that a failure can be seen again.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
