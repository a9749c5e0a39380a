internal import DroverCore
internal import FoundationEssentials
internal import InetDiag
internal import Posix
internal import Synchronization

/// What is read of the host beside libvirt: its kernel's connections, who owns them, and its `qemu.conf`.
final class HostSurroundings: Sendable {
  private static let daemons = ["libvirtd", "virtqemud"]

  private let root: String
  private let processes: ProcessTable
  private let socket = Mutex<InetDiagSocket?>(nil)
  /// Open while there is a migration: the kernel has work with it for every connection of the host.
  private let ends = Mutex<ConnectionEnds?>(nil)
  private let rest = Mutex(NetworkRest())
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
    rest.withLock { $0.end() }
    return conf
  }

  /// The connections to other hosts' daemons and QEMUs; nil where there is no migration, nor a connection that was not
  /// there at the last look.
  func network(
    of domains: [DomainName], asksSSH: Bool, _ clock: any Timepiece
  ) -> Result<NetworkLook?, InetDiagError> {
    Result { () throws(InetDiagError) in
      let now = clock.now()
      let opened = domains.isEmpty ? openedConnections : nil
      if rest.withLock({ $0.holds(opened: opened, at: now) }) { return nil }
      rest.withLock { $0.end() }
      let socket = try open()
      listen(to: !domains.isEmpty)
      let connections = try socket.connections(
        toPorts: ConnectionBook.controlPorts, ports.withLock { $0 })
      var look = NetworkLook(
        takenAt: clock.now(), connections: connections, owners: ConnectionBook.Owners(), hasSSH: nil)
      guard !domains.isEmpty else {
        rest.withLock { $0.begin(opened: opened, at: now) }
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
    text(of: root.isEmpty ? "/proc/self/net/snmp" : "/proc/1/net/snmp")
      .flatMap { KernelCounters(bytes: Array($0.utf8))["ActiveOpens", of: "Tcp:"] }
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
