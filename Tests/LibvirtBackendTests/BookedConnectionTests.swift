import DroverCore
import InetDiag
import Testing

@testable import LibvirtBackend

private func booked(_ connection: TCPConnection, _ kind: BookedConnection.Kind, at: Int64 = 0)
  -> BookedConnection
{
  var entry = BookedConnection(connection: connection, kind: kind, appearedAt: ms(at), seenAt: ms(at))
  entry.see(connection, at: ms(at))
  return entry
}

@Suite struct BookedConnectionTests {
  @Test(
    "how a connection ended shows in the state that it is left in",
    arguments: [
      (.established, nil), (.synSent, nil), (.finWait1, .closedHere), (.finWait2, .closedHere),
      (.timeWait, .closedHere), (.closing, .closedHere), (.closeWait, .endedByPeer), (.lastAck, .endedByPeer),
      (.closed, .endedByPeer),
    ] as [(TCPConnection.State, EndEvidence.Fate?)])
  func fates(state: TCPConnection.State, fate: EndEvidence.Fate?) {
    var entry = booked(.data(1, queue: 700), .data)
    entry.see(.data(1, state: state), at: ms(20))
    #expect(entry.end?.fate == fate)
    #expect(entry.end?.at == fate.map { _ in ms(20) })
    // The figures of the time when it was alive stand.
    if fate != nil { #expect(entry.connection.sendQueue == 700) }
  }

  @Test("a connection without a trace was reset, and an end stands")
  func ends() {
    var entry = booked(.data(1), .data)
    entry.miss(at: ms(20))
    #expect(entry.end?.fate == .endedByPeer)
    entry.see(.data(1, state: .timeWait), at: ms(40))
    entry.see(.data(1), at: ms(60))
    entry.miss(at: ms(80))
    #expect(entry.end?.fate == .endedByPeer)
    #expect(entry.end?.at == ms(20))
    #expect(entry.lastSeenAlive == ms(20))

    var kept = booked(.data(1), .data)
    kept.see(.data(1, state: .timeWait), at: ms(20))
    kept.miss(at: ms(60_020))
    #expect(kept.end?.fate == .closedHere)
  }

  @Test("control is heard by what it receives, data by what is acknowledged")
  func clocks() {
    var control = TCPConnection.control(1, heard: 700)
    control.lastAckReceived = .milliseconds(5)
    #expect(booked(control, .control, at: 1000).lastHeard == ms(300))
    var data = TCPConnection.data(1, acked: 30)
    data.lastDataReceived = .seconds(40)
    #expect(booked(data, .data, at: 1000).lastHeard == ms(970))
    #expect(booked(.data(1, acked: nil), .data).lastHeard == nil)
    #expect(booked(.data(1, acked: nil), .data).silence == nil)
  }

  @Test("the kernel's ticks do not move the moment when a silent peer was last heard")
  func jitter() {
    var entry = booked(.control(1, heard: 0), .control)
    for (at, silence) in [(500, 503), (1000, 996), (1500, 1552), (2000, 1948)] as [(Int64, Int64)] {
      entry.see(.control(1, heard: silence), at: ms(at))
      #expect(entry.lastHeard == ms(0))
    }
    #expect(entry.silence == .milliseconds(2000))
    // A slow drift is not followed step by step either: each is compared with the moment that is held.
    entry.see(.control(1, heard: 2440), at: ms(2500))
    #expect(entry.lastHeard == ms(60))
    entry.see(.control(1, heard: 10), at: ms(3000))
    #expect(entry.lastHeard == ms(2990))
  }

  @Test("the silence at an end counts up to the end")
  func silence() {
    var entry = booked(.control(1, heard: 0), .control)
    entry.see(.control(1, heard: 29_500), at: ms(29_500))
    entry.see(TCPConnection.control(1).kept(.finWait1), at: ms(30_010))
    #expect(entry.silence == .milliseconds(30_010))
  }

  @Test("silence means something while the peer owes an acknowledgement")
  func awaited() {
    func isAwaited(_ change: (inout TCPConnection) -> Void) -> Bool {
      var connection = TCPConnection.data(1)
      change(&connection)
      return booked(connection, .data).isAwaited
    }
    #expect(!isAwaited { _ in })
    #expect(isAwaited { $0.unackedSegments = 1 })
    #expect(!isAwaited { $0.unackedSegments = nil })
    // The peer's window is full, or this host drops what it sends.
    #expect(isAwaited { $0.timer = .zeroWindowProbe })
    #expect(
      isAwaited {
        $0.sendQueue = 3_600_000
        $0.attempts = 1
      })
    #expect(!isAwaited { $0.sendQueue = 3_600_000 })
    #expect(!isAwaited { $0.attempts = 1 })
    #expect(!isAwaited { $0.timer = .keepalive })
    #expect(!isAwaited { $0.timer = .retransmit })
  }

