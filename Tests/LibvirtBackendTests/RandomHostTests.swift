import DroverCore
import Testing

@testable import InetDiag
@testable import LibvirtBackend

/// A small generator whose sequences are the same everywhere.
private struct Dice: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

@Suite struct RandomHostTests {
  private static let domains = 1...6

  /// Something happens to the host.
  private static func happen(to drive: inout Drive, _ dice: inout Dice) {
    let n = Int.random(in: domains, using: &dice)
    switch Int.random(in: 0..<24, using: &dice) {
    case 0, 1:
      if drive.host.states[n] != nil, drive.host.jobs[n] == nil { drive.beginMigration(n) }
    case 2: drive.fail(n)
    case 3: if !drive.host.stuck.contains(n) { drive.succeed(n) }
    case 4:
      drive.host.jobs[n] = nil
      if drive.host.states.removeValue(forKey: n) != nil {
        drive.hear(n, 5, .random(in: 0...6, using: &dice))
      }
    case 5:
      // Nobody hears of it.
      drive.host.jobs[n] = nil
      drive.host.states[n] = nil
    case 6:
      if drive.host.states[n] == nil {
        drive.host.states[n] = .running
        drive.hear(n, 2, .random(in: 0...4, using: &dice))
      }
    case 7: drive.host.stuck.insert(n)
    case 8, 9: drive.release(n)
    case 10: drive.releaseSweep()
    case 11: drive.host.isListStuck = true
    case 12: drive.releaseList(Bool.random(using: &dice) ? nil : .lost)
    case 13: drive.lose(Bool.random(using: &dice) ? .byDaemon : .broken("it broke"))
    case 14: drive.host.opening = .fails(.noConnection)
    case 15: drive.host.opening = .hangs
    case 16: recover(&drive)
    case 17: drive.feed(.event(named(n), .iteration))
    case 18: drive.hear(n, .random(in: 0...9, using: &dice), .random(in: 0...9, using: &dice))
    case 19:
      drive.host.answers[n] = [.failure(.lockHeld), .failure(.onlyAtSource), .success(.saving(9))]
        .randomElement(using: &dice)
    case 20: drive.host.answers[n] = nil
    case 21:
      let connections: [TCPConnection] = [
        .control(1), .control(2), .data(3), .data(4, acked: 9000, unacked: 1),
      ]
      drive.host.connections = .success(connections.filter { _ in Bool.random(using: &dice) })
    case 22:
      drive.host.connections = .failure(
        InetDiagError(.unavailable, call: "socket", message: "none left", remedy: "wait"))
    default:
      if drive.host.states[n] != nil {
        let states: [DomainState] = [
          .running, .paused, .pausedMigration, .pausedPostcopy, .pausedPostcopyFailed,
        ]
        drive.host.states[n] = states.randomElement(using: &dice)
      }
    }
  }

  private static func recover(_ drive: inout Drive) {
    // One that hung may do so still, whatever has changed since.
    if case .opening = drive.watch.link {
      drive.host.opening = .letsIn
      drive.feed(.opened(drive.host.facts, conf: drive.host.conf))
    }
    drive.host.opening = .letsIn
  }

  @Test(
    "whatever happens, the watch asks nothing twice, sleeps in between, and ends each migration once",
    arguments: 1...24)
  func invariants(seed: Int) {
    var dice = Dice(state: UInt64(seed))
    var drive = Drive { $0.dirtyRate = seed.isMultiple(of: 2) }
    for n in Self.domains { drive.host.states[n] = .running }
    drive.feed(.tick)
    for _ in 0..<400 {
      Self.happen(to: &drive, &dice)
      // Records an issue where the watch wants to be woken for nothing, or asks what it is still waiting for.
      drive.advance(.random(in: 1...1500, using: &dice))
    }
    check(drive)

    // All is well again, and nothing migrates any more.
    drive.host.answers = [:]
    drive.host.jobs = [:]
    for n in Self.domains { drive.release(n) }
    drive.releaseSweep()
    drive.releaseList()
    Self.recover(&drive)
    drive.host.stuck = []
    drive.host.connections = .success([])
    for n in Self.domains where drive.host.states[n] != nil { drive.host.states[n] = .running }
    drive.advance(60_000)
    check(drive)
    #expect(drive.messages.health.last?.isUp == true)
    #expect(drive.watch.link == .up)
    let began = Set(drive.messages.migrations.map(\.id))
    let ended = Set(drive.messages.endings.map(\.id))
    #expect(began == ended)
    #expect(drive.watch.domains.values.allSatisfy { !$0.isBusy })
    // What is shown is what runs.
    var shown: Set<String> = []
    for message in drive.messages {
      switch message {
      case .vm(let vm): shown.insert(vm.key.text)
      case .vmGone(let key): shown.remove(key.text)
      default: break
      }
    }
    #expect(shown == Set(drive.host.states.keys.map { domainID($0) }))
  }

  private func check(_ drive: Drive) {
    var ended: Set<MigrationID> = []
    for told in drive.messages.migrations {
      if ended.contains(told.id) { Issue.record("\(told.id) is told of after its end: \(told.phase)") }
      if told.ending != nil { ended.insert(told.id) }
    }
    // A host that changes its mind some hundred times a minute has no more lines than that.
    #expect(drive.logs.count < 2000)
  }
}
