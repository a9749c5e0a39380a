/// Counts the passes over the memory where the source does not.
///
/// Pages that the guest has dirtied are added to what remains when a pass ends, and only then: so one has ended where
/// more remains than before, and where more was sent than can have remained.
struct PassCount: Sendable {
  /// The pass that the last sample was taken in, 1 for the first; fewer than there were where passes are short.
  private(set) var iteration: UInt64 = 1
  private var last: StreamCounters?
  /// Bytes sent since the last pass that is known to have begun.
  private var sent: Bytes = 0
  /// The most that has remained since then.
  private var peak: Bytes = 0

  /// Takes one sample of the memory, or of memory and disks together.
  ///
  /// - Parameter isMeasured: Whether a dirty rate is told: the source measures it at the end of a pass.
  mutating func observe(_ data: StreamCounters, isMeasured: Bool = false) {
    guard let remaining = data.remaining else { return }
    defer { if isMeasured { iteration = max(iteration, 2) } }
    defer { last = data }
    guard let last, let before = last.remaining else {
      peak = remaining
      return
    }
    sent = sent + (data.transferred - last.transferred)
    peak = max(peak, remaining)
    let passes = sent.count / max(1, peak.count)
    // Between two samples a pass may have begun and not shown it.
    guard remaining > before || passes >= 2 else { return }
    iteration += max(1, passes)
    sent = 0
    peak = remaining
  }
}
