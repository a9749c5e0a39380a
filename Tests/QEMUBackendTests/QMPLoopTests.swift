import DroverCore
import Foundation
import Testing

@testable import QEMUBackend

@Suite(.serialized) struct QMPLoopTests {
  private let directory = TemporaryDirectory()

  private func configuration(_ sockets: [String]) -> QEMUConfiguration {
    var configuration = QEMUConfiguration(
      name: BackendName(rawValue: "qemu"), sockets: sockets, host: "host-a", idleInterval: .milliseconds(50),
      requestDeadline: .seconds(3))
    configuration.retry = RetrySchedule(first: .milliseconds(20), longest: .milliseconds(100))
    return configuration
  }

  @Test(
    "a socket that misbehaves is named by its error and delays no other",
    arguments: FakeQMPServer.Behaviour.allCases.filter { !$0.error.isEmpty })
  func misbehaving(behaviour: FakeQMPServer.Behaviour) async {
    let good = FakeQMPServer(directory.path + "/good.qmp", .good)
    let bad = FakeQMPServer(directory.path + "/bad.qmp", behaviour)
    defer {
      good.stop()
      bad.stop()
    }
    await RunningBackend.run(configuration([directory.path + "/*.qmp"])) { backend in
      #expect(await eventually { backend.health.contains { $0.errorKind == behaviour.error } })
      #expect(await eventually { good.seen.polls.count >= 20 })
      #expect(good.longestGap < .milliseconds(2_500))
      #expect(backend.vms.contains { $0.key.text == good.path })
      if behaviour != .closesAfterPoll { #expect(backend.health.contains { !$0.isUp }) }
    }
  }

  @Test("a flood of events delays no other socket")
  func flood() async {
    let good = FakeQMPServer(directory.path + "/good.qmp", .good)
    let bad = FakeQMPServer(directory.path + "/bad.qmp", .floods)
    defer {
      good.stop()
      bad.stop()
    }
    await RunningBackend.run(configuration([good.path, bad.path])) { backend in
      #expect(await eventually { good.seen.polls.count >= 20 && bad.seen.polls.count >= 10 })
      #expect(good.longestGap < .milliseconds(2_500))
      #expect(!backend.health.contains { !$0.isUp })
    }
  }

  @Test("of a line of 100 MB no more than the limit is read")
  func endlessLine() async {
    let bad = FakeQMPServer(directory.path + "/bad.qmp", .endlessLine)
    defer { bad.stop() }
    var configuration = configuration([bad.path])
    configuration.retry = RetrySchedule(first: .seconds(600), longest: .seconds(600))
    await RunningBackend.run(configuration) { backend in
      #expect(await eventually { backend.health.contains { $0.errorKind == "line_too_long" } })
      // The limit, and what the kernel's buffers take besides.
      #expect(bad.seen.bytesSent < 3 << 20)
    }
  }

  @Test("a thousand reconnects leave no descriptor and no thread behind")
  func reconnects() async {
    let bad = FakeQMPServer(directory.path + "/bad.qmp", .closesAtOnce)
    defer { bad.stop() }
    var configuration = configuration([bad.path])
    configuration.retry = RetrySchedule(first: .milliseconds(1), longest: .milliseconds(1))
    await RunningBackend.run(configuration) { _ in
      #expect(await eventually { bad.seen.connections > 100 })
      let before = (Self.count("fd"), Self.count("task"))
      #expect(await eventually(within: .seconds(60)) { bad.seen.connections > 1_100 })
      #expect(Self.count("fd") <= before.0 + 10)
      #expect(Self.count("task") <= before.1 + 4)
    }
  }

  private static func count(_ kind: String) -> Int {
    (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/" + kind).count) ?? 0
  }

  @Test("a cancelled run ends within 100 ms, even while a socket hangs")
  func cancellation() async {
    let bad = FakeQMPServer(directory.path + "/bad.qmp", .hangsAfterGreeting)
    defer { bad.stop() }
    var best = Duration.seconds(60)
    // The machine may be busy: one quick end of three shows that nothing waits.
    for _ in 1...3 {
      await RunningBackend.run(configuration([bad.path])) { backend in
        let connections = bad.seen.connections
        #expect(await eventually { bad.seen.connections > connections || connections > 0 })
        let begin = ContinuousClock.now
        await backend.stop()
        best = min(best, .now - begin)
      }
    }
    #expect(best < .milliseconds(100))
  }

  @Test("sockets of a glob are followed as they come and go")
  func comingAndGoing() async {
    let one = FakeQMPServer(directory.path + "/one.qmp", .good)
    defer { one.stop() }
    await RunningBackend.run(configuration([directory.path + "/*.qmp"])) { backend in
      #expect(await eventually { backend.vms.map(\.vm.name) == ["one.qmp"] })
      let two = FakeQMPServer(directory.path + "/two.qmp", .good)
      #expect(await eventually { backend.vms.map(\.vm.name) == ["one.qmp", "two.qmp"] })
      two.stop()
      #expect(await eventually { backend.gone.map(\.text) == [two.path] })
      let again = FakeQMPServer(two.path, .good)
      defer { again.stop() }
      #expect(await eventually { backend.vms.count == 3 })
      #expect(backend.health.last?.isUp == true)
    }
  }

  @Test("a path that is missing is down until its socket is there")
  func missing() async {
    let path = directory.path + "/late.qmp"
    var configuration = configuration([path])
    configuration.retry = RetrySchedule(first: .seconds(600), longest: .seconds(600))
    await RunningBackend.run(configuration) { backend in
      #expect(await eventually { backend.health.first?.isUp == false })
      #expect(backend.health.first?.errorKind == "connect")
      // The new file is noticed by the next look, long before the pause is over.
      let late = FakeQMPServer(path, .good)
      defer { late.stop() }
      #expect(await eventually { backend.health.last?.isUp == true })
    }
  }

  @Test("a glob in a directory that is not there is down with the cause, until it is there")
  func missingDirectory() async throws {
    let path = directory.path + "/guests"
    try await RunningBackend.run(configuration([path + "/*.qmp"])) { backend in
      #expect(
        await eventually { backend.health.first?.problem?.hasPrefix("access \(path): No such file") == true })
      #expect(backend.health.first?.isUp == false)
      #expect(backend.health.compactMap(\.errorKind) == ["connect"])
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
      #expect(await eventually { backend.health.last?.isUp == true })
      #expect(backend.health.last?.problem == nil)
    }
  }

  @Test("a glob that finds nothing is up, and its last look counts as success")
  func emptyGlob() async {
    await RunningBackend.run(configuration([directory.path + "/*.qmp"])) { backend in
      #expect(await eventually { backend.health.count >= 2 })
      #expect(backend.health.allSatisfy { $0.isUp && $0.lastSuccess != nil && $0.errorKind == nil })
    }
  }

  @Test(
    "a file that a dead QEMU left behind is skipped in a glob, and down as a path", arguments: [true, false])
  func stale(isGlob: Bool) async {
    let path = directory.path + "/stale.qmp"
    let server = FakeQMPServer(path, .good)
    try? FileManager.default.moveItem(atPath: path, toPath: path + ".kept")
    server.stop()
    try? FileManager.default.moveItem(atPath: path + ".kept", toPath: path)
    await RunningBackend.run(configuration([isGlob ? directory.path + "/*.qmp" : path])) { backend in
      #expect(await eventually { !backend.health.isEmpty })
      #expect(backend.health.first?.isUp == isGlob)
      #expect(backend.health.first?.errorKind == (isGlob ? nil : "refused"))
    }
  }

  @Test("a socket that a glob finds in another manager's directory is counted and left alone")
  func owned() async throws {
    let owned = directory.path + "/owned"
    try FileManager.default.createDirectory(atPath: owned, withIntermediateDirectories: false)
    let theirs = FakeQMPServer(owned + "/monitor.sock", .good)
    defer { theirs.stop() }
    try FileManager.default.createSymbolicLink(atPath: directory.path + "/link", withDestinationPath: owned)
    try FileManager.default.createSymbolicLink(
      atPath: directory.path + "/direct.sock", withDestinationPath: owned + "/monitor.sock")
    var configuration = configuration([directory.path + "/l*/*.sock", directory.path + "/*.sock"])
    configuration.owned = [(owned, "libvirt")]
    await RunningBackend.run(configuration) { backend in
      #expect(await eventually { backend.health.filter { $0.errorKind == "socket_owned" }.count == 2 })
      #expect(await eventually { backend.health.count >= 4 })
      #expect(backend.health.filter { $0.errorKind == "socket_owned" }.count == 2)
      #expect(theirs.seen.connections == 0)
      #expect(backend.health.last?.isUp == true)
    }
  }

  @Test("a path given as such that belongs to another manager is down, and counted once")
  func ownedLiteral() async throws {
    let owned = directory.path + "/owned"
    try FileManager.default.createDirectory(atPath: owned, withIntermediateDirectories: false)
    let theirs = FakeQMPServer(owned + "/monitor.sock", .good)
    defer { theirs.stop() }
    let link = directory.path + "/direct.sock"
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: theirs.path)
    var configuration = configuration([link])
    configuration.owned = [(owned, "libvirt")]
    await RunningBackend.run(configuration) { backend in
      #expect(await eventually { backend.health.count >= 3 })
      #expect(backend.health.allSatisfy { !$0.isUp })
      #expect(
        backend.health.map(\.errorKind) == ["socket_owned"] + backend.health.dropFirst().map { _ in nil })
      #expect(theirs.seen.connections == 0)
    }
  }

  @Test("one QEMU behind two sockets is watched over one, and over the other when that one goes")
  func twins() async {
    let one = FakeQMPServer(directory.path + "/a.qmp", .good, name: "twin")
    let two = FakeQMPServer(directory.path + "/b.qmp", .good, name: "twin")
    let other = FakeQMPServer(directory.path + "/c.qmp", .good, name: "other")
    defer {
      one.stop()
      two.stop()
      other.stop()
    }
    await RunningBackend.run(configuration([directory.path + "/*.qmp"])) { backend in
      #expect(await eventually { other.seen.polls.count >= 10 && backend.health.count >= 2 })
      #expect(backend.vms.map(\.vm.name).sorted() == ["other", "twin"])
      let (first, second) = one.seen.polls.isEmpty ? (two, one) : (one, two)
      #expect(await eventually { second.seen.connections >= 1 })
      #expect(second.seen.polls.isEmpty)
      #expect(backend.health.allSatisfy { $0.isUp && $0.errorKind == nil })
      first.stop()
      #expect(await eventually { second.seen.polls.count >= 5 })
      #expect(backend.gone.map(\.text) == [first.path])
      #expect(backend.vms.map(\.vm.name).sorted() == ["other", "twin", "twin"])
    }
  }

  @Test("a path that cannot be looked at is not gone; one that is missing is")
  func unknownPresence() async throws {
    let real = directory.path + "/real"
    let link = directory.path + "/link"
    try FileManager.default.createDirectory(atPath: real, withIntermediateDirectories: false)
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: real)
    let server = FakeQMPServer(real + "/a.qmp", .good)
    defer { server.stop() }
    await RunningBackend.run(configuration([link + "/*.qmp"])) { backend in
      #expect(await eventually { backend.vms.count == 1 })
      // A link to itself: nothing under it can be looked at, by root neither.
      try? FileManager.default.removeItem(atPath: link)
      try? FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: link)
      server.stop()
      #expect(await eventually { backend.health.contains { $0.errorKind == "connect" } })
      let told = backend.health.filter { $0.errorKind == nil }.count
      #expect(await eventually { backend.health.count >= told + 5 })
      #expect(await eventually { backend.health.filter { $0.errorKind == "connect" }.count >= 20 })
      #expect(backend.gone.isEmpty)
      try? FileManager.default.removeItem(atPath: link)
      #expect(await eventually { backend.gone.count == 1 })
    }
  }
}
