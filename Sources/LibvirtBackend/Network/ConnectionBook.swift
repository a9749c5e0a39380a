internal import DroverCore
internal import InetDiag

/// The TCP connections of this host to other hosts' daemons and QEMUs, told apart by migration.
///
/// Nothing names the migration that a connection belongs to. What tells is who owns it, where that may be read, and when
/// it appeared: each migration has a control connection of its own, made just before its job begins.
struct ConnectionBook: Sendable {
  /// Ports that daemons listen on: 16509 for TCP, 16514 for TLS.
  static let controlPorts: ClosedRange<UInt16> = 16509...16514
  /// Connections are made when the job has begun; the two moments are found in different ways.
  private static let head = Duration.seconds(1)
  /// A migration does not outlive its control connection by more than this.
  private static let farewell = Duration.seconds(2)
  /// Data end no later than this behind their control connection.
  private static let lag = Duration.milliseconds(200)

  /// Who is known to own which sockets; nil where that may not be read.
  struct Owners: Hashable, Sendable {
    var daemon: Set<UInt64>?
    /// Sockets of each domain's QEMU, by UUID.
    var domains: [String: Set<UInt64>] = [:]
  }

  /// A migration that connections are looked for.
  struct Migration: Hashable, Sendable {
    var uuid: String
    var startedAt: Moment
  }

  private var entries: [UInt64: BookedConnection] = [:]
  /// How many ends of connections the kernel has told.
  private var endsTold = 0

  /// Takes all connections to the ports of daemons and of migrations; returns whether one of them is new.
  mutating func take(
    _ connections: [TCPConnection], of migrations: [Migration], owners: Owners, at now: Moment
  ) -> Bool {
    var hasNew = false
    for connection in connections {
      let kind: BookedConnection.Kind = Self.controlPorts.contains(connection.remote.port) ? .control : .data
      guard isMeant(connection, kind, owners) || entries[connection.cookie] != nil else { continue }
      if entries[connection.cookie] == nil {
        // One that is over already belongs to a migration that is over.
        guard connection.state.isAlive else { continue }
        entries[connection.cookie] = BookedConnection(
          connection: connection, kind: kind, appearedAt: now, seenAt: now)
        hasNew = true
      }
      entries[connection.cookie]?.see(connection, at: now)
    }
    let present = Set(connections.map(\.cookie))
    for cookie in entries.keys where !present.contains(cookie) { entries[cookie]?.miss(at: now) }
    release(Set(migrations.map(\.uuid)))
    entries = entries.filter { _, entry in
      guard let end = entry.end else { return true }
      // What had ended when a migration began was an earlier one's of the same domain.
      return migrations.contains {
        entry.mayBelong(to: $0.uuid) && end.at >= $0.startedAt && entry.seenAt >= $0.startedAt - Self.head
      }
    }
    // Where data goes tells which control connection goes with it.
    assign(.data, to: migrations, owners, at: now)
    assign(.control, to: migrations, owners, at: now)
    return hasNew
  }

  /// The connections of all migrations that are worth another look soon.
  var polled: [TCPConnection] {
    entries.values.filter { $0.end == nil && ($0.owner != nil || !$0.candidates.isEmpty) }.map(\.connection)
  }

  /// Takes single connections that were looked at again; returns the migrations whose data connection has just ended.
  ///
  /// Which of a migration's connections ends first tells an abort from a target that died, and they are less than a
  /// tenth of a second apart.
  mutating func take(_ poll: ConnectionPoll, at now: Moment) -> Set<String> {
    var ended: Set<String> = []
    for (cookie, connection) in poll.connections {
      guard let before = entries[cookie], before.end == nil else { continue }
      if let connection {
        entries[cookie]?.see(connection, at: now)
      } else {
        entries[cookie]?.miss(at: now)
      }
      if before.kind == .data, entries[cookie]?.end != nil {
        ended.formUnion(before.owner.map { [$0] } ?? before.candidates)
      }
    }
    take(ended: poll.ended)
    return ended
  }

  /// Takes the ends that the kernel told, in its order.
  mutating func take(ended cookies: [UInt64]) {
    for cookie in cookies where entries[cookie] != nil {
      entries[cookie]?.endedAs = endsTold
      endsTold += 1
    }
  }

