import DroverCore
import Testing

@testable import InetDiag
@testable import LibvirtBackend

private let denied = InetDiagError(.denied, call: "socket", message: "not permitted", remedy: "run as root")

/// A host whose first domain migrates, with what its kernel shows.
private func migrating(
  _ connections: Result<[TCPConnection], InetDiagError>, uri: String = "qemu:///system",
  _ change: (inout LibvirtConfiguration) -> Void = { _ in }
) -> Drive {
  var drive = Drive.connected(1, uri: uri, change)
  drive.host.connections = connections
  drive.beginMigration(1)
  drive.feed(.event(named(), .iteration))
  return drive
}

extension Drive {
  fileprivate var report: NetworkReport? { messages.networks.last?.report }
}

@Suite struct HostNetworkTests {
  @Test("the connections of a migration are told with each look at the network")
  func measured() throws {
    var drive = migrating(.success([.control(1, heard: 200), .data(2, acked: 10)]))
    drive.advance(3000)
    let report = try #require(drive.report)
    #expect(report.keepalive == .measured)
    #expect(report.settings == KeepaliveSettings())
    #expect(report.control != nil && report.data != nil)
    #expect(report.controlSpread == .zero && report.sharesWire)
    #expect(drive.messages.networks.count >= 5)
    #expect(Set(drive.messages.networks.map(\.id)) == Set(drive.messages.migrations.map(\.id)))
  }

  @Test("all connections are read often until those of a new migration are seen, and for 5 s at most")
  func young() {
    var drive = migrating(.success([.control(1)]))
    let before = drive.reads.count
    drive.advance(900)
    #expect(drive.reads.count >= before + 8)
    drive.host.connections = .success([.control(1), .data(2)])
    drive.advance(200)
    let seen = drive.reads.count
    drive.advance(1800)
    #expect(drive.reads.count <= seen + 2)

    var other = migrating(.success([.control(1)]))
    other.advance(6000)
    let old = other.reads.count
    other.advance(2000)
    #expect(other.reads.count <= old + 5)
  }

  @Test("while nothing migrates the network is read seldom, and polled never")
  func idle() {
    var drive = Drive.connected(1)
    drive.advance(20_000)
    #expect(drive.reads.count <= 12)
    #expect(drive.polls.isEmpty)
    #expect(drive.messages.networks.isEmpty)
  }

  @Test("a migration's connections are polled quickly, for as long as it runs")
  func polled() {
    var drive = migrating(.success([.control(1), .data(2)]))
    drive.advance(1000)
    #expect((45...52).contains(drive.polls.count))
    drive.fail(1)
    drive.advance(1000)
    let before = drive.polls.count
    drive.advance(5000)
    #expect(drive.polls.count <= before + 1)
  }

