import DroverCore
import Testing

@testable import LibvirtBackend

@Suite struct HostConnectionTests {
  @Test("a host that answers is up, with its version, its node and its domains")
  func connects() throws {
    let drive = Drive.connected(1, 2)
    #expect(drive.watch.link == .up)
    #expect(drive.messages.nodes == ["host-a"])
    #expect(drive.messages.vms.map(\.vm.name) == ["vm1", "vm2"])
    let health = try #require(drive.messages.health.last)
    #expect(health.isUp && health.version == "9.0.0" && health.errorKind == nil)
    #expect(health.lastSuccess == ms(0))
    #expect(drive.logs.map(\.text) == ["connected to libvirt 9.0.0 of host-a"])
  }

  @Test("the host is called what the configuration says, and keeps its name over connections")
  func hostName() {
    var named = Drive.connected(1) { $0.host = "rack1" }
    #expect(named.messages.nodes == ["rack1"])
    #expect(named.messages.vms.first?.node == "rack1")
    named.lose()
    named.advance(5000)
    #expect(named.messages.nodes == ["rack1"])

    var renamed = Drive.connected(1)
    renamed.host.facts.hostName = "other"
    renamed.lose()
    renamed.advance(5000)
    #expect(renamed.messages.nodes == ["host-a"])
  }

  @Test(
    "a host that cannot be reached is tried again and again, ever more seldom, with one line",
    arguments: [(LibvirtError.noConnection, "down connect"), (.refused, "down denied")])
  func fails(error: LibvirtError, told: String) {
    var drive = Drive.opening(.fails(error))
    drive.advance(120_000)
    let pauses = zip(drive.opens.dropFirst(), drive.opens).map { ($0 - $1).milliseconds }
    #expect(pauses.first.map { (187...250).contains($0) } == true)
    #expect(pauses.max().map { (22_500...30_000).contains($0) } == true)
    #expect((8...14).contains(drive.opens.count))
    #expect(drive.warnings.count == 1)
    #expect(drive.warnings.first?.hasSuffix("; tried again until it works") == true)
    #expect(Set(drive.told) == [told])
    #expect(drive.messages.health.count == drive.opens.count)

    drive.host.opening = .letsIn
    drive.advance(30_000)
    #expect(drive.messages.health.last?.isUp == true)
    #expect(drive.logs.map(\.text).suffix(1) == ["connected to libvirt 9.0.0 of host-a"])
    #expect(drive.logs.count == 2)
  }

  @Test("a connection that takes long to open is said to, once, and waited for")
  func hangs() {
    var drive = Drive.opening(.hangs)
    drive.advance(29_999)
    #expect(drive.messages.isEmpty)
    drive.advance(270_000)
    #expect(drive.opens.count == 1)
    #expect(drive.warnings.count == 1)
    #expect(drive.told == ["down timeout"])
    drive.feed(.opened(drive.host.facts, conf: drive.host.conf))
    #expect(drive.messages.health.last?.isUp == true)
  }

  @Test("one that may never be opened is tried anew beside it, as often as threads may be lost to that")
  func hangsForGood() {
    var drive = Drive.opening(.hangs)
    drive.advance(300_000)
    #expect(drive.opens.count == 2)
    drive.advance(36_000_000)
    #expect(drive.opens.count == 1 + HostWatch.mostLateOpenings)
    #expect(drive.warnings.count == 1)
    // Those that end after all make room for others.
    drive.host.opening = .letsIn
    drive.feed(.lateOpening)
    drive.advance(1)
    #expect(drive.opens.count == 2 + HostWatch.mostLateOpenings)
    drive.advance(100)
    #expect(drive.messages.health.last?.isUp == true)
  }

  @Test("a domain whose question never had a connection is asked over the next one")
  func lostLook() {
    var drive = Drive.connected(1)
    drive.beginMigration(1)
    drive.host.stuck = [1]
    drive.feed(.event(named(1), .iteration))
    drive.host.opening = .fails(.noConnection)
    drive.feed(.closed(.silent))
    drive.advance(60_000)
    let looks = drive.looks(at: 1).count
    let began = drive.outstanding.removeValue(forKey: 1) ?? drive.now
    drive.host.stuck = []
    drive.host.opening = .letsIn
    drive.advance(230_000)
    #expect(drive.looks(at: 1).count == looks)
    drive.advance(20_000)
    #expect(drive.looks(at: 1).count > looks)
    #expect(!drive.messages.migrations.isEmpty)
    // The first question is answered after all, while another is under way.
    drive.host.stuck = [1]
    drive.advance(1000)
    let later = drive.looks(at: 1).count
    drive.feed(.looked(drive.host.look(1, begun: began, at: drive.now)))
    drive.advance(3000)
    #expect(drive.looks(at: 1).count == later)
  }