  /// What is seen of one migration's network.
  struct Sight: Sendable {
    /// Of several that it may be, the one that gives up first.
    var control: ConnectionHealth?
    /// How much later the last of them was heard.
    var controlSpread = Duration.zero
    var data: ConnectionHealth?
    /// Whether both go to one address.
    var sharesWire = true
    /// The address that they go to, that of the control connection first.
    var peer = ""
    /// Whether there was ever one of the kind, ended or not.
    var hadControl = false
    var hadData = false
  }

  /// What is seen of one migration's network now.
  func sight(of uuid: String) -> Sight {
    let mine = entries.values.filter { $0.mayBelong(to: uuid) }
    let control = mine.filter { $0.kind == .control && $0.end == nil }
    let data = mine.filter { $0.kind == .data && $0.end == nil }
    var sight = Sight()
    sight.hadControl = mine.contains { $0.kind == .control }
    sight.hadData = mine.contains { $0.kind == .data }
    let heard = control.filter { $0.lastHeard != nil }.sorted {
      $0.lastHeard ?? $0.seenAt < $1.lastHeard ?? $1.seenAt
    }
    if let first = heard.first, let last = heard.last {
      sight.control = BookedConnection.health(of: [first])
      // A counter must not fall when it turns out to be another migration's.
      if first.owner != uuid { sight.control?.retransmits = nil }
      sight.controlSpread = (last.lastHeard ?? last.seenAt) - (first.lastHeard ?? first.seenAt)
    }
    sight.data = BookedConnection.health(of: data)
    // A counter must not fall when the connection of a disk ends.
    let own = mine.filter { $0.owner == uuid }
    let retransmits = own.filter { $0.kind == .data }.compactMap(\.connection.retransmits)
    sight.data?.retransmits = retransmits.isEmpty ? nil : retransmits.reduce(0, &+)
    let addresses = Set(control.map(\.connection.remote.address))
    // It stays, so it must be this migration's for sure.
    let peer = own.first { $0.kind == .control } ?? own.first
    sight.peer = peer?.connection.remote.address.description ?? ""
    sight.sharesWire = data.allSatisfy { addresses.contains($0.connection.remote.address) }
    return sight
  }

  /// Whether both connections of a migration are known to be its own, so that nothing new is to be looked for.
  func isComplete(for uuid: String) -> Bool {
    let kinds = entries.values.filter { $0.owner == uuid && $0.end == nil }.map(\.kind)
    return kinds.contains(.control) && kinds.contains(.data)
  }

  /// What became of one migration's connections, as of the last look.
  func evidence(of uuid: String, keepalive: KeepaliveSettings) -> EndEvidence {
    let mine = entries.values.filter { $0.mayBelong(to: uuid) }
    // A disk's connection ends before the migration does: the last one tells, and of those that one look shows together
    // the one that is open, or the younger.
    let data = mine.filter { $0.kind == .data }.max {
      ($0.lastSeenAlive, $0.end == nil ? 1 : 0, $0.appearedAt)
        < ($1.lastSeenAlive, $1.end == nil ? 1 : 0, $1.appearedAt)
    }
    let candidates = mine.filter { $0.kind == .control }
    // One that had ended while the data went on was another migration's.
    let likely = candidates.filter { entry in
      guard entry.owner == nil, let end = entry.end?.at, let data else { return true }
      return end + Self.lag >= data.lastSeenAlive
    }
    let control = likely.isEmpty ? candidates : likely
    // What may belong to another migration, too, says nothing of this one's end, unless all of them say the same.
    let fates = Set(control.map { $0.end?.fate ?? .open })
    var evidence = EndEvidence(
      control: fates.count == 1 ? fates.first : nil, data: data.map { $0.end?.fate ?? .open },
      keepalive: keepalive)
    if let end = data?.end?.at {
      // Memory and disks may all end within one look.
      let last = mine.filter { $0.kind == .data && $0.end?.at == end }
      let orders = Set(last.flatMap { data in control.map { data.ended(before: $0) } })
      evidence.dataEndedFirst = orders.isEmpty ? true : orders.count == 1 ? orders.first ?? nil : nil
    }
    evidence.dataQueue = data?.connection.sendQueue ?? 0
    evidence.controlSilence = control.compactMap(\.silence).min()
    evidence.dataSilence = data.flatMap { $0.isAwaited ? $0.silence : nil }
    return evidence
  }

