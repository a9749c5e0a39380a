internal import DroverCore

/// Reasons as bits: ten thousand VMs have a set of them each.
struct ReasonSet: OptionSet, Hashable, Sendable {
  let rawValue: UInt32

  static let unknown = ReasonSet(.unknown)

  init(rawValue: UInt32) { self.rawValue = rawValue }

  init(_ reason: NotMigratableReason) {
    let place = NotMigratableReason.allCases.firstIndex(of: reason) ?? 0
    self.init(rawValue: 1 << UInt32(place))
  }

  /// The reasons that the system itself holds; what only Harvester's page says is left out.
  init(_ obstacles: [Obstacle]) {
    self.init(obstacles.lazy.filter(\.isEnforced).map { ReasonSet($0.reason) })
  }

  /// Those that are no lack of knowledge.
  var known: ReasonSet { subtracting(.unknown) }

  /// In the order of the vocabulary.
  var reasons: [NotMigratableReason] { NotMigratableReason.allCases.filter { contains(ReasonSet($0)) } }
}

/// What all the rules together come to for one VM.
struct VMJudgement: Hashable, Sendable {
  /// What speaks against it; with `.unknown` alone nothing does, but something could not be read.
  var reasons: ReasonSet
  /// Nodes that can take it now, as far as all is known; nil where the nodes are not.
  var targets: UInt32?
}
