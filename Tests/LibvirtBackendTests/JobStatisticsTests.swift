import DroverCore
import Testing

@testable import LibvirtBackend

@Suite struct JobStatisticsTests {
  /// A plain migration as recorded: 21 parameters.
  static let active: [(String, Typed)] = [
    ("operation", .int(5)), ("time_elapsed", .ullong(6001)), ("downtime", .ullong(3193)),
    ("setup_time", .ullong(3)), ("data_total", .ullong(268_967_936)),
    ("data_processed", .ullong(126_070_644)),
    ("data_remaining", .ullong(9_302_016)), ("memory_total", .ullong(268_967_936)),
    ("memory_processed", .ullong(126_070_644)), ("memory_remaining", .ullong(9_302_016)),
    ("memory_bps", .ullong(41_984_100)), ("memory_constant", .ullong(49_169)),
    ("memory_normal", .ullong(30_611)), ("memory_normal_bytes", .ullong(125_382_656)),
    ("memory_dirty_rate", .ullong(10_208)), ("memory_iteration", .ullong(2)),
    ("memory_postcopy_requests", .ullong(7)), ("memory_page_size", .ullong(4096)),
    ("disk_total", .ullong(0)), ("disk_processed", .ullong(0)), ("disk_remaining", .ullong(0)),
  ]
  /// What is told while disks are copied and memory has not begun: 14 parameters.
  static let copyingDisks: [(String, Typed)] = [
    ("operation", .int(5)), ("time_elapsed", .ullong(3120)), ("data_total", .ullong(536_870_912)),
    ("data_processed", .ullong(117_440_512)), ("data_remaining", .ullong(419_430_400)),
    ("memory_total", .ullong(0)), ("memory_processed", .ullong(0)), ("memory_remaining", .ullong(0)),
    ("memory_dirty_rate", .ullong(0)), ("memory_iteration", .ullong(0)),
    ("memory_postcopy_requests", .ullong(0)), ("disk_total", .ullong(536_870_912)),
    ("disk_processed", .ullong(117_440_512)), ("disk_remaining", .ullong(419_430_400)),
  ]

  static func changed(_ fields: [(String, Typed)], _ changes: (String, Typed)...) -> [(String, Typed)] {
    fields.filter { field in !changes.contains { $0.0 == field.0 } } + changes
  }

  @Test("every field of a running migration is read")
  func fields() {
    let job = JobStatistics(Self.active + [("auto_converge_throttle", .int(20))])
    #expect(job.kind == .active)
    #expect(job.isMigrationOut)
    #expect(job.isMigrating)
    #expect(!job.isPreparing)
    #expect(job.elapsed == .milliseconds(6001))
    #expect(job.downtime == .milliseconds(3193))
    #expect(job.memory == .init(total: 268_967_936, processed: 126_070_644, remaining: 9_302_016))
    #expect(job.disk.isAbsent)
    #expect(job.pageSize == 4096)
    #expect(job.dirtyPagesPerSecond == 10_208)
    #expect(job.iteration == 2)
    #expect(job.postcopyRequests == 7)
    #expect(job.throttlePercent == 20)
  }

  @Test(
    "the type says whether a job runs",
    arguments: [
      (0, JobStatistics.Kind.none), (1, .active), (2, .active), (3, .completed), (4, .other), (5, .other),
      (99, .other), (-1, .other),
    ] as [(Int32, JobStatistics.Kind)])
  func kinds(type: Int32, kind: JobStatistics.Kind) {
    let job = JobStatistics(type: type, Self.active)
    #expect(job.kind == kind)
    #expect(job.isMigrating == (kind == .active))
  }

  @Test(
    "only an outgoing migration is one",
    arguments: [
      (.int(5), true), (.int(4), false), (.int(2), false), (.int(3), false), (.int(6), false),
      (.int(0), false),
      (.int(-5), false), (.uint(5), true), (.text("5"), false), (nil, false),
    ] as [(Typed?, Bool)])
  func operations(operation: Typed?, isMigration: Bool) {
    let rest = Self.active.filter { $0.0 != "operation" }
    let job = JobStatistics(rest + (operation.map { [("operation", $0)] } ?? []))
    #expect(job.isMigrationOut == isMigration)
    #expect(job.isMigrating == isMigration)
  }

