/// Follows what each pass over the guest's memory begins with.
///
/// The dirty rate of a guest that never converges saturates at the bandwidth, since the source counts distinct pages:
/// what tells is that passes begin with no less to send than before.
struct PassWatch: Sendable {
  /// A pass start counts as smaller only by more than this part: pages are counted, not bytes.
  private static let tolerance = 0.02

  /// Smallest amount that a pass, after the first, has begun with.
  private(set) var best: Bytes?
  /// Passes, in a row, that began with no less than the best while the guest dirtied about as fast as was sent.
  private(set) var fruitless = 0
  private var last: (iteration: UInt64, remaining: Bytes, sent: Bytes)?

  /// Takes one sample of the memory stream; `ratio` is the part of the transfer rate at which dirtying counts as as fast.
  mutating func observe(
    iteration: UInt64, remaining: Bytes, sent: Bytes, dirty: BytesPerSecond?, transfer: BytesPerSecond?,
    ratio: Double
  ) {
    defer { last = (iteration, remaining, sent) }
    guard let last, iteration > last.iteration, iteration >= 2 else { return }

    // Between two samples the old pass sent its rest and the new one sent the remainder, so that is added back.
    // Where several passes went by unseen, the remaining bytes are all that is known.
    let ofNewPass = iteration == last.iteration + 1 ? sent - last.sent - last.remaining : 0
    let start = remaining + ofNewPass

    guard let dirty, let transfer, transfer.value > 0,
      Double(dirty.value) >= ratio * Double(transfer.value)
    else {
      fruitless = 0
      best = best.map { min($0, start) } ?? start
      return
    }
    guard let best else {
      self.best = start
      return
    }
    if Double(start.count) < Double(best.count) * (1 - Self.tolerance) {
      self.best = start
      fruitless = 0
    } else {
      fruitless += 1
    }
  }
}
