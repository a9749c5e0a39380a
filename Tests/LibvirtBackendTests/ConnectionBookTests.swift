import DroverCore
import InetDiag
import Testing

@testable import LibvirtBackend

/// A book that has looked before anything began.
func openedBook() -> ConnectionBook {
  var book = ConnectionBook()
  _ = book.take([], of: [], owners: ConnectionBook.Owners(), at: ms(-10_000))
  return book
}

extension ConnectionBook {
  /// A look at the kernel's connections, with the rights to see who owns them, or without.
  @discardableResult
  mutating func look(
    _ at: Int64, _ connections: [TCPConnection], of migrations: [Migration], daemon: Set<UInt64>? = nil,
    domains: [Int: Set<UInt64>] = [:]
  ) -> Bool {
    var owners = Owners(daemon: daemon)
    for (n, inodes) in domains { owners.domains[domainID(n)] = inodes }
    return take(connections, of: migrations, owners: owners, at: ms(at))
  }

  mutating func take(polled: [UInt64: TCPConnection?], ended: [UInt64] = [], at now: Moment) -> Set<String> {
    take(ConnectionPoll(connections: polled, ended: ended), at: now)
  }

  func sight(_ n: Int = 1) -> Sight { sight(of: domainID(n)) }

  func evidence(_ n: Int = 1) -> EndEvidence { evidence(of: domainID(n), keepalive: KeepaliveSettings()) }
}

@Suite struct ConnectionBookTests {
  @Test("the connections of one migration are its own, with rights and without")
  func one() {
    for hasRights in [true, false] {
      var book = openedBook()
      let hasNew = book.look(
        500, [.control(1, heard: 100), .data(2, acked: 10, unacked: 3, queue: 5000)],
        of: [migration(startedAt: 0)], daemon: hasRights ? [1001] : nil,
        domains: hasRights ? [1: [1002]] : [:])
      #expect(hasNew)
      let sight = book.sight()
      #expect(sight.control == ConnectionHealth(lastHeard: ms(400), isAwaited: false))
      #expect(sight.controlSpread == .zero)
      #expect(
        sight.data == ConnectionHealth(lastHeard: ms(490), isAwaited: true, unacked: 5000, retransmits: 0))
      #expect(sight.sharesWire)
      #expect(sight.hadControl && sight.hadData)
      let again = book.look(1000, [.control(1), .data(2)], of: [migration(startedAt: 0)])
      #expect(!again)
    }
  }

  @Test("where nothing is seen, nothing is told")
  func nothing() {
    var book = openedBook()
    let hasNew = book.look(500, [], of: [migration(startedAt: 0)])
    #expect(!hasNew)
    let sight = book.sight()
    #expect(sight.control == nil && sight.data == nil && !sight.hadControl && !sight.hadData)
    let evidence = book.evidence()
    #expect(evidence.control == nil && evidence.data == nil && evidence.controlSilence == nil)
    #expect(book.polled.isEmpty)
  }

  @Test("a connection that is older than the migration is not its own")
  func older() {
    var book = openedBook()
    book.look(0, [.control(1), .data(2)], of: [])
    book.look(5000, [.control(1), .data(2), .control(3), .data(4)], of: [migration(startedAt: 4000)])
    let sight = book.sight()
    #expect(sight.controlSpread == .zero)
    #expect(Set(book.polled.map(\.cookie)) == [3, 4])
  }

  @Test("a connection that appeared a moment before its job was found is its own")
  func head() {
    var book = openedBook()
    book.look(0, [.control(1)], of: [])
    book.look(500, [.control(1)], of: [migration(startedAt: 900)])
    #expect(book.sight().control != nil)
    var late = openedBook()
    late.look(0, [.control(1)], of: [])
    late.look(500, [.control(1)], of: [migration(startedAt: 1100)])
    #expect(late.sight().control == nil)
  }

  @Test("what was there at the first look may be of any migration")
  func firstLook() {
    var book = ConnectionBook()
    book.look(0, [.control(1), .data(2)], of: [migration(startedAt: -60_000)])
    #expect(book.sight().control != nil && book.sight().data != nil)
  }

  @Test("another program's connection to a daemon is not the daemon's")
  func otherProgram() {
    var book = openedBook()
    // With rights the inode tells.
    book.look(500, [.control(1), .control(9)], of: [migration(startedAt: 0)], daemon: [1001])
    #expect(book.polled.map(\.cookie) == [1])
    // Without, a user who is not root.
    var blind = openedBook()
    blind.look(500, [.control(1), .control(9, uid: 1000)], of: [migration(startedAt: 0)])
    #expect(blind.polled.map(\.cookie) == [1])
    // Where the daemon has none at all, the client makes the migration, and its connection is not watched.
    var client = openedBook()
    client.look(
      500, [.control(9), .data(2)], of: [migration(startedAt: 0)], daemon: [], domains: [1: [1002]])
    #expect(!client.sight().hadControl)
    #expect(client.sight().hadData)
  }

  @Test("another program's connection to a migration's port is not the domain's")
  func otherData() {
    var book = openedBook()
    let connections = [TCPConnection.control(1), .data(2), .data(9, port: 49_160)]
    book.look(500, connections, of: [migration(startedAt: 0)], daemon: [1001], domains: [1: [1002]])
    #expect(Set(book.polled.map(\.cookie)) == [1, 2])
    var blind = openedBook()
    blind.look(500, connections, of: [migration(startedAt: 0)])
    #expect(Set(blind.polled.map(\.cookie)) == [1, 2, 9])
  }

  @Test("a connection that has ended before it was ever seen is of no migration that runs")
  func remains() {
    for state in TCPConnection.State.allCases where state != .established && state != .synSent {
      var book = openedBook()
      let hasNew = book.look(500, [.control(1, state: state)], of: [migration(startedAt: 0)])
      #expect(!hasNew)
      #expect(!book.sight().hadControl)
    }
  }

  @Test("a disk's connection and the memory's together are the migration's data: the one heard last tells")
  func diskAndMemory() {
    var book = openedBook()
    let owners: [Int: Set<UInt64>] = [1: [1002, 1003]]
    book.look(
      500, [.control(1), .data(2, port: 49_153, acked: 10)], of: [migration(startedAt: 0)], daemon: [1001],
      domains: owners)
    #expect(book.sight().data?.lastHeard == ms(490))
    book.look(
      9000,
      [.control(1), .data(2, port: 49_153, acked: 4000, queue: 7), .data(3, acked: 5, unacked: 2, queue: 9)],
      of: [migration(startedAt: 0)], daemon: [1001], domains: owners)
    #expect(book.sight().data?.lastHeard == ms(8995))
    #expect(book.sight().data?.unacked == 16)
    // The disk's connection ends before the migration does, and that is no end.
    book.look(
      9500, [.control(1), .data(3)], of: [migration(startedAt: 0)], daemon: [1001], domains: owners)
    #expect(book.evidence().data == .open)
  }

  @Test("data that goes to another address than control does not share its wire")
  func wires() {
    for (host, shares) in [("10.0.0.2", true), ("10.9.0.2", false)] {
      var book = openedBook()
      book.look(500, [.control(1), .data(2, to: host)], of: [migration(startedAt: 0)])
      #expect(book.sight().sharesWire == shares)
    }
  }

  @Test("what is over is forgotten with its migration")
  func forgotten() {
    var book = openedBook()
    book.look(500, [.control(1), .data(2)], of: [migration(startedAt: 0)])
    book.look(1000, [], of: [migration(startedAt: 0)])
    #expect(book.sight().hadControl)
    book.look(1500, [], of: [])
    #expect(!book.sight().hadControl && !book.sight().hadData)
  }
}

