/// How drains go about it.
public struct DrainSettings: Hashable, Sendable {
  /// Migrations out of a node at a time, those that others began included.
  public var parallel: Int
  /// How often a VM whose migration fails is tried.
  public var attempts: Int
  /// Whether the switch is enabled: without it nothing is begun, also by a drain that is in force.
  public var isArmed: Bool

  /// The documented defaults.
  public init(parallel: Int = 2, attempts: Int = 3, isArmed: Bool = true) {
    self.parallel = parallel
    self.attempts = attempts
    self.isArmed = isArmed
  }

  /// Pauses between attempts at one VM.
  static let pauses = RetrySchedule(first: .seconds(10), longest: .seconds(120))
  /// A migration that was asked for and is not seen for so long did not begin, or is over.
  static let longestUnseen = Duration.seconds(30)
  /// One that began later than this after it was asked for is another's.
  static let longestStart = Duration.seconds(60)
  /// A reading of the node that is older decides nothing.
  static let longestReading = Duration.seconds(30)
  /// What is done to a migration by itself is never done upon an older sample.
  static let longestSample = Duration.seconds(10)
  /// A migration that ends by itself within this time is not ended.
  static let guardTime = Duration.seconds(10)
  /// An abort that changed nothing for so long is sent again.
  static let abortPatience = Duration.seconds(60)
  /// So long after its departure a VM that is seen has come back.
  static let farewell = Duration.seconds(10)
  /// What has no end of its own is waited for so long, and not for ever.
  static let longestWait = Duration.seconds(900)
  /// So often what cannot be read is no attempt.
  static let mostUnreadable = 3
  /// Who emptied the node may pause for so long without having ended.
  static let followPatience = Duration.seconds(60)
}

/// What a drain wants done next.
public enum DrainCommand: Hashable, Sendable {
  /// Keep new guests off the node.
  case cordon
  /// Move a VM away.
  case migrate(VMRef)
  /// End a migration of its own, for a time-out.
  case abort(VMRef, MigrationID, Trigger)
  /// It is over.
  case ended(DrainState)
}

/// What came of asking for a migration.
public enum DrainStart: Hashable, Sendable {
  /// It began, or may have begun; with its identity where that is known.
  case underWay(MigrationID?)
  /// It did not, for these reasons.
  case refused([Refusal])
  /// It did not, and no later time changes that.
  case blocked([Refusal])
  /// It did not: what the system said.
  case failed(String)
}

/// Decides what a drain does: readings, migrations and time in, commands out.
///
/// It moves VMs off one node, few at a time, each until it is away, timed out, or not to be moved. What one VM meets does
/// not stop the others.
public struct DrainPlan: Sendable {
  /// What the node was at one moment.
  public struct Reading: Hashable, Sendable {
    /// The node and its guests.
    public var node: NodeReading
    /// When that was asked for.
    public var askedAt: Moment

    /// Describes a reading.
    public init(_ node: NodeReading, askedAt: Moment) {
      self.node = node
      self.askedAt = askedAt
    }
  }

  /// All that is known at one moment.
  public struct Situation: Sendable {
    /// The moment.
    public var now: Moment
    /// What turns it into Unix time.
    public var epoch: EpochOffset
    /// The node as it was read last; nil where it was not yet.
    public var reading: Reading?
    /// The migrations of the node's back end.
    public var migrations: [MigrationView]
    /// Whether that back end answers, so that its migrations are all that there are.
    public var isUp: Bool
    /// Whether many migrations have lost their network at once: that is no reason to end any.
    public var isPartitioned: Bool

    /// Describes a moment.
    public init(
      now: Moment, epoch: EpochOffset, reading: Reading?, migrations: [MigrationView], isUp: Bool,
      isPartitioned: Bool = false
    ) {
      self.now = now
      self.epoch = epoch
      self.reading = reading
      self.migrations = migrations
      self.isUp = isUp
      self.isPartitioned = isPartitioned
    }
  }

