import Testing

@testable import DroverCore

@Suite("Units")
struct UnitsTests {
  @Test("Sums and differences of bytes stop at the ends instead of wrapping")
  func bytesSaturate() {
    #expect(Bytes(.max) + 1 == Bytes(.max))
    #expect(Bytes(.max) + Bytes(.max) == Bytes(.max))
    #expect(Bytes(3) - 5 == 0)
    #expect(Bytes(5) - 3 == 2)
    #expect(Bytes.gibibytes(8).count == 8_589_934_592)
    #expect(Bytes.mebibytes(3).count == 3_145_728)
    #expect(Bytes.gibibytes(1 << 40) == Bytes(.max))
    #expect(Bytes.mebibytes(.max) == Bytes(.max))
  }

  @Test(
    "A rate is bytes by time",
    arguments: [
      (1000, 1000, 1000), (1000, 500, 2000), (1, 3000, 0), (2, 3000, 1), (0, 1, 0), (.max, 1, .max),
      (.max, 1000, .max),
    ] as [(UInt64, Int64, UInt64)])
  func rates(bytes: UInt64, milliseconds: Int64, rate: UInt64) {
    #expect(BytesPerSecond(Bytes(bytes), in: .milliseconds(milliseconds)) == BytesPerSecond(rate))
  }

  @Test("There is no rate where no time has passed", arguments: [0, -1, -60_000] as [Int64])
  func noRate(milliseconds: Int64) {
    #expect(BytesPerSecond(5, in: .milliseconds(milliseconds)) == nil)
  }

  @Test("Moments stop at the ends of the clock")
  func momentsSaturate() {
    #expect(ms(.max) + .seconds(1) == ms(.max))
    #expect(ms(.min) - .seconds(1) == ms(.min))
    #expect(ms(.max) - ms(.min) == .milliseconds(Int64.max))
    #expect(ms(.min) - ms(.max) == .milliseconds(Int64.min))
    #expect(ms(.min) + .seconds(-1) == ms(.min))
    #expect(ms(5000) + .seconds(2) == ms(7000))
    #expect(ms(5000) - ms(7000) == .seconds(-2))
  }

  @Test(
    "Durations become milliseconds, the rest cut off",
    arguments: [
      (.seconds(2), 2000), (.milliseconds(-1500), -1500), (.microseconds(1999), 1),
      (.microseconds(-1999), -1), (.seconds(Int64.max), .max), (.seconds(Int64.min), .min),
      (.milliseconds(Int64.max), .max), (.milliseconds(Int64.min), .min),
    ] as [(Duration, Int64)])
  func milliseconds(duration: Duration, expected: Int64) {
    #expect(duration.milliseconds == expected)
  }

  @Test("Durations become seconds without loss below a millisecond")
  func inSeconds() {
    #expect(Duration.microseconds(140).inSeconds == 0.00014)
    #expect(Duration.milliseconds(300).inSeconds == 0.3)
    #expect(Duration.milliseconds(1469).inSeconds == 1.469)
    #expect(Duration.seconds(6400).inSeconds == 6400)
    #expect(Duration.milliseconds(-250).inSeconds == -0.25)
  }

  @Test("The epoch offset turns moments into Unix time and back")
  func epochOffset() {
    let offset = EpochOffset(milliseconds: 1_700_000_000_000)
    #expect(offset.unixMilliseconds(ms(42)) == 1_700_000_000_042)
    #expect(offset.moment(unixMilliseconds: 1_700_000_000_042) == ms(42))
    #expect(offset.unixMilliseconds(ms(.max)) == .max)
    #expect(offset.moment(unixMilliseconds: .min) == ms(.min))
  }
}

@Suite("Identity")
struct IdentityTests {
  @Test("A domain without a UUID, or with one that is none, has no UUID key")
  func uuid() {
    #expect(DomainKey(uuid: "00000000-0000-0000-0000-000000000000") == nil)
    #expect(DomainKey(uuid: "") == nil)
    #expect(DomainKey(uuid: "a/b") == nil)
    let key = DomainKey(uuid: "6B0E2E2A-0000-4000-8000-000000000001")
    #expect(key?.text == "6b0e2e2a-0000-4000-8000-000000000001")
    #expect(key?.isShared == true)
  }

  @Test("The hash of a nameless domain is fixed, and tells back ends and sockets apart")
  func hash() {
    let a = DomainKey(backend: home, socketPath: "/run/a.qmp")
    #expect(a.text == "q" + a.text.dropFirst() && a.text.utf8.count == 17)
    #expect(a == DomainKey(backend: home, socketPath: "/run/a.qmp"))
    #expect(a != DomainKey(backend: home, socketPath: "/run/b.qmp"))
    #expect(
      DomainKey(backend: BackendName(rawValue: "a"), socketPath: "bc")
        != DomainKey(backend: BackendName(rawValue: "ab"), socketPath: "c"))
    #expect(!a.isShared)
  }

  @Test("An identifier has only letters, digits and dashes")
  func identifier() {
    #expect(MigrationID("1d6d7273-275d-48e0-bb76-62e240b42aaf") != nil)
    #expect(MigrationID("") == nil)
    #expect(MigrationID("a b") == nil)
    #expect(MigrationID("ä") == nil)
    #expect(MigrationID(String(repeating: "a", count: 129)) == nil)
    #expect(
      MigrationID(domain: domain(), startedUnixMilliseconds: 17).description == domain().text + "-17")
    #expect(MigrationID(domain: domain(), startedUnixMilliseconds: -5).description.hasSuffix("-0"))
  }
}
