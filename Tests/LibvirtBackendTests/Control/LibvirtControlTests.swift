import DroverCore
import Foundation
import Logging
import Synchronization
import Testing

@testable import LibvirtBackend

private func backend(_ uri: String, _ change: (inout LibvirtConfiguration) -> Void = { _ in })
  -> LibvirtBackend
{
  var configuration = LibvirtConfiguration(name: lab, uri: uri)
  change(&configuration)
  return LibvirtBackend(
    configuration: configuration, clock: Clock(), log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
  )
}

/// The only domain of libvirt's test driver.
private let vm = VMRef(backend: lab, scope: .host("here"), name: "test")
private let testUUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"

private func target(_ uuid: String) throws -> MigrationTarget {
  let domain = try #require(DomainKey(uuid: uuid))
  return MigrationTarget(
    id: MigrationID(domain: domain, startedUnixMilliseconds: 1_700_000_000_000), vm: vm, domain: domain)
}

private func error(_ body: () async throws(ControlError) -> some Any) async -> ControlError? {
  do throws(ControlError) {
    _ = try await body()
    return nil
  } catch {
    return error
  }
}

@Suite(.serialized) struct LibvirtControlTests {
  @Test("a driver without migrations says so, and a domain that is not there is gone")
  func testDriver() async throws {
    let backend = backend("test:///default")
    let (known, unknown) = (try target(testUUID), try target(domainID(7)))
    #expect(await error { () throws(ControlError) in try await backend.live(known) }?.kind == .unsupported)
    #expect(await error { () throws(ControlError) in try await backend.abort(known) }?.kind == .unsupported)
    #expect(try await backend.live(unknown).state == .gone)
    let gone = await error { () throws(ControlError) in try await backend.abort(unknown) }
    // What it is now is looked at before anything is sent.
    #expect(gone?.kind == .gone && gone?.cause.hasPrefix("not sent: ") == true, "\(String(describing: gone))")
  }