  /// What is known of a VM only while this process runs.
  struct Memory: Sendable {
    /// It is not tried before.
    var notBefore: Moment?
    /// When its migration was asked for, on both clocks; of an earlier run only the record tells, on one that may step.
    var sent: (unix: Int64, at: Moment)?
    /// Its migration is being asked for at this moment.
    var isAsking = false
    /// No other abort is sent before.
    var abortNotBefore: Moment?
    /// An abort is being sent at this moment.
    var isAborting = false
    /// Migrations whose ends were taken in, or came before one that was.
    var taken: Set<MigrationID> = []
    /// When it left.
    var leftAt: Moment?
    /// The own name of the host that it is sent to.
    var host = ""
    /// Whether a migration of it is open.
    var isOpen = false
    /// Whether its migration was asked for by an earlier run, so that its end may have gone unseen.
    var isResumed = false
    /// Since when something is waited for that has no end of its own.
    var waitingSince: Moment?
    /// How often it could not be read what it would take to move it.
    var unreadable = 0
  }

  /// What is kept of it.
  public internal(set) var record: DrainRecord
  /// The figures that it goes by.
  public var settings: DrainSettings
  var memory: [VMRef: Memory] = [:]
  private var readAt: Moment?
  var cordonNotBefore: Moment?
  var isCordoning = false
  /// When it was closed in this run; nil where that was not in this run.
  var closedAt: Moment?
  private(set) var notFollowedSince: Moment?

  /// Takes up a drain, new or of an earlier run.
  public init(_ record: DrainRecord, settings: DrainSettings = DrainSettings()) {
    self.record = record
    self.settings = settings
    for vm in record.vms where vm.sentAt != nil { memory[vm.vm] = Memory(isResumed: true) }
  }

  // MARK: One look

  /// Looks at everything, and says what is to be done now.
  public mutating func step(_ situation: Situation) -> [DrainCommand] {
    guard record.state.isInForce else { return [] }
    if let reading = situation.reading, readAt.map({ reading.askedAt > $0 }) ?? true {
      readAt = reading.askedAt
      join(reading.node.guests)
      follow(reading.node, at: situation.now)
    }
    let leaving = situation.migrations.filter { isFromHere($0) }
    let byVM = Dictionary(grouping: leaving, by: \.identity.vm)
    for index in record.vms.indices { observe(index, byVM[record.vms[index].vm] ?? [], situation) }
    leave(situation)
    if let state = end(situation, leaving) {
      record.state = state
      record.endedAt = situation.epoch.unixMilliseconds(situation.now)
      return [.ended(state)]
    }
    var commands = timeouts(byVM, situation)
    guard mayBegin(situation) else { return commands }
    let node = situation.reading?.node
    if node?.isCordoned == false, !record.isCordoned {
      guard !isCordoning, cordonNotBefore.map({ situation.now >= $0 }) ?? true else { return commands }
      isCordoning = true
      commands.append(.cordon)
      return commands
    }
    // What nobody can close needs no closing; what somebody opened again is left open.
    if node?.isCordoned == true { record.isCordoned = true }
    return commands + starts(situation, leaving)
  }

  /// Ends it: nothing more is begun.
  public mutating func cancel(by requester: String) {
    guard record.state == .active else { return }
    record.state = .cancelling
    record.text = "\(requester) ended it"
  }

  /// The node was given free again: nothing is shown of this drain once it is over.
  public mutating func reopen() {
    record.isReopened = true
    record.isCordoned = false
  }

  /// Whether a migration leaves the node; where its source is not told yet, whether its VM is one of the node's.
  private func isFromHere(_ view: MigrationView) -> Bool {
    guard view.facts.source.isEmpty else { return view.facts.source == record.node.node }
    return !view.isOver && record.vms.contains { $0.vm == view.identity.vm }
  }

  // MARK: Guests

