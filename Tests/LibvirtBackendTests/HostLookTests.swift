import DroverCore
import Testing

@testable import InetDiag
@testable import LibvirtBackend

@Suite struct HostLookTests {
  @Test("a migration is found by a round over the domains, and then looked at at its interval")
  func sampling() {
    var drive = Drive.connected(1, 2)
    drive.beginMigration(1)
    drive.advance(30_000)
    let looks = drive.looks(at: 1)
    #expect(looks.count > 10)
    #expect(zip(looks.dropFirst(2), looks.dropFirst()).allSatisfy { $0 - $1 == .milliseconds(500) })
    #expect(drive.looks(at: 2).isEmpty)
    #expect(runs(drive.messages.migrations.map(\.phase.rawValue)) == ["precopy"])
    #expect(Set(drive.messages.migrations.map(\.id)).count == 1)
  }

  @Test("an event has its domain looked at at once")
  func event() {
    var drive = Drive.connected(1)
    drive.advance(550)
    drive.beginMigration(1)
    drive.advance(50)
    drive.feed(.event(named(), .iteration))
    #expect(drive.looks(at: 1) == [drive.now])
    #expect(drive.messages.migrations.count == 1)
    #expect(drive.messages.migrations.first?.startedAt == drive.now - .milliseconds(50))
  }

  @Test("limits, memory and disks are asked for with the looks, now and then")
  func wishes() {
    var drive = Drive.connected(1)
    drive.beginMigration(1)
    drive.feed(.event(named(), .iteration))
    drive.advance(600)
    #expect(drive.looks.map(\.wish.state) == [true, true])
    #expect(drive.looks.map(\.wish.memory) == [true, true])
    #expect(drive.looks.map(\.wish.limits) == [false, true])
    #expect(drive.looks.map(\.wish.disks) == [false, false])
  }

  @Test("rounds over domains that rest are slow where the network shows what begins, and quick where not")
  func intervals() {
    func rounds(_ network: Result<[TCPConnection], InetDiagError>, uri: String = "qemu:///system") -> Int {
      var drive = Drive(uri: uri)
      drive.host.states = [1: .running, 2: .running]
      drive.host.connections = network
      drive.feed(.tick)
      drive.advance(60_000)
      #expect(drive.sweeps.allSatisfy { $0.domains == [1, 2] })
      return drive.sweeps.count
    }
    #expect((3...4).contains(rounds(.success([]))))
    let denied = InetDiagError(.denied, call: "socket", message: "no", remedy: "run as root")
    #expect((29...31).contains(rounds(.failure(denied))))
    #expect((29...31).contains(rounds(.success([]), uri: "qemu+tcp://b/system")))
  }

  @Test("a new connection to another host has the domains looked at at once")
  func connection() {
    var drive = Drive.connected(1)
    drive.advance(4900)
    let before = drive.sweeps.count
    drive.host.jobs[1] = drive.now
    drive.host.connections = .success([.control(1)])
    drive.advance(2000)
    #expect(drive.sweeps.count == before + 1)
    #expect(drive.messages.migrations.first?.phase == .precopy)
  }

  @Test("a domain that hangs is said to once, not looked at again until it answers, and holds up no other")
  func hangs() {
    var drive = Drive.connected(1, 2)
    drive.beginMigration(1)
    drive.beginMigration(2)
    drive.feed(.event(named(1), .iteration))
    drive.feed(.event(named(2), .iteration))
    drive.host.stuck = [1]
    drive.advance(60_000)
    #expect(drive.outstanding.keys.sorted() == [1])
    #expect(drive.looks(at: 1).count <= 3)
    #expect(drive.looks(at: 2).count > 100)
    #expect(drive.warnings.count == 1)
    #expect(drive.warnings.first?.hasPrefix("vm1 does not answer") == true)
    #expect(drive.told.filter { $0 == "up timeout" }.count == 1)
    #expect(drive.opens.count == 1)
    drive.feed(.event(named(1), .iteration))
    #expect(drive.looks(at: 1).count <= 3)
    drive.release(1)
    drive.advance(2000)
    #expect(drive.looks(at: 1).count >= 5)
    #expect(Set(drive.messages.migrations.map(\.id)).count == 2)
    #expect(drive.messages.endings.isEmpty)
  }

  @Test("a round that hangs goes on without the domain that it hangs at")
  func sweepHangs() {
    var drive = Drive.sweeping(1...6, stuckAt: 3)
    drive.advance(1999)
    #expect(drive.sweeps.map(\.domains) == [[1, 2, 3, 4, 5, 6]])
    drive.advance(2)
    #expect(drive.sweeps.map(\.domains).prefix(2) == [[1, 2, 3, 4, 5, 6], [4, 5, 6]])
    #expect(drive.warnings.count == 1)
    drive.advance(30_000)
    #expect(drive.sweeps.dropFirst(2).allSatisfy { $0.domains == [1, 2, 4, 5, 6] })
    drive.release(3)
    drive.advance(10_000)
    #expect(drive.sweeps.last?.domains == [1, 2, 3, 4, 5, 6])
    #expect(drive.told.filter { $0 == "up timeout" }.count == 1)
  }

