internal import CLibvirt
internal import DroverCore

/// What `virDomainGetJobStats`, or the event JOB_COMPLETED, says of a domain's job.
struct JobStatistics: Hashable, Sendable {
  /// libvirt's `virDomainJobType`.
  enum Kind: Sendable {
    case none, active, completed, other
  }

  /// One stream of the copy, in bytes.
  struct Stream: Hashable, Sendable {
    var total: UInt64 = 0
    var processed: UInt64 = 0
    var remaining: UInt64 = 0

    /// Nothing of it has begun: libvirt shows zeroes, which do not mean that nothing is left.
    var isAbsent: Bool { total == 0 && processed == 0 && remaining == 0 }
  }

  var kind: Kind
  /// Whether it is an outgoing migration; a domain has other jobs, too.
  var isMigrationOut: Bool
  /// libvirt's `virDomainJobOperation`; nil where a daemon does not tell it.
  var operation: UInt64?
  /// Since the job began (`time_elapsed`, ms); it runs on while nothing moves.
  var elapsed: Duration?
  /// `downtime`: expected while the job is active, total once it is completed.
  var downtime: Duration?
  var memory = Stream()
  var disk = Stream()
  /// `memory_page_size`, bytes.
  var pageSize: UInt64?
  /// `memory_dirty_rate`; freezes in an outage.
  var dirtyPagesPerSecond: UInt64?
  var iteration: UInt64?
  var postcopyRequests: UInt64?
  /// `auto_converge_throttle`, percent.
  var throttlePercent: UInt64?

  init(kind: Kind, isMigrationOut: Bool = true) {
    self.kind = kind
    self.isMigrationOut = isMigrationOut
  }

  init(type: Int32, _ parameters: borrowing TypedParameters) {
    kind =
      switch UInt32(bitPattern: type) {
      case VIR_DOMAIN_JOB_NONE.rawValue: .none
      case VIR_DOMAIN_JOB_BOUNDED.rawValue, VIR_DOMAIN_JOB_UNBOUNDED.rawValue: .active
      case VIR_DOMAIN_JOB_COMPLETED.rawValue: .completed
      default: .other
      }
    // A daemon before 3.3 does not tell the operation.
    operation = parameters.number("operation")
    isMigrationOut = operation.map { $0 == UInt64(VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT.rawValue) } ?? false
    elapsed = parameters.milliseconds("time_elapsed")
    downtime = parameters.milliseconds("downtime")
    memory = Stream(parameters, "memory")
    disk = Stream(parameters, "disk")
    pageSize = parameters.number("memory_page_size")
    dirtyPagesPerSecond = parameters.number("memory_dirty_rate")
    iteration = parameters.number("memory_iteration")
    postcopyRequests = parameters.number("memory_postcopy_requests")
    throttlePercent = parameters.number("auto_converge_throttle")
  }

  /// Whether a migration out of this host is under way.
  var isMigrating: Bool { kind == .active && isMigrationOut }

  /// Whether nothing has been sent yet.
  var isPreparing: Bool { memory.isAbsent && disk.processed == 0 }
}

extension JobStatistics.Stream {
  fileprivate init(_ parameters: borrowing TypedParameters, _ stream: String) {
    total = parameters.number("\(stream)_total") ?? 0
    processed = parameters.number("\(stream)_processed") ?? 0
    remaining = parameters.number("\(stream)_remaining") ?? 0
  }
}

/// Settings of a migration that are asked for now and then.
struct MigrationLimits: Hashable, Sendable {
  /// `virDomainMigrateGetMaxDowntime`.
  var downtime: Duration?
  /// `virDomainMigrateGetMaxSpeed`, which only a connection that may write tells; nil where there is no cap.
  var bandwidth: BytesPerSecond?
}

extension Sample {
  /// What the statistics of a running or completed migration say.
  ///
  /// - Parameter configured: Memory of the guest. While disks are copied libvirt shows none, but all of it is still to be
  ///   sent.
  init(_ job: JobStatistics, phase: Phase, limits: MigrationLimits?, memory configured: Bytes? = nil) {
    self.init()
    memory = StreamCounters(job.memory)
    if memory == nil, !job.disk.isAbsent, !phase.isFinal {
      memory = configured.map { StreamCounters(transferred: 0, remaining: $0, total: $0) }
    }
    disk = StreamCounters(job.disk)
    if !job.memory.isAbsent {
      iterations = job.iteration.flatMap { $0 > 0 ? $0 : nil }
      postcopyRequests = job.postcopyRequests
    }
    if phase.isFinal {
      downtime = job.downtime
    } else {
      cpuThrottle = job.throttlePercent.map { Double(min($0, 100)) / 100 }
      if phase == .precopy {
        dirtyRate = BytesPerSecond(dirtying: job)
        // 0 until the first pass is over.
        expectedDowntime = job.downtime.flatMap { $0 > .zero ? $0 : nil }
      }
    }
    downtimeLimit = limits?.downtime
    bandwidthLimit = limits?.bandwidth
  }
}

extension StreamCounters {
  fileprivate init?(_ stream: JobStatistics.Stream) {
    guard !stream.isAbsent else { return nil }
    self.init(
      transferred: Bytes(stream.processed), remaining: Bytes(stream.remaining), total: Bytes(stream.total))
  }
}

extension BytesPerSecond {
  /// Nil in the first pass: QEMU measures between two looks at the dirty bitmap, and says 0 before.
  fileprivate init?(dirtying job: JobStatistics) {
    guard let passes = job.iteration, passes >= 2, let pages = job.dirtyPagesPerSecond,
      let size = job.pageSize,
      pages > 0 || (job.elapsed ?? .zero) > .seconds(1)
    else { return nil }
    let (rate, overflow) = pages.multipliedReportingOverflow(by: size)
    guard !overflow else { return nil }
    self.init(rate)
  }
}
