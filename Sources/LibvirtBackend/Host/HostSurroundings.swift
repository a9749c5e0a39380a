internal import DroverCore
internal import FoundationEssentials
internal import InetDiag
internal import Synchronization

/// What is read of the host beside libvirt: its kernel's connections, who owns them, and its `qemu.conf`.
final class HostSurroundings: Sendable {
  private static let daemons = ["libvirtd", "virtqemud"]
  /// All connections are read after that although none has been opened: others have ended.
  private static let longestRest = Duration.seconds(60)

  private let root: String
  private let processes: ProcessTable
  private let socket = Mutex<InetDiagSocket?>(nil)
  /// Open while there is a migration: the kernel has work with it for every connection of the host.
  private let ends = Mutex<ConnectionEnds?>(nil)
  /// When all connections were last read while there was no migration, and how many had been opened by then.
  private let readAtRest = Mutex<(at: Moment, opened: UInt64)?>(nil)
  private let ports = Mutex<ClosedRange<UInt16>>(QEMUConf.defaultMigrationPorts)

  init(root: String) {
    self.root = root == "/" ? "" : root
    processes = ProcessTable(root: self.root + "/proc")
  }

  /// The host's `qemu.conf`; nil where it cannot be read, which only root may.
  func conf() -> QEMUConf? {
    guard let text = text(of: "/etc/libvirt/qemu.conf") else { return nil }
    let conf = QEMUConf(text: text)
    ports.withLock { $0 = conf.migrationPorts }
    readAtRest.withLock { $0 = nil }
    return conf
  }

  /// The connections to other hosts' daemons and QEMUs; nil where there is no migration, nor a connection that was not
  /// there at the last look.
  ///
  /// The kernel goes through its whole table, which on a host at rest costs more than all else together.
  func network(
    of domains: [DomainName], asksSSH: Bool, _ clock: any Timepiece
  ) -> Result<NetworkLook?, InetDiagError> {
    Result { () throws(InetDiagError) in
      let now = clock.now()
      // Before the look: one that is opened meanwhile must not count as seen.
      let opened = domains.isEmpty ? openedConnections : nil
      let isAsBefore = readAtRest.withLock { read in
        guard let opened, let last = read, last.opened == opened else { return false }
        return now - last.at < Self.longestRest
      }
      if isAsBefore { return nil }
      readAtRest.withLock { $0 = nil }
      let socket = try open()
      listen(to: !domains.isEmpty)
      let connections = try socket.connections(
        toPorts: ConnectionBook.controlPorts, ports.withLock { $0 })
      var look = NetworkLook(
        takenAt: clock.now(), connections: connections, owners: ConnectionBook.Owners(), hasSSH: nil)
      guard !domains.isEmpty else {
        readAtRest.withLock { $0 = opened.map { (now, $0) } }
        return look
      }
      look.ended = ended()
      look.owners = owners(of: domains)
      if asksSSH {
        look.hasSSH = !processes.children(named: "ssh", ofProcessesNamed: Set(Self.daemons)).isEmpty
      }
      return look
    }
  }

  /// Single connections as they are now; nil where they cannot be read.
  func poll(_ connections: [TCPConnection]) -> ConnectionPoll? {
    guard let socket = socket.withLock({ $0 }) else { return nil }
    var polled: [UInt64: TCPConnection?] = [:]
    for connection in connections {
      do throws(InetDiagError) {
        polled.updateValue(try socket.refreshed(connection), forKey: connection.cookie)
      } catch { return nil }
    }
    return ConnectionPoll(connections: polled, ended: ended())
  }

  /// Without the kernel's notices an end is known all the same, only not always which of two came first.
  private func listen(to isWanted: Bool) {
    ends.withLock { ends in
      guard isWanted else {
        ends = nil
        return
      }
      if ends == nil { ends = try? ConnectionEnds(networkNamespace: networkNamespace) }
    }
  }

  private func ended() -> [UInt64] { ends.withLock { ends in (try? ends?.take()) ?? [] } }

  private var openedConnections: UInt64? {
    text(of: root.isEmpty ? "/proc/self/net/snmp" : "/proc/1/net/snmp").flatMap(TCPCounters.init)?.opened
  }

  private var networkNamespace: String? { root.isEmpty ? nil : root + "/proc/1/ns/net" }

  private func open() throws(InetDiagError) -> InetDiagSocket {
    if let known = socket.withLock({ $0 }) { return known }
    let fresh = try InetDiagSocket(networkNamespace: networkNamespace)
    socket.withLock { $0 = fresh }
    return fresh
  }

  private func owners(of domains: [DomainName]) -> ConnectionBook.Owners {
    var owners = ConnectionBook.Owners()
    for name in Self.daemons {
      guard let process = process(in: "/run/\(name).pid"),
        let inodes = processes.socketInodes(ofProcess: process)
      else { continue }
      owners.daemon = (owners.daemon ?? []).union(inodes)
    }
    for domain in domains {
      guard !domain.name.contains("/"), let process = process(in: "/run/libvirt/qemu/\(domain.name).pid"),
        let inodes = processes.socketInodes(ofProcess: process)
      else { continue }
      owners.domains[domain.uuid] = inodes
    }
    return owners
  }

  private func process(in file: String) -> Int32? {
    text(of: file).flatMap { Int32($0.split(whereSeparator: \.isWhitespace).first ?? "") }
  }

  private func text(of file: String) -> String? {
    // More is no settings, and no number of a process.
    guard let data = try? Data(contentsOf: URL(filePath: root + file)), data.count <= 1 << 20 else {
      return nil
    }
    return String(decoding: data, as: UTF8.self)
  }
}
