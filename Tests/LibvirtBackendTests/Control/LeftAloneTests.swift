import DroverCore
import Testing

@testable import LibvirtBackend

@Suite("A domain that something is sent to") struct LeftAloneTests {
  @Test("it is not asked while that is under way, others are; then it is looked at at once")
  func pause() {
    var drive = Drive.connected(1, 2)
    for n in 1...2 {
      drive.beginMigration(n)
      drive.feed(.event(named(n), .iteration))
    }
    drive.advance(2000)
    let before = drive.looks(at: 1).count
    drive.feed(.leaveAlone(domainID(1), until: drive.now + .seconds(60)))
    drive.feed(.event(named(1), .iteration))
    drive.advance(5000)
    #expect(drive.looks(at: 1).count == before)
    #expect(drive.looks(at: 2).count >= 12)
    drive.feed(.lookAgain(domainID(1)))
    #expect(drive.looks(at: 1).count == before + 1)
    drive.advance(5000)
    #expect(drive.looks(at: 1).count >= before + 10)
  }

  @Test("one at rest is left out of the rounds over the domains and of dirty rates")
  func rest() {
    var drive = Drive(uri: "qemu+tcp://b/system")
    drive.host.states = [1: .running, 2: .running]
    drive.feed(.tick)
    drive.advance(100)
    let rounds = drive.sweeps.count
    drive.feed(.leaveAlone(domainID(1), until: drive.now + .seconds(60)))
    drive.advance(10_000)
    #expect(drive.sweeps.count > rounds)
    #expect(drive.sweeps.dropFirst(rounds).allSatisfy { $0.domains == [2] })

    var measured = Drive.connected(1, 2) { $0.dirtyRate = true }
    measured.feed(.leaveAlone(domainID(1), until: measured.now + .seconds(60)))
    measured.advance(15_000)
    #expect(measured.dirtyRounds.map(\.domains) == [[2]])
  }

  @Test("where nobody says that it is over, it is after its time")
  func forgotten() {
    var drive = Drive.connected(1)
    drive.beginMigration(1)
    drive.feed(.event(named(), .iteration))
    drive.advance(1000)
    let before = drive.looks(at: 1).count
    drive.feed(.leaveAlone(domainID(1), until: drive.now + .seconds(15)))
    drive.advance(14_900)
    #expect(drive.looks(at: 1).count == before)
    drive.advance(2000)
    #expect(drive.looks(at: 1).count >= before + 3)
  }

  @Test("the end of one that Drover had started waits for libvirt's word of it, for a second at most")
  func called() {
    for uri in ["qemu:///system", "qemu+tcp://b/system"] {
      for how in ["returned", "hangs", "link lost"] {
        var drive = Drive.connected(1, uri: uri)
        drive.beginMigration(1)
        drive.feed(.called(domainID(1)))
        drive.feed(.event(named(), .iteration))
        drive.advance(2000)
        drive.fail(1)
        drive.advance(700)
        #expect(drive.messages.migrations.last?.ending == nil, "\(uri) \(how)")
        switch how {
        case "returned": drive.feed(.returned(domainID(1)))
        case "hangs": drive.advance(800)
        default:
          drive.feed(.closed(.byDaemon))
          drive.advance(800)
        }
        #expect(drive.messages.migrations.last?.ending?.outcome == .failed, "\(uri) \(how)")
      }
    }
  }

  @Test("a look that is under way is not doubled, and one that nobody knows is not looked at")
  func once() {
    var drive = Drive.connected(1)
    drive.beginMigration(1)
    drive.host.stuck = [1]
    drive.feed(.event(named(), .iteration))
    drive.feed(.lookAgain(domainID(1)))
    drive.feed(.lookAgain(domainID(9)))
    drive.advance(1000)
    #expect(drive.looks.map(\.n) == [1])
  }
}