  @Test("no job is no parameters")
  func none() {
    let job = JobStatistics(type: 0, [])
    #expect(job.kind == .none)
    #expect(!job.isMigrating)
    #expect(job.elapsed == nil)
    #expect(job.memory.isAbsent)
    #expect(Sample(job, phase: .precopy, limits: nil) == Sample())
  }

  @Test(
    "a number comes in any of libvirt's integer types, and none is below 0",
    arguments: [
      (.int(7), 7), (.int(-1), nil), (.int(.max), 2_147_483_647), (.int(.min), nil),
      (.uint(.max), 4_294_967_295),
      (.llong(7), 7), (.llong(-1), nil), (.llong(.min), nil), (.llong(.max), 9_223_372_036_854_775_807),
      (.ullong(.max), .max), (.double(7), nil), (.boolean(true), nil), (.text("7"), nil),
    ] as [(Typed, UInt64?)])
  func numbers(value: Typed, number: UInt64?) {
    let list = parameters([("before", .int(1)), ("field", value), ("fields", .int(2))])
    #expect(list.number("field") == number)
    #expect(list.number("absent") == nil)
  }

  @Test(
    "a time that no migration can take is none",
    arguments: [
      (.ullong(0), .zero), (.ullong(1500), .milliseconds(1500)), (.llong(-1), nil),
      (.ullong((1 << 53) - 1), .milliseconds(9_007_199_254_740_991)), (.ullong(1 << 53), nil),
      (.ullong(.max), nil),
    ] as [(Typed, Duration?)])
  func times(value: Typed, time: Duration?) {
    let job = JobStatistics(Self.changed(Self.active, ("time_elapsed", value), ("downtime", value)))
    #expect(job.elapsed == time)
    #expect(job.downtime == time)
  }

  @Test("what is absurd is left out or held, and overflows nothing")
  func absurd() {
    let huge = Self.active.map { ($0.0, $0.0 == "operation" ? Typed.int(5) : .ullong(.max)) }
    let sample = Sample(
      JobStatistics(huge + [("auto_converge_throttle", .ullong(.max))]), phase: .precopy, limits: nil)
    #expect(sample.dirtyRate == nil)
    #expect(sample.cpuThrottle == 1)
    #expect(sample.expectedDowntime == nil)
    #expect(sample.transferred == Bytes(.max))
    #expect(sample.remaining == Bytes(.max))

    let negative = Self.active.map { ($0.0, $0.0 == "operation" ? Typed.int(5) : .llong(-1)) }
    let job = JobStatistics(negative + [("auto_converge_throttle", .int(-20))])
    #expect(job.memory.isAbsent && job.disk.isAbsent)
    #expect(Sample(job, phase: .precopy, limits: nil) == Sample())
  }
}

@Suite struct SampleMappingTests {
  private typealias Recorded = JobStatisticsTests

