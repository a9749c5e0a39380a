/// One of the two streams of a migration: guest memory, or the disks copied along.
public struct StreamCounters: Hashable, Sendable {
  /// Bytes sent so far, repeats included.
  public var transferred: Bytes
  /// Bytes still to be sent; nil where the source does not tell it now.
  public var remaining: Bytes?
  /// The source's own idea of the whole; begins small and may grow.
  public var total: Bytes?

  /// Wraps a stream's counters.
  public init(transferred: Bytes, remaining: Bytes? = nil, total: Bytes? = nil) {
    self.transferred = transferred
    self.remaining = remaining
    self.total = total
  }
}

/// What the source said of a running copy at one moment; a field is nil where the source does not tell it.
public struct Sample: Hashable, Sendable {
  /// Guest memory.
  public var memory: StreamCounters?
  /// Disks that are copied along.
  public var disk: StreamCounters?
  /// Both together, where the source does not tell them apart.
  public var data: StreamCounters?
  /// Rate at which the guest dirties memory, as the source measured it; freezes in an outage.
  public var dirtyRate: BytesPerSecond?
  /// Passes over the memory; 1 during the first.
  public var iterations: UInt64?
  /// Page faults that the destination sent in post-copy.
  public var postcopyRequests: UInt64?
  /// Downtime that the source expects now.
  public var expectedDowntime: Duration?
  /// Downtime that was measured when the migration ended.
  public var downtime: Duration?
  /// Part of the CPU time that auto-converge takes from the guest, 0 to 1.
  public var cpuThrottle: Double?
  /// Configured longest downtime.
  public var downtimeLimit: Duration?
  /// Configured bandwidth cap; nil where there is none.
  public var bandwidthLimit: BytesPerSecond?
  /// How far off, either way, the time of the sample may be: more than 0 where another machine's clock tells it.
  public var clockError = Duration.zero

  /// An empty sample.
  public init() {}

  /// Bytes sent of both streams; nil where none is told.
  public var transferred: Bytes? { sum { $0.transferred } }

  /// Bytes still to be sent of both streams; nil where none is told.
  public var remaining: Bytes? { sum { $0.remaining } }

  private func sum(_ part: (StreamCounters) -> Bytes?) -> Bytes? {
    if let data { return part(data) }
    return switch (memory.flatMap(part), disk.flatMap(part)) {
    case (let memory?, let disk?): memory + disk
    case (let one, let other): one ?? other
    }
  }
}