  @Test(
    "where no control connection is seen, it is said why",
    arguments: [
      (true, [.data(2)], .inferred(.ssh)), (true, [], .inferred(.ssh)),
      (false, [.data(2)], .none(.notPeerToPeer)),
      (false, [], .inferred(.invisible)), (true, [.control(1)], .measured),
    ] as [(Bool, [TCPConnection], KeepaliveBasis)])
  func unseen(hasSSH: Bool, connections: [TCPConnection], basis: KeepaliveBasis) {
    var drive = migrating(.success(connections))
    drive.host.hasSSH = hasSSH
    drive.advance(1900)
    // The first connections take a moment.
    if basis != .measured { #expect(drive.messages.networks.isEmpty) }
    drive.advance(2000)
    #expect(drive.report?.keepalive == basis)
  }

  @Test("a kernel that does not let its connections be read has deadlines inferred, which is said once")
  func deniedRead() {
    var drive = migrating(.failure(denied))
    drive.advance(30_000)
    #expect(drive.report?.keepalive == .inferred(.denied))
    #expect(drive.warnings.filter { $0.contains("not permitted") }.count == 1)
    #expect(drive.told.filter { $0 == "up sockets" }.count == 1)
    #expect(drive.polls.isEmpty)
    drive.host.connections = .success([.control(1), .data(2)])
    drive.advance(3000)
    #expect(drive.report?.keepalive == .measured)
  }

  @Test("a host that is watched from another machine has deadlines inferred, and its kernel is not asked")
  func remote() {
    var drive = migrating(.success([.control(1), .data(2)]), uri: "qemu+tcp://b/system")
    drive.advance(5000)
    #expect(drive.reads.isEmpty && drive.polls.isEmpty)
    #expect(drive.report?.keepalive == .inferred(.remote))
    // And an end is concluded without it.
    drive.fail(1)
    drive.advance(600)
    #expect(drive.messages.endings.map(\.ending?.cause) == [.unknown])
  }

  @Test("what ended is concluded from a fresh look at its connections")
  func concluded() {
    var drive = migrating(.success([.control(1), .data(2)]))
    drive.advance(3000)
    drive.host.connections = .success([.control(1), TCPConnection.data(2).kept()])
    drive.advance(50)
    drive.fail(1)
    drive.advance(600)
    #expect(drive.messages.endings.map { words(.migration($0)) } == ["aborted user_abort inferred"])
    drive.advance(10_000)
    #expect(drive.messages.endings.count == 1)
  }

  @Test("a data connection that ends has its domain looked at at once")
  func dataEnds() {
    var drive = migrating(.success([.control(1), .data(2)]))
    drive.advance(3010)
    let last = drive.looks(at: 1).last ?? ms(0)
    drive.host.connections = .success([.control(1)])
    drive.advance(20)
    #expect(drive.looks(at: 1).last.map { $0 > last } == true)
    drive.fail(1)
    drive.advance(600)
    #expect(drive.messages.endings.map { words(.migration($0)) } == ["failed target_lost inferred"])
  }

  @Test("the silence of a control connection that is closed here is the keepalive's")
  func keepalive() {
    var drive = migrating(.success([.control(1), .data(2)]))
    drive.advance(3000)
    let cut = drive.now
    for _ in 0..<60 {
      let silence = (drive.now - cut).milliseconds
      drive.host.connections = .success([.control(1, heard: silence), .data(2)])
      drive.advance(500)
    }
    drive.host.connections = .success([
      TCPConnection.control(1).kept(.finWait1), TCPConnection.data(2).kept(.finWait1),
    ])
    drive.fail(1)
    drive.advance(600)
    #expect(drive.messages.endings.map { words(.migration($0)) } == ["failed keepalive inferred"])
  }
}

@Suite struct KeepaliveOfHostTests {
  private static let quick = KeepaliveSettings(interval: .seconds(1), count: 2)

  private func reported(_ conf: QEMUConf?, _ configured: KeepaliveSettings?, connections: Int = 1) -> Drive {
    var drive = Drive { $0.keepalive = configured }
    drive.host.conf = conf
    drive.host.states[1] = .running
    drive.feed(.tick)
    drive.advance(100)
    for _ in 1..<connections {
      drive.lose()
      drive.advance(2000)
    }
    drive.host.connections = .success([.control(1), .data(2)])
    drive.beginMigration(1)
    drive.feed(.event(named(), .iteration))
    drive.advance(1000)
    return drive
  }

  @Test("the settings are the configuration's, else those of qemu.conf, else libvirt's own")
  func settings() {
    let conf = QEMUConf(text: "keepalive_interval = 7\nkeepalive_count = 3\n")
    let told = KeepaliveSettings(
      interval: .seconds(conf.keepaliveInterval ?? 5), count: conf.keepaliveCount ?? 5)
    #expect(reported(nil, nil).report?.settings == KeepaliveSettings())
    #expect(reported(conf, nil).report?.settings == told)
    #expect(reported(nil, Self.quick).report?.settings == Self.quick)
    #expect(reported(conf, Self.quick).report?.settings == Self.quick)
  }