  @Test("without a peer nothing can be started, and a VM that nobody knows cannot either")
  func noPeer() async throws {
    let backend = backend("test:///default")
    let plan = try await backend.plan(StartOrder(vm: vm))
    #expect(plan.refusals.map(\.reason) == [.noTarget] && !plan.source.isEmpty)
    let started = await error { () throws(ControlError) in try await backend.start(StartOrder(vm: vm)) }
    #expect(started?.kind == .refused && started?.cause.hasPrefix("not sent: no host is named") == true)
    #expect(try await backend.eligibility(of: vm).obstacles.map(\.reason) == [.noTargetNode])
    let other = VMRef(backend: lab, scope: .host("here"), name: "other")
    #expect(
      await error { () throws(ControlError) in try await backend.plan(StartOrder(vm: other)) }?.kind == .gone)
  }

  @Test("a peer is asked over a connection of its own; one that is not there is unknown")
  func peers() async throws {
    let backend = backend("test:///default") {
      $0.peers = [
        LibvirtPeer(name: "me", uri: "qemu+tls://me/system", checkURI: "test:///default"),
        LibvirtPeer(
          name: "away", uri: "qemu+tls://away/system", checkURI: "qemu+unix:///system?socket=/not/there.sock"),
      ]
    }
    let eligibility = try await backend.eligibility(of: vm)
    #expect(eligibility.targets.map(\.node) == ["me", "away"])
    // The test driver is one host, whoever asks.
    #expect(eligibility.targets[0].obstacles.map(\.reason).contains(.noTargetNode))
    #expect(eligibility.targets[1].obstacles.map(\.reason) == [.unknown])
    let plan = try await backend.plan(StartOrder(vm: vm, node: "me"))
    #expect(plan.refusals.map(\.reason).contains(.sameNode))
  }

  @Test("orders go over the control URI, which is opened when there is one")
  func controlURI() async throws {
    let backend = backend("qemu+unix:///system?socket=/not/there.sock") { $0.controlURI = "test:///default" }
    #expect(try await backend.live(target(domainID(7))).state == .gone)
    let away = self.away
    let unknown = try target(domainID(7))
    #expect(await error { () throws(ControlError) in try await away.live(unknown) }?.kind == .unreachable)
  }

  private var away: LibvirtBackend { backend("qemu+unix:///system?socket=/not/there.sock") }

  @Test("a daemon that lets in and says nothing is said to in time, and nothing is sent to it")
  func silent() async throws {
    let daemon = FakeDaemon(.hangs)
    defer { daemon.stop() }
    let backend = backend(daemon.uri) { $0.controlDeadline = .milliseconds(200) }
    let target = try target(domainID(7))
    #expect(daemon.connections == 0)
    let began = ContinuousClock.now
    let told = await error { () throws(ControlError) in try await backend.abort(target) }
    #expect(told?.kind == .unreachable && told?.remedy.contains("nothing was sent") == true)
    // What hangs is not asked again: that would take a thread each time.
    let again = await error { () throws(ControlError) in try await backend.live(target) }
    #expect(again?.kind == .timeout)
    #expect(await eventually { daemon.connections == 1 })
    #expect(ContinuousClock.now - began < .seconds(5))
  }

  @Test("a domain is left alone before anything is asked for an abort, and looked at again behind it")
  func leftAlone() async throws {
    let mailbox = try #require(HostMailbox())
    var configuration = LibvirtConfiguration(name: lab, uri: "test:///default")
    configuration.controlDeadline = .seconds(4)
    let control = LibvirtControl(configuration, clock: Clock(), log: Logger(label: "test"))
    control.attach(mailbox)
    let target = try target(testUUID)
    let before = Clock().now()
    _ = await error { () throws(ControlError) in try await control.live(target) }
    _ = await error { () throws(ControlError) in try await control.abort(target) }
    let mail = mailbox.take(within: .zero) ?? []
    // To look needs no rest.
    try #require(mail.count == 2)
    guard case .came(.leaveAlone(testUUID, let until)) = mail[0], case .came(.lookAgain(testUUID)) = mail[1]
    else {
      Issue.record("the mail is \(mail)")
      return
    }
    // Longer than an abort can take.
    #expect(until - before >= .seconds(9))
  }

  @Test("a peer whose question hangs is asked another after a while, so often as threads may be lost to it")
  func stuckPeer() async throws {
    var configuration = LibvirtConfiguration(name: lab, uri: "test:///default")
    configuration.controlDeadline = .milliseconds(20)
    let control = LibvirtControl(configuration, clock: Clock(), log: Logger(label: "test"))
    let isOver = Atomic(false)
    let asked = Atomic(0)
    func ask(_ patience: Duration?) async -> ControlError? {
      await error { () throws(ControlError) in
        try await control.ask("peer", call: "c", whereStuck: "w", remedy: "r", patience: patience) { _ in
          asked.add(1, ordering: .relaxed)
          while !isOver.load(ordering: .acquiring) { usleep(1000) }
        }
      }
    }
    // Nobody waits for a thread that has not begun yet.
    func untilAsked(_ count: Int) async { _ = await eventually { asked.load(ordering: .relaxed) >= count } }
    _ = await ask(.seconds(300))
    await untilAsked(1)
    #expect(await ask(nil)?.cause.contains("earlier question") == true)
    #expect(await ask(.seconds(300))?.cause.contains("earlier question") == true)
    #expect(asked.load(ordering: .relaxed) == 1)
    for _ in 0..<20 { _ = await ask(.zero) }
    await untilAsked(16)
    #expect(asked.load(ordering: .relaxed) == 16)
    isOver.store(true, ordering: .releasing)
  }

  @Test("of one domain one abort is sent at a time, and one start")
  func once() async throws {
    let daemon = FakeDaemon(.hangs)
    defer { daemon.stop() }
    let backend = backend(daemon.uri) { $0.controlDeadline = .milliseconds(500) }
    let (first, other) = (try target(domainID(7)), try target(domainID(8)))
    async let one = error { () throws(ControlError) in try await backend.abort(first) }
    #expect(await eventually { daemon.connections == 1 })
    async let two = error { () throws(ControlError) in try await backend.abort(first) }
    async let three = error { () throws(ControlError) in try await backend.abort(other) }
    let told = await [one?.kind, two?.kind, three?.kind]
    #expect(told == [.unreachable, .refused, .unreachable])

    let control = LibvirtControl(
      LibvirtConfiguration(name: lab, uri: "test:///default"), clock: Clock(), log: Logger(label: "test"))
    #expect(control.beginStart(domainID(7)) && control.beginStart(domainID(8)))
    #expect(!control.beginStart(domainID(7)))
    control.endStart(domainID(7))
    #expect(control.beginStart(domainID(7)))
  }

  @Test("a connection is kept for a while, lent again, and let go")
  func connections() async throws {
    let connections = ControlConnections(uri: "test:///default", patience: .milliseconds(300))
    #expect(connections.count == 0)
    for _ in 1...5 { _ = try connections.with { connection throws(LibvirtError) in try connection.facts() } }
    #expect(connections.count == 1)
    // One call each: what hangs holds up no other.
    try connections.with { first throws(LibvirtError) in
      try connections.with { second throws(LibvirtError) in #expect(first !== second) }
    }
    #expect(connections.count == 2)
    #expect(await eventually { connections.count == 0 })
    _ = try connections.with { connection throws(LibvirtError) in try connection.facts() }
    #expect(connections.count == 1)
  }

  @Test("a connection that broke is not lent again; what may be repeated is, once, over a new one")
  func broken() throws {
    let connections = ControlConnections(uri: "test:///default")
    _ = try connections.with { connection throws(LibvirtError) in try connection.facts() }
    var used: [ObjectIdentifier] = []
    func fail(isRepeatable: Bool) {
      used = []
      do {
        try connections.with(isRepeatable: isRepeatable) { connection throws(LibvirtError) in
          used.append(ObjectIdentifier(connection))
          throw .lost
        }
        Issue.record("no error")
      } catch {
        #expect(error.isConnectionLost)
      }
    }
    fail(isRepeatable: false)
    #expect(used.count == 1 && connections.count == 0)
    _ = try connections.with { connection throws(LibvirtError) in try connection.facts() }
    fail(isRepeatable: true)
    #expect(used.count == 2 && connections.count == 0)
    fail(isRepeatable: true)
    #expect(used.count == 1)
  }

  @Test("more calls at once than can be are refused at once")
  func most() throws {
    let connections = ControlConnections(uri: "test:///default")
    func nest(_ depth: Int) throws(LibvirtError) {
      guard depth > 0 else { return }
      try connections.with(endsMigrations: true) { _ throws(LibvirtError) in try nest(depth - 1) }
    }
    try nest(ControlConnections.most)
    #expect(throws: LibvirtError.self) { try nest(ControlConnections.most + 1) }
    #expect(connections.count == ControlConnections.most)
  }

  @Test("questions that hang leave room for aborts")
  func reserve() throws {
    let connections = ControlConnections(uri: "test:///default")
    func nest(_ depth: Int, _ body: () throws(LibvirtError) -> Void) throws(LibvirtError) {
      guard depth > 0 else { return try body() }
      try connections.with { _ throws(LibvirtError) in try nest(depth - 1, body) }
    }
    let most = ControlConnections.most - ControlConnections.reserved
    #expect(throws: LibvirtError.self) { try nest(most + 1) {} }
    var isServed = false
    try nest(most) { () throws(LibvirtError) in
      try connections.with(endsMigrations: true) { _ throws(LibvirtError) in isServed = true }
    }
    #expect(isServed)
  }

  @Test("connections that aborts have left are none that questions may use up")
  func reserveOfFree() throws {
    let connections = ControlConnections(uri: "test:///default")
    func nest(_ depth: Int, endsMigrations: Bool) throws(LibvirtError) {
      guard depth > 0 else { return }
      try connections.with(endsMigrations: endsMigrations) { _ throws(LibvirtError) in
        try nest(depth - 1, endsMigrations: endsMigrations)
      }
    }
    try nest(ControlConnections.most, endsMigrations: true)
    let most = ControlConnections.most - ControlConnections.reserved
    #expect(throws: LibvirtError.self) { try nest(most + 1, endsMigrations: false) }
    try nest(most, endsMigrations: false)
  }
}