@Suite struct SeveralMigrationsTests {
  private let two = [migration(1, startedAt: 0), migration(2, startedAt: 100)]
  private let domains: [Int: Set<UInt64>] = [1: [1011], 2: [1021]]

  @Test("two that begin together and go to two hosts are told apart by where their data goes")
  func twoHosts() {
    var book = openedBook()
    book.look(
      500,
      [
        .control(1, to: "10.0.0.2", heard: 300), .control(2, to: "10.0.0.3", heard: 100),
        .data(11, to: "10.0.0.2"), .data(21, to: "10.0.0.3"),
      ], of: two, daemon: [1001, 1002], domains: domains)
    #expect(book.sight(1).control?.lastHeard == ms(200))
    #expect(book.sight(2).control?.lastHeard == ms(400))
    #expect(book.sight(1).controlSpread == .zero && book.sight(2).controlSpread == .zero)
  }

  @Test("two that begin together and go to one host share the nearest deadline, with its spread")
  func sameHost() {
    var book = openedBook()
    let data: [TCPConnection] = [.data(11), .data(21)]
    book.look(
      500, [.control(1, heard: 300), .control(2, heard: 100)] + data, of: two, daemon: [1001, 1002],
      domains: domains)
    for n in [1, 2] {
      #expect(book.sight(n).control?.lastHeard == ms(200))
      #expect(book.sight(n).controlSpread == .milliseconds(200))
      #expect(book.evidence(n).control == .open)
    }
    // Their data is told apart by who owns it, even so.
    book.look(
      1000, [.control(1), .control(2), .data(21)], of: two, daemon: [1001, 1002], domains: domains)
    #expect(book.evidence(1).data == .endedByPeer)
    #expect(book.evidence(2).data == .open)
  }

  @Test("one that begins later has the connection that appeared later")
  func later() {
    var book = openedBook()
    book.look(500, [.control(1, heard: 50)], of: [migration(1, startedAt: 0)], daemon: [1001])
    book.look(
      5500, [.control(1, heard: 1000), .control(2, heard: 0)],
      of: [migration(1, startedAt: 0), migration(2, startedAt: 5200)], daemon: [1001, 1002])
    #expect(book.sight(1).control?.lastHeard == ms(4500))
    #expect(book.sight(2).control?.lastHeard == ms(5500))
    #expect(book.sight(1).controlSpread == .zero && book.sight(2).controlSpread == .zero)
  }

