import CurlClient
import DroverCore
import Testing

@testable import KubeVirtBackend

@Suite("What virt-handler tells of migrations")
struct HandlerReadingTests {
  private static let labels = #"{name="demo",namespace="default",node="harvester-node-0"}"#

  @Test(
    "the newest names and those of 1.6 tell the same",
    arguments: ["virt-handler-metrics.txt", "virt-handler-metrics-kubevirt-1.6.txt"])
  func fixtures(file: String) throws {
    let body = Array(try fixture(file))
    let reading = HandlerReading(text: body.span, serverTime: 1_772_445_631_000)
    #expect(reading.samples.keys.map { $0 } == [.demo])
    #expect(
      reading.only == [
        sample(1_772_445_615_112, 227_540_992, 7_914_127_360, 0, 117_964_800),
        sample(1_772_445_620_113, 817_889_280, 6_207_569_920, 0, 118_065_152),
        sample(1_772_445_625_112, 1_408_237_560, 4_501_012_480, 0, 118_061_056),
        sample(1_772_445_630_112, 1_998_585_850, 4_613_734_400, 137_363_456, 118_069_248),
      ])
    #expect(
      reading.guestDirtyRates == [
        HandlerKey(namespace: "default", name: "web-01", node: "harvester-node-0"):
          GuestDirtyRate(at: 1_772_445_631_000, rate: 3_145_728),
        HandlerKey(namespace: "tenant-b", name: "idle", node: "harvester-node-0"):
          GuestDirtyRate(at: 1_772_445_631_000, rate: 0),
      ])
    #expect(reading.flaws.count == 0)
    #expect(reading.only.last.map(reading.age) == .milliseconds(888))
  }

  @Test("the names of 1.0 are taken; its disk rate is no memory rate")
  func oldest() {
    let reading = HandlerReading(
      """
      kubevirt_migrate_vmi_data_processed_bytes\(Self.labels) 1
      kubevirt_migrate_vmi_data_remaining_bytes\(Self.labels) 2
      kubevirt_migrate_vmi_dirty_memory_rate_bytes\(Self.labels) 3
      kubevirt_migrate_vmi_memory_transfer_rate_bytes\(Self.labels) 4
      kubevirt_migrate_vmi_disk_transfer_rate_bytes\(Self.labels) 5
      kubevirt_migrate_vmi_succeeded\(Self.labels) 6
      """)
    var expected = HandlerSample(at: 1_772_445_631_000)
    expected.hasOwnTime = false
    expected.processed = 1
    expected.remaining = 2
    expected.dirtyRate = 3
    expected.memoryRate = 4
    #expect(reading.only == [expected])
  }

  @Test("where both are there, the memory rate is the one that is named so", arguments: [false, true])
  func bothRates(isReversed: Bool) {
    let lines = [
      "kubevirt_vmi_migration_disk_transfer_rate_bytes\(Self.labels) 5 1000",
      "kubevirt_vmi_migration_memory_transfer_rate_bytes\(Self.labels) 4 1000",
    ]
    let text = (isReversed ? lines.reversed() : lines).joined(separator: "\n")
    #expect(HandlerReading(text).only.map(\.memoryRate) == [4])
  }

  @Test("the rule of 1.8 and later, which repeats the total under times of its own, makes no samples")
  func recordingRule() {
    let reading = HandlerReading(
      """
      kubevirt_vmi_migration_data_bytes_total\(Self.labels) 100 1000
      kubevirt_vmi_migration_data_processed_bytes\(Self.labels) 10 1000
      kubevirt_vmi_migration_data_total_bytes\(Self.labels) 90 1000
      kubevirt_vmi_migration_data_total_bytes\(Self.labels) 100 31000
      kubevirt_vmi_migration_data_total_bytes\(Self.labels) 100 61000
      """)
    #expect(reading.only.map(\.at) == [1000])
    #expect(reading.only.first?.total == 100)
    let afterwards = HandlerReading("kubevirt_vmi_migration_data_total_bytes\(Self.labels) 100 91000")
    #expect(afterwards.samples.isEmpty)
  }

  @Test("each sample is there once and in order, whatever the order of the lines; what is missing stays nil")
  func joined() {
    let reading = HandlerReading(
      """
      kubevirt_vmi_migration_data_remaining_bytes\(Self.labels) 70 3000
      kubevirt_vmi_migration_data_remaining_bytes\(Self.labels) 90 1000
      kubevirt_vmi_migration_data_remaining_bytes\(Self.labels) 90 1000
      kubevirt_vmi_migration_data_processed_bytes\(Self.labels) 30 3000
      kubevirt_vmi_migration_data_processed_bytes\(Self.labels) 20 2000
      """)
    #expect(reading.only.map(\.at) == [1000, 2000, 3000])
    #expect(reading.only.map(\.remaining) == [90, nil, 70])
    #expect(reading.only.map(\.processed) == [nil, 20, 30])
    #expect(reading.only.allSatisfy { $0.total == nil && $0.dirtyRate == nil && $0.hasOwnTime })
  }

  @Test("guests of one name on other nodes or in other namespaces are others")
  func keys() {
    let reading = HandlerReading(
      """
      kubevirt_vmi_migration_data_processed_bytes{namespace="a",name="x",node="n1"} 1 1000
      kubevirt_vmi_migration_data_processed_bytes{namespace="b",name="x",node="n1"} 2 1000
      kubevirt_vmi_migration_data_processed_bytes{namespace="a",name="x",node="n2"} 3 1000
      """)
    #expect(reading.samples.count == 3)
  }

  @Test(
    "labels that a Prometheus moved away are found",
    arguments: [
      #"namespace="harvester-system",exported_namespace="default",name="demo",node="harvester-node-0""#,
      #"namespace="x",exported_namespace="default",name="y",exported_name="demo",node="z",exported_node="harvester-node-0""#,
    ])
  func exported(labels: String) {
    let reading = HandlerReading("kubevirt_vmi_migration_data_processed_bytes{\(labels)} 1 1000")
    #expect(reading.samples.keys.map { $0 } == [.demo])
  }

  @Test(
    "values that cannot be are left out and counted",
    arguments: ["-1", "-1e300", "NaN", "+Inf", "-Inf", "9.3e18", "1e400"])
  func absurd(value: String) {
    let reading = HandlerReading(
      """
      kubevirt_vmi_migration_data_processed_bytes\(Self.labels) \(value) 1000
      kubevirt_vmi_migration_data_remaining_bytes\(Self.labels) 5 1000
      """)
    #expect(reading.flaws == HandlerReading.Flaws(absurd: 1))
    #expect(reading.only.map(\.processed) == [nil] && reading.only.map(\.remaining) == [5])
  }

  @Test(
    "the largest value that can be is kept",
    arguments: [("9.223372036854775808e18", UInt64(1) << 63), ("-0", 0)])
  func extremes(value: String, expected: UInt64) {
    let reading = HandlerReading("kubevirt_vmi_migration_data_processed_bytes\(Self.labels) \(value) 1000")
    #expect(reading.only.map(\.processed) == [Bytes(expected)])
  }

  @Test("times that cannot be are left out and counted; a clock that is a little ahead is none of these")
  func untimely() {
    let now: Int64 = 1_772_445_631_000
    let reading = HandlerReading(
      [0, -5, now + 600_001, .max, .min, now + 30_000].map {
        "kubevirt_vmi_migration_data_processed_bytes\(Self.labels) 1 \($0)"
      }.joined(separator: "\n"), serverTime: now)
    #expect(reading.flaws == HandlerReading.Flaws(untimely: 5))
    #expect(reading.only.map(\.at) == [now + 30_000])
    #expect(reading.only.map(reading.age) == [.zero])
  }

  @Test("samples that name no guest are left out and counted, and so are lines that are none")
  func nameless() {
    let reading = HandlerReading(
      """
      kubevirt_vmi_migration_data_processed_bytes 1 1000
      kubevirt_vmi_migration_data_processed_bytes{name="a",namespace="b"} 1 1000
      kubevirt_vmi_migration_data_processed_bytes{name="a",namespace="b",node=""} 1 1000
      kubevirt_vmi_migration_data_processed_bytes{name="a",namespace="b",node="c"}
      """)
    #expect(reading.flaws == HandlerReading.Flaws(malformed: 1, nameless: 3))
    #expect(reading.samples.isEmpty)
  }

  @Test("a series without end keeps its newest moments")
  func long() {
    let reading = HandlerReading(
      (1...100).map { "kubevirt_vmi_migration_data_processed_bytes\(Self.labels) \($0) \($0)" }.joined(
        separator: "\n"))
    #expect(reading.only.map(\.at) == Array(69...100))
  }

  @Test(
    "the time of an answer is read",
    arguments: [
      ("Mon, 02 Mar 2026 10:00:31 GMT", 1_772_445_631_000),
      ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777_000),
      ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199_000),
      ("Fri, 01 Mar 2024 00:00:00 GMT", 1_709_251_200_000),
      ("Thu, 31 Dec 2099 23:59:59 GMT", 4_102_444_799_000),
    ] as [(String, Int64)])
  func date(text: String, expected: Int64) {
    #expect(HTTPDate.unixMilliseconds(text) == expected)
  }

  @Test(
    "what is no time is none",
    arguments: [
      "", "now", "Mon, 02 Mar 2026 10:00 GMT", "Mon, 02 Mar 2026 10:00:31 CET",
      "Mon, 02 Foo 2026 10:00:31 GMT",
      "Mon, 32 Mar 2026 10:00:31 GMT", "Mon, 02 Mar 2026 24:00:31 GMT", "Mon, 02 Mar 26 10:00:31 GMT",
      "Mon, +2 Mar 2026 10:00:31 GMT", "02 Mar 2026 10:00:31 GMT", "Mon, 02 Mar 2026 10:00:31 GMT x",
    ])
  func noDate(text: String) {
    #expect(HTTPDate.unixMilliseconds(text) == nil)
  }

  private func sample(
    _ at: Int64, _ processed: UInt64, _ remaining: UInt64, _ dirty: UInt64, _ rate: UInt64
  ) -> HandlerSample {
    HandlerSample(
      at: at, total: 8_606_609_920, processed: Bytes(processed), remaining: Bytes(remaining),
      dirtyRate: BytesPerSecond(dirty), memoryRate: BytesPerSecond(rate))
  }
}