  @Test("what ends while the next connection is being opened is not that one")
  func closedLate() {
    var drive = Drive.connected(1)
    drive.host.opening = .hangs
    drive.lose()
    drive.advance(1000)
    #expect(drive.opens.count == 2)
    drive.feed(.closed(.silent))
    drive.advance(60_000)
    #expect(drive.opens.count == 2 && drive.watch.lateOpenings == 0)
  }

  @Test("a connection that is lost is said to be once, and opened again")
  func lost() {
    var drive = Drive.connected(1)
    drive.host.opening = .fails(.noConnection)
    drive.lose()
    #expect(drive.closes == 1)
    drive.advance(60_000)
    #expect(drive.warnings.count == 1)
    #expect(drive.told.contains("down lost") && drive.told.contains("down connect"))
    drive.host.opening = .letsIn
    drive.advance(60_000)
    #expect(drive.logs.count == 3)
    #expect(drive.messages.health.last?.isUp == true)
    // The VM was told once, and never gone.
    #expect(drive.messages.vms.count == 1 && drive.messages.gone.isEmpty)
  }

  @Test("a daemon that lets in and closes at once is asked ever more seldom")
  func flaps() {
    var drive = Drive.connected(1)
    for _ in 0..<40 {
      if drive.watch.link == .up { drive.lose() }
      drive.host.isListStuck = true
      drive.advance(1000)
    }
    #expect(drive.opens.count < 15)
    drive.releaseList()
    drive.host.isListStuck = false
    drive.advance(40_000)
    #expect(drive.messages.health.last?.isUp == true)
    // After an answer it is soon tried again.
    let before = drive.opens.count
    drive.lose()
    drive.advance(260)
    #expect(drive.opens.count == before + 1)
  }

  @Test("a failure that was overtaken by a connection takes that one not down")
  func overtaken() {
    var drive = Drive.connected(1)
    drive.feed(.openFailed(.noConnection))
    drive.advance(10_000)
    #expect(drive.watch.link == .up)
    #expect(drive.opens.count == 1)
    #expect(!drive.told.contains("down connect"))
  }

  @Test("a list that hangs takes the host down until it comes back, with a line each")
  func listHangs() {
    var drive = Drive.connected(1)
    drive.host.isListStuck = true
    drive.advance(3899)
    #expect(drive.messages.health.last?.isUp == true)
    drive.advance(60_000)
    #expect(drive.messages.health.last?.isUp == false)
    #expect(drive.told.filter { $0 == "down timeout" }.count == 1)
    #expect(drive.warnings == ["libvirt does not answer; waiting for it"])
    let lists = drive.lists.count
    drive.releaseList()
    #expect(drive.lists.count <= lists + 1)
    #expect(drive.messages.health.last?.isUp == true)
    #expect(drive.logs.last?.text == "libvirt answers again")
  }

  @Test("a list that fails takes the host down; one that lost its connection has it opened again")
  func listFails() {
    var drive = Drive.connected(1)
    drive.host.listError = .lockHeld
    drive.advance(20_000)
    #expect(drive.opens.count == 1)
    #expect(drive.warnings.count == 1)
    #expect(drive.messages.health.last?.isUp == false)
    drive.host.listError = .lost
    drive.advance(3000)
    #expect(drive.closes >= 1 && drive.opens.count >= 2)
    drive.host.listError = nil
    drive.advance(60_000)
    #expect(drive.messages.health.last?.isUp == true)
  }

  @Test("the answer of a connection that was let go says nothing of the next")
  func oldAnswer() {
    var drive = Drive.connected(1)
    drive.host.isListStuck = true
    drive.advance(2000)
    drive.feed(.closed(.broken("no thread is left for its calls")))
    let before = drive.told.count
    drive.host.states[2] = .running
    drive.releaseList()
    #expect(drive.watch.link == .down)
    #expect(!drive.told.dropFirst(before).contains("up"))
  }

