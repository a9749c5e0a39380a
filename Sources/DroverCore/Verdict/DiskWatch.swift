/// Follows the copy of disks, for which no source tells a dirty rate: what tells is that bytes flow and the best
/// remaining is not improved.
struct DiskWatch: Sendable {
  /// Smallest remaining ever seen.
  private(set) var best: Bytes?
  /// Bytes of disk sent since then.
  private(set) var sentSinceBest: Bytes = 0

  private var diskAtBest: Bytes = 0
  private var memoryAtBest: Bytes = 0
  private var memorySinceBest: Bytes = 0

  mutating func observe(_ disk: StreamCounters, memory: StreamCounters?) {
    guard let remaining = disk.remaining else { return }
    let memorySent = memory?.transferred ?? 0
    if best.map({ remaining < $0 }) ?? true {
      best = remaining
      diskAtBest = disk.transferred
      memoryAtBest = memorySent
    }
    sentSinceBest = disk.transferred - diskAtBest
    memorySinceBest = memorySent - memoryAtBest
  }

  /// Whether the whole best remaining was sent `passes` times over without improving on it.
  ///
  /// Not while memory moves: then the disks wait for it, and a trickle of rewritten blocks says nothing.
  func isFruitless(passes: Int) -> Bool {
    guard let best, best > 0, memorySinceBest.count < sentSinceBest.count / 8 else { return false }
    return sentSinceBest.count / UInt64(max(1, passes)) >= best.count
  }
}