  @Test("several connections come to one: heard last, any awaited, sums of what they owe")
  func health() {
    var silent = TCPConnection.data(1, acked: 9000, unacked: 2, queue: 1000)
    silent.retransmits = 3
    var quick = TCPConnection.data(2, acked: 10, queue: 24)
    quick.retransmits = 4
    let health = BookedConnection.health(of: [booked(silent, .data), booked(quick, .data)])
    #expect(health == ConnectionHealth(lastHeard: ms(-10), isAwaited: true, unacked: 1024, retransmits: 7))
    #expect(BookedConnection.health(of: []) == nil)
    #expect(BookedConnection.health(of: [booked(.data(1, acked: nil), .data)]) == nil)
  }

  @Test("figures that an old kernel does not have are absent, and huge ones overflow nothing")
  func oldKernel() {
    var old = TCPConnection.data(1)
    old.notSent = nil
    old.retransmits = nil
    let health = BookedConnection.health(of: [booked(old, .data)])
    #expect(health?.unacked == nil && health?.retransmits == nil)
    var huge = TCPConnection.data(2, queue: Bytes(.max))
    huge.retransmits = .max
    #expect(
      BookedConnection.health(of: [booked(huge, .data), booked(huge, .data)])?.unacked == Bytes(.max))
  }
}

@Suite struct PolledConnectionTests {
  private func running() -> ConnectionBook {
    var book = openedBook()
    book.look(
      500, [.control(1), .data(2, queue: 1000)], of: [migration(startedAt: 0)], daemon: [1001],
      domains: [1: [1002]])
    return book
  }

  @Test("polls tell which of a migration's connections ended first")
  func order() {
    var aborted = running()
    #expect(Set(aborted.polled.map(\.cookie)) == [1, 2])
    let atOnce = aborted.take(polled: [1: .control(1), 2: TCPConnection.data(2).kept()], at: ms(1000))
    #expect(atOnce == [domainID()])
    #expect(aborted.polled.map(\.cookie) == [1])
    _ = aborted.take(polled: [1: nil], at: ms(1200))
    #expect(aborted.evidence().dataEndedFirst == true)
    #expect(aborted.evidence().data == .closedHere)
    #expect(aborted.evidence().control == .endedByPeer)
    #expect(aborted.evidence().dataQueue == 1000)

    var killed = running()
    let early = killed.take(polled: [1: nil, 2: .data(2)], at: ms(1000))
    #expect(early.isEmpty)
    _ = killed.take(polled: [2: TCPConnection.data(2).kept()], at: ms(1020))
    #expect(killed.evidence().dataEndedFirst == false)

    var together = running()
    _ = together.take(polled: [1: nil, 2: TCPConnection.data(2).kept()], at: ms(1000))
    #expect(together.evidence().dataEndedFirst == nil)
  }

  @Test("of two that ended between two looks the kernel tells which was first")
  func told() {
    func evidence(_ ended: [UInt64], later: [UInt64] = []) -> Bool? {
      var book = running()
      _ = book.take(polled: [1: nil, 2: TCPConnection.data(2).kept()], ended: ended, at: ms(1000))
      book.take(ended: later)
      return book.evidence().dataEndedFirst
    }
    // There are other connections on the host.
    #expect(evidence([7, 2, 8, 1]) == true)
    #expect(evidence([1, 2]) == false)
    #expect(evidence([2], later: [1]) == true)
    #expect(evidence([1], later: [9, 2]) == false)
    // Half of it says nothing.
    #expect(evidence([1]) == nil && evidence([2]) == nil)

    // One that still sends is given up later than it ended.
    var sending = running()
    _ = sending.take(
      polled: [1: nil, 2: TCPConnection.data(2).kept(.finWait1)], ended: [1, 2], at: ms(1000))
    #expect(sending.evidence().dataEndedFirst == nil)

    // A disk's connection, too, has to be on the same side.
    func withDisk(_ ended: [UInt64]) -> Bool? {
      var book = openedBook()
      book.look(
        500, [.control(1), .data(2), .data(3)], of: [migration(startedAt: 0)], daemon: [1001],
        domains: [1: [1002, 1003]])
      let gone = [2, 3].map { ($0, TCPConnection.data($0).kept()) }
      _ = book.take(polled: [1: nil].merging(gone) { $1 }, ended: ended, at: ms(1000))
      return book.evidence().dataEndedFirst
    }
    #expect(withDisk([3, 2, 1]) == true && withDisk([1, 2, 3]) == false && withDisk([2, 1, 3]) == nil)

    // What looks show goes before: a connection that waits for the peer's last word is told of late.
    var slow = running()
    _ = slow.take(polled: [1: .control(1), 2: TCPConnection.data(2).kept(.finWait1)], at: ms(1000))
    _ = slow.take(polled: [1: nil], ended: [1, 2], at: ms(1020))
    #expect(slow.evidence().dataEndedFirst == true)
  }

  @Test("an end is told once, and polls that nobody asked for are nothing")
  func once() {
    var book = running()
    let told = [book.take(polled: [2: nil], at: ms(1000)), book.take(polled: [2: nil], at: ms(1020))]
    #expect(told == [[domainID()], []])
    let unknown = book.take(polled: [77: nil, 78: .data(78)], at: ms(1040))
    #expect(unknown.isEmpty)
  }

  @Test("connections of no migration are not polled")
  func unowned() {
    var book = openedBook()
    book.look(500, [.control(1), .data(2)], of: [])
    #expect(book.polled.isEmpty)
  }
}