  @Test("when one of two ends, what is left is the other's")
  func resolved() {
    var book = openedBook()
    let controls: [TCPConnection] = [.control(1, heard: 300), .control(2, heard: 100)]
    book.look(500, controls + [.data(11), .data(21)], of: two, daemon: [1001, 1002], domains: domains)
    // The first one's connections end, and then its job.
    book.look(
      20_000, [controls[0].kept(.finWait1), .control(2, heard: 4000), .data(21)], of: two, daemon: [1002],
      domains: domains)
    book.look(20_500, [.control(2, heard: 4500), .data(21)], of: [two[1]], daemon: [1002], domains: domains)
    #expect(book.sight(2).control?.lastHeard == ms(16_000))
    #expect(book.sight(2).controlSpread == .zero)
    // Later on the first one's end says nothing of the second's.
    book.look(23_500, [.control(2, heard: 2500), .data(21)], of: [two[1]], daemon: [1002], domains: domains)
    book.look(24_000, [], of: [two[1]], daemon: [], domains: domains)
    #expect(book.evidence(2).control == .endedByPeer)
    #expect(book.evidence(2).controlSilence.map { $0 < .seconds(4) } == true)
  }

  @Test("connections of which nobody knows whose they are say what they agree on, and no more")
  func ambiguousEnd() {
    var book = openedBook()
    let controls: [TCPConnection] = [.control(1), .control(2)]
    let all = controls + [.data(11), .data(21)]
    book.look(500, all, of: two, daemon: [1001, 1002], domains: domains)
    book.look(1000, [controls[0], controls[1].kept(), .data(11), .data(21)], of: two, domains: domains)
    #expect(book.evidence(1).control == nil)
    book.look(
      1020, [controls[0].kept(), controls[1].kept(), .data(11), .data(21)], of: two, domains: domains)
    #expect(book.evidence(1).control == .closedHere)
  }

  @Test(
    "of two that are aborted one after the other, the second is not taken for one whose peer closed first")
  func abortedInTurn() {
    var book = openedBook()
    let controls: [TCPConnection] = [.control(1), .control(2)]
    book.look(500, controls + [.data(11), .data(21)], of: two, daemon: [1001, 1002], domains: domains)
    // The data of each end a moment before its control connection, and nobody looks at all of them meanwhile.
    _ = book.take(polled: [11: TCPConnection.data(11).kept()], at: ms(5000))
    _ = book.take(polled: [1: nil], at: ms(5200))
    #expect(book.evidence(1).dataEndedFirst == true)
    _ = book.take(polled: [21: TCPConnection.data(21).kept()], at: ms(5700))
    _ = book.take(polled: [2: nil], at: ms(5900))
    #expect(book.evidence(2).dataEndedFirst == true)
    #expect(book.evidence(2).data == .closedHere)
  }

  @Test("two that the keepalive ends together both show it, though nobody owns their connections any more")
  func keepalive() {
    var book = openedBook()
    let controls: [TCPConnection] = [.control(1), .control(2)]
    book.look(500, controls + [.data(11), .data(21)], of: two, daemon: [1001, 1002], domains: domains)
    let kept = (controls + [.data(11), .data(21)]).map { $0.kept(.finWait1) }
    book.look(30_500, kept, of: two, daemon: [], domains: [1: [], 2: []])
    for n in [1, 2] {
      #expect(book.evidence(n).control == .closedHere)
      #expect(book.evidence(n).controlSilence == .seconds(30))
      #expect(book.evidence(n).dataEndedFirst == nil)
    }
  }

  @Test("a migration that is tried again at once has nothing of the last one's connections")
  func triedAgain() {
    var book = openedBook()
    let owners: [Int: Set<UInt64>] = [1: [1002, 1004]]
    book.look(
      500, [.control(1, heard: 300), .data(2)], of: [migration(startedAt: 0)], daemon: [1001], domains: owners
    )
    // The wire is cut; both are closed, and the next one begins before anybody has looked.
    book.look(
      30_600, [TCPConnection.control(1).kept(.finWait1), TCPConnection.data(2).kept(.finWait1)],
      of: [migration(startedAt: 0)], daemon: [1001], domains: owners)
    #expect(book.evidence().controlSilence.map { $0 > .seconds(30) } == true)
    book.look(
      31_500, [.control(3, heard: 100), .data(4, acked: 10)], of: [migration(startedAt: 31_000)],
      daemon: [1003], domains: owners)
    #expect(book.sight().control?.lastHeard == ms(31_400))
    #expect(book.sight().data?.lastHeard == ms(31_490))
    #expect(book.evidence().control == .open)
    #expect(book.evidence().controlSilence == .milliseconds(100))
  }
}