  @Test("a running copy's figures come in Drover's units")
  func running() {
    let job = JobStatistics(Recorded.active + [("auto_converge_throttle", .int(20))])
    let limits = MigrationLimits(downtime: .milliseconds(300), bandwidth: BytesPerSecond(41_943_040))
    let sample = Sample(job, phase: .precopy, limits: limits)
    #expect(
      sample.memory == StreamCounters(transferred: 126_070_644, remaining: 9_302_016, total: 268_967_936))
    #expect(sample.disk == nil)
    #expect(sample.dirtyRate == BytesPerSecond(10_208 * 4096))
    #expect(sample.iterations == 2)
    #expect(sample.postcopyRequests == 7)
    #expect(sample.expectedDowntime == .milliseconds(3193))
    #expect(sample.downtime == nil)
    #expect(sample.cpuThrottle == 0.2)
    #expect(sample.downtimeLimit == .milliseconds(300))
    #expect(sample.bandwidthLimit == 41_943_040)
  }

  @Test("zeroes of memory while disks are copied mean that it has not begun")
  func disks() {
    let job = JobStatistics(Recorded.copyingDisks)
    #expect(job.memory.isAbsent)
    #expect(!job.isPreparing)
    let sample = Sample(job, phase: .precopy, limits: nil)
    #expect(sample.memory == nil)
    #expect(sample.iterations == nil)
    #expect(sample.postcopyRequests == nil)
    #expect(sample.dirtyRate == nil)
    #expect(
      sample.disk == StreamCounters(transferred: 117_440_512, remaining: 419_430_400, total: 536_870_912))
    #expect(sample.remaining == 419_430_400)
  }

  @Test(
    "a job that has sent nothing is being prepared",
    arguments: [
      ([], true),
      ([("disk_total", .ullong(536_870_912)), ("disk_remaining", .ullong(536_870_912))], true),
      ([("disk_total", .ullong(536_870_912)), ("disk_processed", .ullong(1))], false),
      ([("memory_total", .ullong(268_967_936)), ("memory_remaining", .ullong(268_967_936))], false),
      ([("memory_processed", .ullong(1))], false),
    ] as [([(String, Typed)], Bool)])
  func preparing(fields: [(String, Typed)], isPreparing: Bool) {
    #expect(JobStatistics([("operation", .int(5))] + fields).isPreparing == isPreparing)
  }

  @Test(
    "the dirty rate is told once a pass is over, and an early 0 is none",
    arguments: [
      (1, 0, 5000, nil), (1, 5, 5000, nil), (0, 5, 5000, nil), (2, 0, 62, nil), (2, 0, 1000, nil),
      (2, 0, 1001, 0), (2, 1, 62, 4096), (9, 10_208, 60_000, 41_811_968),
    ] as [(UInt64, UInt64, UInt64, UInt64?)])
  func dirtyRate(pass: UInt64, pages: UInt64, elapsed: UInt64, rate: UInt64?) {
    let job = JobStatistics(
      Recorded.changed(
        Recorded.active, ("memory_iteration", .ullong(pass)), ("memory_dirty_rate", .ullong(pages)),
        ("time_elapsed", .ullong(elapsed))))
    #expect(Sample(job, phase: .precopy, limits: nil).dirtyRate == rate.map { BytesPerSecond($0) })
  }

  @Test("without a page size, or with one that overflows, there is no dirty rate")
  func pageSize() {
    for size in [Typed.ullong(.max), .ullong(1 << 51), .int(-1)] {
      let job = JobStatistics(Recorded.changed(Recorded.active, ("memory_page_size", size)))
      #expect(Sample(job, phase: .precopy, limits: nil).dirtyRate == nil)
    }
  }

  @Test(
    "only pre-copy has a dirty rate and an expected downtime; only an end has a downtime",
    arguments: [
      (Phase.precopy, true, false), (.preparing, false, false), (.postcopy, false, false),
      (.postcopyPaused, false, false), (.switchover, false, false), (.guestSuspended, false, false),
      (.succeeded, false, true), (.failed, false, true),
    ])
  func phases(phase: Phase, isExpected: Bool, isMeasured: Bool) {
    let sample = Sample(
      JobStatistics(Recorded.active + [("auto_converge_throttle", .int(50))]), phase: phase, limits: nil)
    #expect((sample.dirtyRate != nil) == isExpected)
    #expect((sample.expectedDowntime != nil) == isExpected)
    #expect((sample.downtime != nil) == isMeasured)
    #expect((sample.cpuThrottle != nil) == !phase.isFinal)
  }

  @Test("an expected downtime of 0 is one that QEMU has not worked out yet; a real one of 0 is real")
  func downtime() {
    let job = JobStatistics(Recorded.changed(Recorded.active, ("downtime", .ullong(0))))
    #expect(Sample(job, phase: .precopy, limits: nil).expectedDowntime == nil)
    #expect(Sample(job, phase: .succeeded, limits: nil).downtime == .zero)
  }

  @Test(
    "a throttle is at most the whole",
    arguments: [(0, 0), (20, 0.2), (99, 0.99), (100, 1), (101, 1), (.max, 1)] as [(Int32, Double)])
  func throttle(percent: Int32, ratio: Double) {
    let job = JobStatistics(Recorded.active + [("auto_converge_throttle", .int(percent))])
    #expect(Sample(job, phase: .precopy, limits: nil).cpuThrottle == ratio)
  }
}
