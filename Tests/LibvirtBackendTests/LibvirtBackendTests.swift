import DroverCore
import Foundation
import Logging
import Testing

@testable import LibvirtBackend

@Suite(.serialized) struct LibvirtBackendTests {
  @Test("a host of libvirt's own test driver is watched: its node, its VM, its health")
  func testDriver() async throws {
    let took = try await RunningBackend.run("test:///default") { backend in
      #expect(
        await eventually { backend.messages.health.contains { $0.isUp } && !backend.messages.vms.isEmpty })
      let health = try #require(backend.messages.health.first { $0.isUp })
      #expect(health.version.split(separator: ".").count == 3)
      #expect(health.lastSuccess != nil && health.errorKind == nil)
      #expect(backend.messages.nodes.count == 1)
      #expect(backend.messages.vms.map(\.vm.name) == ["test"])
      #expect(backend.messages.vms.first?.node == backend.messages.nodes.first)
      // Long enough for a round over the domains, which the test driver has no jobs for.
      #expect(await eventually { backend.messages.health.count >= 3 })
      #expect(backend.messages.migrations.isEmpty && backend.messages.inbound.isEmpty)
      #expect(backend.logs.filter { $0.level > .info && !$0.text.contains("kernel's connections") }.isEmpty)
      #expect(backend.logs.filter { $0.text.hasPrefix("connected to libvirt") }.count == 1)
    }
    #expect(took < .seconds(2))
  }

  @Test("a socket that is not there: down, tried again, one line")
  func unreachable() async {
    let path = NSTemporaryDirectory() + "drover-\(UUID().uuidString.prefix(8)).sock"
    let took = await RunningBackend.run(
      "qemu+unix:///system?socket=\(path)",
      { $0.retry = RetrySchedule(first: .milliseconds(10), longest: .milliseconds(20)) }
    ) { backend in
      #expect(await eventually { backend.messages.health.count >= 10 })
      #expect(backend.messages.health.allSatisfy { !$0.isUp && $0.errorKind == "connect" })
      #expect(backend.logs.count == 1)
      #expect(backend.logs.first.map { $0.level == .warning && $0.text.contains("virConnectOpen: ") } == true)
    }
    #expect(took < .seconds(2))
  }

  @Test("a URI that no driver takes: down, and said why")
  func nonsense() async {
    await RunningBackend.run("nonsense:///system") { backend in
      #expect(await eventually { !backend.messages.health.isEmpty })
      #expect(backend.messages.health.first?.errorKind == "connect")
      #expect(backend.logs.first?.text.contains("virConnectOpen") == true)
    }
  }

  @Test("a daemon that answers garbage is down")
  func garbage() async {
    let daemon = FakeDaemon(.garbage)
    defer { daemon.stop() }
    let took = await RunningBackend.run(
      daemon.uri, { $0.retry = RetrySchedule(first: .milliseconds(10), longest: .milliseconds(20)) }
    ) { backend in
      #expect(await eventually { backend.messages.health.count >= 3 })
      #expect(backend.messages.health.allSatisfy { !$0.isUp })
      #expect(backend.logs.count == 1)
    }
    #expect(took < .seconds(2))
  }

  @Test("a daemon that lets in and says nothing is said to, and does not hold up the end")
  func silent() async {
    let daemon = FakeDaemon(.hangs)
    defer { daemon.stop() }
    let took = await RunningBackend.run(daemon.uri, { $0.openDeadline = .milliseconds(300) }) { backend in
      #expect(await eventually { !backend.messages.health.isEmpty })
      #expect(backend.messages.health.map(\.errorKind) == ["timeout"])
      #expect(backend.logs.count == 1)
      #expect(daemon.connections == 1)
    }
    #expect(took < .seconds(2))
  }

  @Test("a daemon that closes at once, a thousand times, costs no threads and one line")
  func closing() async {
    let daemon = FakeDaemon(.closes)
    defer { daemon.stop() }
    await reconnect(to: daemon.uri, isDescriptorKept: false)
    #expect(daemon.connections >= 1000)
  }

  @Test("a daemon that is not there, a thousand times, costs neither threads nor descriptors")
  func absent() async {
    await reconnect(
      to: "qemu+unix:///system?socket=\(NSTemporaryDirectory())drover-\(UUID().uuidString.prefix(8)).sock",
      isDescriptorKept: true)
  }

  /// - Parameter isDescriptorKept: libvirt 9 itself loses a descriptor now and then where its peer closes at once; a C
  ///   program of ten lines does, too.
  private func reconnect(to uri: String, isDescriptorKept: Bool) async {
    await RunningBackend.run(
      uri, { $0.retry = RetrySchedule(first: .milliseconds(1), longest: .milliseconds(1)) }
    ) { backend in
      #expect(await eventually { backend.messages.health.count >= 50 })
      let (threads, descriptors) = (Held.threads, Held.descriptors)
      #expect(await eventually { backend.messages.health.count >= 1050 })
      // Whatever else this process does meanwhile.
      #expect(Held.threads <= threads + 30)
      if isDescriptorKept { #expect(Held.descriptors <= descriptors + 100) }
      #expect(backend.logs.count == 1)
    }
  }

  @Test("connections that are opened and closed cost neither threads nor descriptors")
  func connections() throws {
    func open(_ times: Int) throws {
      for _ in 0..<times {
        let connection = try HostConnection(
          to: "test:///default", canWrite: false,
          listener: HostListener(hearing: { _, _ in }, closed: { _ in }))
        #expect(try connection.runningDomains().map(\.name.name) == ["test"])
        connection.close()
      }
    }
    try open(20)
    let (threads, descriptors) = (Held.threads, Held.descriptors)
    try open(200)
    #expect(Held.threads <= threads + 30)
    #expect(Held.descriptors <= descriptors + 30)
  }

  @Test("a back end that was never run, or is cancelled before it begins, has nothing to end")
  func cancelledEarly() async {
    let task = Task {
      await RunningBackend.run("test:///default") { _ in withUnsafeCurrentTask { $0?.cancel() } }
    }
    #expect(await task.value < .seconds(2))
  }

  @Test("what it can tell is known before it runs")
  func descriptor() {
    let configuration = LibvirtConfiguration(name: lab, uri: "qemu:///system", host: "rack1")
    let backend = LibvirtBackend(configuration: configuration, clock: Clock(), log: Logger(label: "test"))
    #expect(backend.descriptor.type == "libvirt" && backend.descriptor.endpoint == "qemu:///system")
    #expect(backend.descriptor.node == "rack1")
    #expect(backend.descriptor.errorKinds == ["connect", "denied", "timeout", "lost", "call", "sockets"])
    // Whatever an end may be inferred to be caused by has a counter.
    for stop in [.shutdown, .destroyed, .crashed, .failed, .other, nil] as [DomainState.Stop?] {
      for phase in [Phase.precopy, .postcopy] {
        let cause = EndInference(stop: stop, isStopped: true, phase: phase, nil).cause
        #expect(cause.map(backend.descriptor.causes.contains) == true)
      }
    }
  }
}

