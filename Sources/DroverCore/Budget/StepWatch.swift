/// Learns how long a copy that moves in steps usually takes for one: disks are told in steps of 16 MiB.
struct StepWatch: Sendable {
  /// A step longer than this many usual ones is an outage, and teaches little.
  private static let outage = 3

  /// The usual step; nil before two are seen.
  private(set) var usual: Duration?
  private var lastBytes: Bytes?
  private var lastGrowth: Moment?

  mutating func observe(_ bytes: Bytes, at moment: Moment) {
    defer { lastBytes = bytes }
    guard let lastBytes, bytes > lastBytes else { return }
    defer { lastGrowth = moment }
    guard let lastGrowth else { return }
    let step = moment - lastGrowth
    guard let usual else {
      self.usual = step
      return
    }
    // A copy that has become slower for good is learned, too, but not from one gap.
    self.usual = step > usual * Self.outage ? usual * 3 / 2 : (usual * 3 + step) / 4
  }
}