  @Test(
    "a configuration that differs from qemu.conf is said to, once, however often the host is connected to")
  func differs() {
    let conf = QEMUConf(text: "")
    let lines = { (drive: Drive) in drive.warnings.filter { $0.hasPrefix("timeouts.keepalive") } }
    #expect(lines(reported(conf, Self.quick)).count == 1)
    #expect(lines(reported(conf, Self.quick, connections: 4)).count == 1)
    #expect(lines(reported(conf, KeepaliveSettings(), connections: 2)).isEmpty)
    #expect(lines(reported(nil, Self.quick, connections: 2)).isEmpty)
    #expect(
      lines(reported(conf, Self.quick)).first?.contains(
        "is 1.0 s and 2, but the host's qemu.conf says 5.0 s and 5")
        == true)
  }

  @Test("a keepalive that is switched off has no deadline, whatever is seen")
  func disabled() {
    let off = KeepaliveSettings(interval: .seconds(-1), count: 5)
    #expect(reported(nil, off).report?.keepalive == KeepaliveBasis.none(.disabled))
    #expect(reported(nil, off).report?.control != nil)
    for (uri, connections) in [
      ("qemu+tcp://b/system", .success([])), ("qemu:///system", .failure(denied)),
    ] as [(String, Result<[TCPConnection], InetDiagError>)] {
      var drive = migrating(connections, uri: uri) { $0.keepalive = off }
      drive.advance(3000)
      #expect(drive.report?.keepalive == KeepaliveBasis.none(.disabled))
    }
  }
}

@Suite struct InterruptedHostTests {
  @Test("a migration that goes on behind a lost connection keeps its identifier")
  func goesOn() {
    var drive = migrating(.success([.control(1), .data(2)]))
    drive.advance(3000)
    drive.lose(.silent)
    drive.advance(10_000)
    #expect(drive.opens.count == 2)
    #expect(Set(drive.messages.migrations.map(\.id)).count == 1)
    #expect(drive.messages.endings.isEmpty)
    #expect(drive.messages.migrations.last.map { $0.takenAt > drive.now - .seconds(1) } == true)
  }

  @Test(
    "a migration that is gone behind a lost connection went with its daemon, or nobody knows how",
    arguments: [
      (CloseReason.byDaemon, FailureCause.sourceLost),
      (.silent, .unknown),
    ])
  func gone(how: CloseReason, cause: FailureCause) {
    var drive = migrating(.success([.control(1), .data(2)]))
    drive.advance(3000)
    drive.host.opening = .fails(.noConnection)
    drive.lose(how)
    drive.fail(1)
    drive.advance(5000)
    #expect(drive.messages.endings.isEmpty)
    drive.host.opening = .letsIn
    drive.advance(20_000)
    #expect(drive.messages.endings.map(\.ending?.cause) == [cause])
    #expect(drive.messages.endings.map(\.ending?.certainty) == [.inferred])
    #expect(drive.messages.endings.first?.guestOnSource == true)
  }

  @Test("a migration that had stopped without a word is concluded, even while no connection can be opened")
  func settles() {
    var drive = migrating(.success([.control(1), .data(2)]))
    drive.advance(3000)
    drive.hear(1, 3, 1)
    drive.hear(1, 5, 3)
    drive.host.opening = .hangs
    drive.lose()
    drive.advance(250)
    drive.advance(1000)
    #expect(drive.messages.endings.map { words(.migration($0)) } == ["succeeded reported"])
  }

  @Test("a second migration behind the end of the first is seen as another")
  func second() {
    var drive = migrating(.success([.control(1), .data(2)]))
    drive.advance(3000)
    drive.fail(1)
    drive.advance(600)
    drive.beginMigration(1)
    drive.feed(.event(named(), .iteration))
    drive.advance(5000)
    drive.succeed(1)
    drive.advance(10_000)
    #expect(drive.messages.endings.map(\.phase) == [.failed, .succeeded])
    #expect(Set(drive.messages.endings.map(\.id)).count == 2)
    #expect(drive.messages.gone.count == 1)
  }
}