@Suite struct HostConnectionCallTests {
  private func connected(_ body: (HostConnection) throws -> Void) throws {
    let connection = try HostConnection(
      to: "test:///default", canWrite: true,
      listener: HostListener(hearing: { _, _ in }, closed: { _ in }))
    defer { connection.close() }
    try body(connection)
  }

  @Test("the test driver's domain is listed, and asked for its state and memory")
  func questions() throws {
    try connected { connection in
      let facts = try connection.facts()
      #expect(!facts.hostName.isEmpty)
      let domain = try #require(try connection.runningDomains().first)
      #expect(domain.state == .running)
      #expect(try connection.state(of: domain.name.uuid) == .running)
      #expect(try connection.memory(of: domain.name.uuid) == .gibibytes(8))
    }
  }

  @Test("what a driver does not know is an error that says so")
  func unsupported() throws {
    try connected { connection in
      let uuid = try #require(try connection.runningDomains().first).name.uuid
      #expect(throws: LibvirtError.self) { try connection.jobStatistics(of: uuid) }
      #expect(throws: LibvirtError.self) { try connection.startDirtyRate(of: uuid) }
      do throws(LibvirtError) {
        _ = try connection.completedStatistics(of: uuid)
        Issue.record("the test driver has jobs now")
      } catch {
        #expect(error.code == .noSupport && error.kind == .call)
        #expect(error.call == "virDomainGetJobStats")
      }
    }
  }

  @Test("a domain that nobody knows is an error, and so is a text that is no UUID")
  func unknown() throws {
    try connected { connection in
      #expect(throws: LibvirtError.self) { try connection.state(of: domainID(77)) }
      #expect(throws: LibvirtError.self) { try connection.state(of: "no") }
      do throws(LibvirtError) { _ = try connection.state(of: domainID(77)) } catch {
        #expect(error.code == .noDomain)
      }
    }
  }

  @Test("an error is libvirt's last on this thread, once")
  func lastError() {
    _ = try? HostConnection(to: "nonsense:///", canWrite: false)
    #expect(LibvirtError.last(in: "virDomainGetState").message == "failed without an error")
  }
}