  @Test("a round that is slow accuses nobody, and goes on; a domain counts as hanging from when it was asked")
  func slowSweep() {
    var drive = Drive.sweeping(1...4, stuckAt: 2)
    drive.advance(1500)
    drive.moveSweep()
    drive.advance(501)
    #expect(drive.sweeps.map(\.domains).prefix(2) == [[1, 2, 3, 4], [3, 4]])
    #expect(drive.warnings.isEmpty)
    drive.advance(1400)
    #expect(drive.warnings.isEmpty)
    drive.advance(200)
    #expect(drive.warnings.map { $0.prefix(19) } == ["vm2 does not answer"])
  }

  @Test("a round of dirty rates that hangs is given up, and what was measured before does not stay")
  func dirtyRatesHang() {
    var drive = Drive.connected(1, 2) { $0.dirtyRate = true }
    drive.host.rates = [1: 1000, 2: 2000]
    drive.advance(11_000)
    #expect(drive.dirtyRounds.count == 1)
    drive.host.areRatesStuck = true
    drive.advance(75_000)
    #expect(drive.dirtyRounds.count == 2 && drive.messages.dirtyRates == [1000, 2000, nil, nil])
    #expect(drive.told.filter { $0 == "up timeout" }.count == 1)
    // The thread that hung comes back.
    drive.feed(.dirtyRatesDone(2, nil))
    drive.host.areRatesStuck = false
    drive.advance(60_000)
    #expect(drive.dirtyRounds.count == 3 && drive.messages.dirtyRates.suffix(2) == [1000, 2000])
  }

  @Test("a round of dirty rates ends with its connection, and accuses nobody")
  func dirtyRatesLost() {
    var drive = Drive.connected(1) { $0.dirtyRate = true }
    drive.host.areRatesStuck = true
    drive.advance(10_500)
    #expect(drive.dirtyRounds.count == 1)
    drive.lose()
    drive.host.areRatesStuck = false
    drive.host.rates = [1: 1000]
    drive.advance(15_000)
    #expect(drive.dirtyRounds.count == 2 && drive.messages.dirtyRates.last == 1000)
    #expect(!drive.told.contains("up timeout"))
  }

  @Test("however many domains hang, the work goes on over the connection that there is")
  func manyHang() {
    var drive = Drive.connected(1, 2, 3, 4)
    for n in 1...4 {
      drive.beginMigration(n)
      drive.feed(.event(named(n), .iteration))
    }
    drive.host.stuck = [1, 2, 3]
    drive.advance(60_000)
    #expect(drive.opens.count == 1 && drive.closes == 0)
    #expect(drive.looks(at: 4).count >= 100 && drive.lists.count >= 25)
    #expect(drive.messages.health.last?.isUp == true)
    for n in 1...3 { drive.release(n) }
    drive.advance(2000)
    #expect((1...4).allSatisfy { n in (drive.looks(at: n).last ?? ms(0)) > drive.now - .milliseconds(501) })
    #expect(Set(drive.messages.migrations.map(\.id)).count == 4 && drive.messages.endings.isEmpty)
  }

  @Test("dirty rates are measured where that is wanted, of domains that rest, and on schedule")
  func dirtyRates() {
    var quiet = Drive.connected(1)
    quiet.advance(200_000)
    #expect(quiet.dirtyRounds.isEmpty)

    var drive = Drive.connected(1, 2, 3) { $0.dirtyRate = true }
    drive.host.rates = [1: 1000, 2: 2000, 3: 3000]
    drive.host.states[3] = .pausedMigration
    drive.hear(3, 2, 1)
    drive.advance(5000)
    drive.beginMigration(2)
    drive.feed(.event(named(2), .iteration))
    drive.advance(10_000)
    #expect(drive.dirtyRounds.map(\.domains) == [[1]])
    #expect(drive.dirtyRounds.first?.at == ms(10_000))
    #expect(drive.messages.rates == [1000])
    drive.advance(120_000)
    #expect(drive.dirtyRounds.map(\.at) == [ms(10_000), ms(70_000), ms(130_000)])
    // One that has begun to migrate meanwhile keeps its own figures.
    let before = drive.messages.rates.count
    drive.feed(.dirtyRate(domainID(2), 7))
    drive.feed(.dirtyRate(domainID(9), 7))
    #expect(drive.messages.rates.count == before)
  }

  @Test("why dirty rates cannot be measured is said once")
  func dirtyRatesFail() {
    var drive = Drive.connected(1) { $0.dirtyRate = true }
    for _ in 0..<3 { drive.feed(.dirtyRatesDone(drive.watch.dirtyRounds, .lockHeld)) }
    #expect(drive.warnings.filter { $0.hasPrefix("dirty rates cannot be measured") }.count == 1)
    #expect(drive.messages.health.last?.isUp == true)
  }
}
