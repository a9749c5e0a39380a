internal import DroverCore

/// What virt-handler said of a copy at one moment.
struct CopyPoint: Hashable, Sendable {
  /// When it was measured, on this machine's clock.
  var at: Moment
  /// How far off that may be, either way, if who was asked and who measured have one time.
  var clockError = Duration.zero
  /// Bytes sent, repeats included; memory and disks together.
  var processed: Bytes?
  /// Bytes still to be sent.
  var remaining: Bytes?
  /// The whole; grows.
  var total: Bytes?
  /// Bytes that the guest dirties in a second; 0 until the first pass is over.
  var dirtyRate: BytesPerSecond?
}

/// Keeps the newest points of one copy, each taken once.
struct CopyWatch: Sendable {
  /// Points that have not been told yet.
  private(set) var fresh: [CopyPoint] = []
  private(set) var last: CopyPoint?
  /// When the bytes sent last grew.
  private(set) var lastSent: Moment?
  /// Since when no bytes are known to have gone; nil while the last point showed some.
  var stillSince: Moment? {
    guard let last, let lastSent, last.at > lastSent else { return nil }
    return lastSent
  }
  /// The largest total that was told.
  private(set) var total: Bytes?

  mutating func take(_ points: [CopyPoint]) {
    for point in points where last.map({ point.at > $0.at }) ?? true {
      if let processed = point.processed, last?.processed.map({ processed > $0 }) ?? true {
        lastSent = point.at
      }
      if let told = point.total { total = max(total ?? 0, told) }
      last = point
      fresh.append(point)
    }
  }

  /// The points since the last call.
  mutating func takeFresh() -> [CopyPoint] {
    defer { fresh.removeAll(keepingCapacity: true) }
    return fresh
  }
}