  @Test("hearing that the connection is gone while it is gone is nothing new")
  func closedTwice() {
    var drive = Drive.connected(1)
    drive.host.opening = .hangs
    drive.lose()
    drive.feed(.closed(.broken("it broke")))
    #expect(drive.closes == 1)
    #expect(drive.told.filter { $0 == "down lost" }.count == 1)
  }

  @Test("what happens before it is known where is not told")
  func early() {
    var drive = Drive.opening(.hangs)
    drive.hear(1, 2, 0)
    #expect(drive.messages.isEmpty)
  }
}

@Suite struct InventoryOfHostTests {
  @Test("a domain that is missing from two lists is gone, once; from one it is not")
  func missing() {
    var drive = Drive.connected(1, 2)
    drive.host.states[2] = nil
    drive.advance(2000)
    #expect(drive.messages.gone.isEmpty)
    drive.host.states[2] = .running
    drive.advance(2000)
    drive.host.states[2] = nil
    drive.advance(2000)
    #expect(drive.messages.gone.isEmpty)
    drive.advance(20_000)
    #expect(drive.messages.gone.map(\.text) == [domainID(2)])
    #expect(drive.watch.domains.count == 1)
  }

  @Test("a domain that is started or stopped is told at once, and forgotten when it has stopped")
  func events() {
    var drive = Drive.connected(1)
    drive.hear(2, 2, 0)
    #expect(drive.messages.vms.map(\.key.text) == [domainID(1), domainID(2)])
    drive.hear(2, 5, 1)
    #expect(drive.messages.gone.map(\.text) == [domainID(2)])
    #expect(drive.watch.domains.count == 1)
    drive.hear(3, 0, 0)
    #expect(drive.watch.domains.count == 1)
  }

  @Test("a domain that gets another name is told under it")
  func renamed() {
    var drive = Drive.connected(1)
    let name = DomainName(uuid: domainID(1), name: "better")
    drive.feed(.event(name, .lifecycle(.other)))
    drive.feed(
      .listed(.success([RunningDomain(name: name, state: .running)]), begunAt: drive.now))
    #expect(drive.messages.vms.map(\.vm.name) == ["vm1", "better"])
  }

  @Test("a guest that arrives is found by a list and a look, and no migration of this host's")
  func arrival() {
    var drive = Drive.connected(1)
    drive.host.states[2] = .pausedMigration
    drive.host.answers[2] = .failure(.onlyAtSource)
    drive.advance(2000)
    #expect(drive.messages.inbound.map(\.isActive) == [true])
    drive.advance(10_000)
    drive.host.states[2] = .running
    drive.host.answers[2] = nil
    drive.advance(2000)
    #expect(drive.messages.inbound.map(\.isActive) == [true, false])
    #expect(drive.messages.inbound.last?.guestRuns == true)
    #expect(drive.messages.migrations.isEmpty)
  }

  @Test("a host without jobs has its domains told, and is not asked for jobs again")
  func noJobs() {
    var drive = Drive()
    drive.host.states[1] = .running
    drive.host.answers[1] = .failure(.noJobs)
    drive.feed(.tick)
    drive.advance(60_000)
    #expect(drive.sweeps.count == 1)
    #expect(drive.messages.vms.count == 1)
    #expect(drive.warnings.isEmpty)
  }
}

@Suite struct UnreadableConfTests {
  @Test("a qemu.conf that cannot be read is said once, where nothing else tells the keepalive")
  func said() {
    var drive = Drive()
    drive.host.conf = nil
    drive.host.states = [1: .running]
    drive.feed(.tick)
    drive.advance(1000)
    drive.lose()
    drive.advance(20_000)
    #expect(drive.opens.count == 2)
    #expect(drive.logs.filter { $0.text.contains("qemu.conf cannot be read") }.count == 1)
    var configured = Drive({ $0.keepalive = KeepaliveSettings() })
    configured.host.conf = nil
    configured.feed(.tick)
    configured.advance(1000)
    #expect(!configured.logs.contains { $0.text.contains("qemu.conf cannot be read") })
  }
}