  private mutating func join(_ guests: [NodeReading.Guest]) {
    let known = Dictionary(record.vms.enumerated().map { ($1.vm, $0) }) { first, _ in first }
    // One that is made anew may be seen beside its predecessor.
    var new: [VMRef: DrainVM] = [:]
    for guest in guests {
      let fresh = Self.fresh(guest)
      guard let index = known[guest.vm] else {
        new[guest.vm] = fresh
        continue
      }
      if record.vms[index].domain != guest.domain.text, record.vms[index].sentAt == nil {
        record.vms[index] = fresh
        // The ends of the other one's migrations are not its own.
        memory[guest.vm] = Memory(taken: memory[guest.vm]?.taken ?? [])
      } else {
        record.vms[index].memory = guest.memory ?? record.vms[index].memory
      }
    }
    guard !new.isEmpty else { return }
    record.vms = (record.vms + new.values).sorted { Self.order($0.vm) < Self.order($1.vm) }
  }

  private static func fresh(_ guest: NodeReading.Guest) -> DrainVM {
    var vm = DrainVM(vm: guest.vm, domain: guest.domain.text, memory: guest.memory)
    if !guest.isWatched {
      (vm.state, vm.isSettled, vm.text) = (.blocked, true, NodeReading.Guest.notWatched)
    }
    return vm
  }

  private static func order(_ vm: VMRef) -> (String, String) { (vm.scope.name, vm.name) }

  private mutating func follow(_ node: NodeReading, at now: Moment) {
    if let drainedBy = node.drainedBy {
      record.isFollowing = true
      record.text = "\(drainedBy.words): Drover only follows"
      notFollowedSince = nil
    } else if record.isFollowing {
      notFollowedSince = notFollowedSince ?? now
    }
  }

  // MARK: Limits

  /// Whether anything new may be begun.
  private func mayBegin(_ situation: Situation) -> Bool {
    record.state == .active && !record.isFollowing && settings.isArmed && isFresh(situation) && situation.isUp
  }

  func isFresh(_ situation: Situation) -> Bool {
    situation.reading.map { situation.now - $0.askedAt <= DrainSettings.longestReading } ?? false
  }

  private mutating func starts(_ situation: Situation, _ leaving: [MigrationView]) -> [DrainCommand] {
    let open = Set(leaving.filter { !$0.isOver }.map(\.identity.vm))
    let idle = Set(leaving.filter { !$0.isOver && $0.isHeldUp }.map(\.identity.vm))
    let asked = record.vms.filter { $0.sentAt != nil && !open.contains($0.vm) }
    let free = settings.parallel - open.subtracting(idle).count - asked.count
    guard free > 0 else { return [] }
    let here = Set(situation.reading?.node.guests.map(\.vm) ?? [])
    let next = record.vms.indices.filter { index in
      let vm = record.vms[index]
      let memory = memory[vm.vm] ?? Memory()
      return !vm.isSettled && vm.sentAt == nil && !memory.isAsking && here.contains(vm.vm)
        && !open.contains(vm.vm)
        && (vm.state == .pending || vm.state == .failed)
        && memory.notBefore.map { situation.now >= $0 } ?? true
    }.sorted { a, b in
      // The biggest first, while there is most room.
      let (a, b) = (record.vms[a], record.vms[b])
      if a.attempts != b.attempts { return a.attempts < b.attempts }
      if a.memory != b.memory { return (a.memory ?? 0) > (b.memory ?? 0) }
      return Self.order(a.vm) < Self.order(b.vm)
    }.prefix(free)
    return next.map { index in
      record.vms[index].attempts += 1
      record.vms[index].state = .migrating
      let sentAt = situation.epoch.unixMilliseconds(situation.now)
      record.vms[index].sentAt = sentAt
      memory[record.vms[index].vm, default: Memory()].sent = (sentAt, situation.now)
      record.vms[index].target = ""
      record.vms[index].text = ""
      record.vms[index].migration = nil
      record.vms[index].isOwn = true
      record.vms[index].timeout = nil
      memory[record.vms[index].vm, default: Memory()].isAsking = true
      memory[record.vms[index].vm]?.isResumed = false
      return .migrate(record.vms[index].vm)
    }
  }
}

extension NodeReading.DrainedBy {
  /// Who it is, in words.
  public var words: String {
    switch self {
    case .taint(let key): "the taint \(key) empties the node"
    case .harvesterMaintenance: "Harvester's maintenance mode empties the node"
    case .harvesterUpgrade: "a Harvester upgrade empties the node"
    }
  }
}