  /// Whether a connection can be a migration's at all.
  private func isMeant(_ connection: TCPConnection, _ kind: BookedConnection.Kind, _ owners: Owners) -> Bool {
    switch kind {
    case .control:
      // Without a right to see whose it is, one of root's is taken for the daemon's.
      owners.daemon?.contains(connection.inode) ?? (connection.uid == 0)
    case .data: true
    }
  }

  /// Gives a migration that is over the control connection that ended with it, where only one did.
  private mutating func release(_ known: Set<String>) {
    let left = entries.filter { _, entry in
      entry.kind == .control && entry.owner == nil && entry.end != nil
        && !entry.candidates.isSubset(of: known)
    }
    guard left.count == 1, let (cookie, entry) = left.first else { return }
    entries[cookie]?.owner = entry.candidates.subtracting(known).min()
  }

  /// Finds out which connection belongs to which migration, as far as can be told.
  private mutating func assign(
    _ kind: BookedConnection.Kind, to migrations: [Migration], _ owners: Owners, at now: Moment
  ) {
    for cookie in entries.keys {
      guard let entry = entries[cookie], entry.kind == kind, entry.owner == nil else { continue }
      if let end = entry.end {
        // Nobody owns it any more, so what was known of it stands: it may be the end of each of them, but not for long.
        if kind == .control, now - end.at > Self.farewell { entries[cookie]?.candidates = [] }
      } else {
        let candidates = candidates(for: entry, among: migrations, owners)
        entries[cookie]?.candidates = candidates
      }
    }
    // What can only belong to one migration does; and a migration that has one needs no other control connection.
    while let (cookie, uuid) = settled {
      entries[cookie]?.owner = uuid
      guard entries[cookie]?.kind == .control else { continue }
      for (other, entry) in entries where entry.kind == .control && entry.owner == nil {
        entries[other]?.candidates.remove(uuid)
      }
    }
  }

  /// A connection that can only belong to one migration, and the migration.
  private var settled: (cookie: UInt64, uuid: String)? {
    for (cookie, entry) in entries where entry.owner == nil && entry.candidates.count == 1 {
      if let uuid = entry.candidates.first, isOnly(entry, of: uuid) { return (cookie, uuid) }
    }
    return nil
  }

  private func candidates(
    for entry: BookedConnection, among migrations: [Migration], _ owners: Owners
  ) -> Set<String> {
    let inode = entry.connection.inode
    // Another program's connection to a daemon is guarded by that program's own keepalive, if any. What was the daemon's
    // may have been closed since the connections were read.
    if entry.kind == .control, entry.candidates.isEmpty, let daemon = owners.daemon, !daemon.contains(inode) {
      return []
    }
    let owner = entry.kind == .data ? owners.domains.first { $0.value.contains(inode) }?.key : nil
    return Set(
      migrations.filter { migration in
        // A guest's disk may come over the same ports, but not since its migration began.
        if entry.appearedAt < migration.startedAt - Self.head { return false }
        switch entry.kind {
        case .data:
          // Where its QEMU's sockets can be read, a connection that is not among them is not its own.
          return owner.map { $0 == migration.uuid } ?? (owners.domains[migration.uuid] == nil)
        case .control: return !hasControl(migration.uuid) && reaches(entry, migration.uuid)
        }
      }.map(\.uuid))
  }

  private func hasControl(_ uuid: String) -> Bool {
    entries.values.contains { $0.kind == .control && $0.owner == uuid }
  }

  /// Whether a control connection goes where the migration's data is known to go, as far as one network serves both.
  private func reaches(_ entry: BookedConnection, _ uuid: String) -> Bool {
    let targets = Set(
      entries.values.filter { $0.kind == .data && $0.owner == uuid }.map(\.connection.remote.address))
    let controls = entries.values.filter { $0.kind == .control }.map(\.connection.remote.address)
    guard !targets.isEmpty, controls.contains(where: targets.contains) else { return true }
    return targets.contains(entry.connection.remote.address)
  }

  /// Whether no other unowned control connection can be the migration's as well.
  private func isOnly(_ entry: BookedConnection, of uuid: String) -> Bool {
    guard entry.kind == .control else { return true }
    return !entries.values.contains {
      $0.kind == .control && $0.connection.cookie != entry.connection.cookie && $0.owner == nil
        && $0.candidates.contains(uuid)
    }
  }
}
