import Testing

@testable import DroverCore
@testable import KubeVirtBackend

@Suite("Quantities and times of the API")
struct QuantityTests {
  @Test(
    "A quantity is whole bytes, rounded up",
    arguments: [
      ("8Gi", 8_589_934_592), ("8G", 8_000_000_000), ("8589934592", 8_589_934_592), ("0.5Gi", 536_870_912),
      ("512Mi", 536_870_912), ("1500m", 2), ("1m", 1), ("1u", 1), ("1n", 1), ("0", 0), ("0Mi", 0), ("-0", 0),
      ("1e9", 1_000_000_000), ("1E9", 1_000_000_000), ("1.5e3", 1500), ("1e+3", 1000), ("1e-3", 1),
      ("12E", 0), ("2E", 2_000_000_000_000_000_000), ("1Ei", 1_152_921_504_606_846_976),
      ("128974848000m", 128_974_848),
      ("129M", 129_000_000), ("123Mi", 128_974_848), ("1k", 1000), ("1Ki", 1024), ("+8Gi", 8_589_934_592),
      ("1.1G", 1_100_000_000), ("0.07T", 70_000_000_000), ("0.3G", 300_000_000), ("1.5Gi", 1_610_612_736),
      ("8.Gi", 8_589_934_592),
      (".5Gi", 536_870_912), ("1Ti", 1_099_511_627_776), ("1Pi", 1_125_899_906_842_624), ("0.1", 1),
    ] as [(String, UInt64)])
  func good(text: String, count: UInt64) {
    guard text != "12E" else {
      #expect(Quantity.bytes(text) == nil)
      return
    }
    #expect(Quantity.bytes(text)?.count == count)
  }

  @Test(
    "What is no quantity, below 0, or more than any machine has, is none",
    arguments: [
      "", " ", "-1", "-0.5", "-8Gi", "99999Ei", "8 Gi", " 8Gi", "8gi", "8GI", "8Gib", "8GiB", "Gi", "e9",
      "1e", "1e400",
      "1e99999999999999999999", "nan", "inf", "infinity", "0x10", "1.5.2", ".", "+", "-", "1_000", "1,5",
      "８Gi", "8Gi\n", "--1", "1e1e1", "18446744073709551616", "4611686018427387904",
    ])
  func bad(text: String) { #expect(Quantity.bytes(text) == nil) }

  @Test(
    "A time is RFC 3339, in any zone, with any fraction",
    arguments: [
      ("2026-03-02T10:00:00Z", 0), ("2026-03-02T10:00:00.5Z", 500), ("2026-03-02T10:00:00.000000Z", 0),
      ("2026-03-02T10:00:00.123456789Z", 123), ("2026-03-02T11:00:00+01:00", 0),
      ("2026-03-02T05:30:00-04:30", 0),
      ("2026-03-02T10:00:00+00:00", 0), ("2026-03-02t10:00:00z", 0), ("2026-03-02T11:00:00.25+01:00", 250),
      ("2026-03-02T10:00:00-00:00", 0), ("2024-02-29T10:00:00Z", -63_244_800_000),
      ("2000-03-01T00:00:00Z", -820_576_800_000), ("1970-01-01T00:00:00Z", -1_772_445_600_000),
      ("9999-12-31T23:59:59Z", 251_629_855_199_000),
    ] as [(String, Int64)])
  func times(text: String, milliseconds: Int64) throws {
    let time = try #require(ClusterTime(text))
    #expect(time.unixMilliseconds == 1_772_445_600_000 + milliseconds)
  }

  @Test(
    "Anything else is none",
    arguments: [
      nil, "", "now", "2026-03-02", "2026-03-02T10:00:00", "2026-13-02T10:00:00Z", "2026-02-30T10:00:00Z",
      "2025-02-29T10:00:00Z", "2100-02-29T10:00:00Z", "2026-04-31T10:00:00Z",
      "2026-03-02T25:00:00Z", "0000-00-00T00:00:00Z", "1969-12-31T23:59:59Z", "2026-03-02T10:00:00ZZ",
      "2026-03-02T10:61:00Z", "12026-03-02T10:00:00Z", "2026-03-02T10:00:00.Z", "2026-03-02T10:00:00+25:00",
    ])
  func noTimes(text: String?) { #expect(ClusterTime(text) == nil) }

  @Test(
    "A version is known by its first two numbers",
    arguments: [
      ("1.6.0", KubeVirtVersion(1, 6)), ("v1.9.0-alpha.1", KubeVirtVersion(1, 9)),
      ("1.10", KubeVirtVersion(1, 10)),
      ("", nil), ("devel", nil), ("sha256:12.3", nil), ("1", nil), ("v2.0.0", KubeVirtVersion(2, 0)),
    ] as [(String, KubeVirtVersion?)])
  func versions(text: String, version: KubeVirtVersion?) {
    #expect(KubeVirtVersion(text) == version)
    #expect(KubeVirtVersion(1, 10) > KubeVirtVersion(1, 9))
  }
}
