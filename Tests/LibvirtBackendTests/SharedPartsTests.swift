import DroverCore
import Glibc
import Logging
import Posix
import Synchronization
import Testing

@testable import LibvirtBackend

@Suite struct DomainSweepTests {
  @Test("a round goes through its domains once, in their order")
  func order() {
    let sweep = DomainSweep(["a", "b", "c"])
    #expect((0..<4).map { sweep.next(at: ms($0)) } == ["a", "b", "c", nil])
    #expect(!sweep.isGivenUp)
    let left = sweep.giveUp()
    #expect(left.current == nil && left.rest.isEmpty)
  }

  @Test("what is given up is what hangs and what was not begun, and nothing is begun any more")
  func giveUp() {
    let sweep = DomainSweep(["a", "b", "c", "d"])
    _ = sweep.next(at: ms(0))
    _ = sweep.next(at: ms(7))
    let left = sweep.giveUp()
    #expect(left.current?.uuid == "b" && left.current?.since == ms(7) && left.rest == ["c", "d"])
    #expect(sweep.isGivenUp && !sweep.finish())
    #expect(sweep.next(at: ms(8)) == nil)
    #expect(sweep.giveUp().rest.isEmpty)
  }

  @Test("between a thread that goes round and one that gives up, no domain is lost or asked twice")
  func threads() async {
    let all = (0..<20_000).map(String.init)
    for round in 1...8 {
      let sweep = DomainSweep(all)
      let went = Mutex<[String]>([])
      let notMine = Mutex<[String]>([])
      let isDone = Atomic(false)
      #expect(
        startThread("test-sweep") {
          while let uuid = sweep.next(at: ms(0)) {
            went.withLock { $0.append(uuid) }
            if !sweep.finish() { notMine.withLock { $0.append(uuid) } }
          }
          isDone.store(true, ordering: .releasing)
        })
      while went.withLock({ $0.count }) < round * 500 { await Task.yield() }
      let left = sweep.giveUp()
      while !isDone.load(ordering: .acquiring) { await Task.yield() }
      // The one that it was at when it was given up is the thread's to finish.
      #expect(went.withLock { $0 } + left.rest == all)
      // A domain counts as hanging exactly where the thread is told so, and says when it is back.
      #expect(notMine.withLock { $0 } == left.current.map { [$0.uuid] } ?? [])
    }
  }
}

@Suite struct HostMailboxTests {
  private func number(_ mail: HostMail) -> Int? {
    if case .told(.tick, let number) = mail { number } else { nil }
  }

  @Test("mail is taken at once, in its order, and once")
  func order() throws {
    let mailbox = try #require(HostMailbox())
    for n in 0..<5 { mailbox.put(.told(.tick, by: n)) }
    #expect(mailbox.take(within: nil)?.compactMap(number) == [0, 1, 2, 3, 4])
    #expect(mailbox.take(within: .zero)?.isEmpty == true)
    #expect(mailbox.take(within: .milliseconds(-5))?.isEmpty == true)
    mailbox.put(.told(.tick, by: 6))
    #expect(mailbox.take(within: .seconds(Int64.max))?.count == 1)
  }

  @Test("a stop wakes whoever waits, and goes before mail")
  func stop() throws {
    let mailbox = try #require(HostMailbox())
    #expect(startThread("test-stop") { mailbox.stop() })
    #expect(mailbox.take(within: nil) == nil)
    mailbox.put(.told(.tick, by: 1))
    #expect(mailbox.take(within: nil) == nil)
  }

  @Test("nothing that several threads put is lost or overtaken by what the same thread puts later")
  func threads() throws {
    let mailbox = try #require(HostMailbox())
    let (writers, each) = (4, 5000)
    for writer in 0..<writers {
      #expect(
        startThread("test-mail") { for n in 0..<each { mailbox.put(.told(.tick, by: writer * each + n)) } })
    }
    var taken: [[Int]] = Array(repeating: [], count: writers)
    while taken.joined().count < writers * each {
      let mail = try #require(mailbox.take(within: .seconds(60)))
      for number in mail.compactMap(number) { taken[number / each].append(number % each) }
      if mail.isEmpty { break }
    }
    for numbers in taken { #expect(numbers == Array(0..<each)) }
  }

  @Test("a mailbox that is let go gives its descriptor back")
  func descriptors() {
    for _ in 0..<5000 { #expect(HostMailbox() != nil) }
  }
}
