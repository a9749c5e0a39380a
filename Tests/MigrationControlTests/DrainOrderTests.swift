import DroverCore
import Synchronization
import Testing

@testable import MigrationControl

@Suite("Drains: what comes late, at the same time, or to another Drover")
struct DrainOrderTests {
  @Test("nothing is done for one that is not stored yet")
  func held() async throws {
    let scene = DrainScene("g1")
    let (gate, open) = AsyncStream<Void>.makeStream()
    scene.store.state.withLock { $0.gate = { for await _ in gate { return } } }
    async let answer = scene.begin()
    while scene.store.state.withLock(\.asked) == 0 { await Task.yield() }
    scene.clock.advance(.seconds(2))
    scene.fleet.setUp(true)
    #expect(scene.drains.turn().isEmpty)
    open.finish()
    #expect(await answer.isNew)
    await scene.settle()
    #expect(scene.starts == ["start g1 -"])
  }

  @Test("a node is given free only after what closes it at that moment")
  func cordonUnderWay() async throws {
    let scene = DrainScene("g1")
    let (gate, open) = AsyncStream<Void>.makeStream()
    scene.host.state.withLock { state in
      state.isCordoned = false
      state.cordonGate = { for await _ in gate { return } }
    }
    await scene.begin()
    let work = scene.drains.turn()
    while scene.host.calls.isEmpty { await Task.yield() }
    async let answer = scene.drains.end(scene.node, requester: "uid 0", uncordons: true)
    // It is stored as ended before the node is opened.
    while scene.store.last?.state != .cancelling { await Task.yield() }
    for _ in 1...100 { await Task.yield() }
    open.finish()
    #expect(await answer.refusals.isEmpty)
    for task in work { await task.value }
    #expect(scene.host.calls == ["cordon true", "cordon false"])
    #expect(scene.host.state.withLock(\.isCordoned) == false)
  }

  @Test("one that is ended while its cordon is being recorded closes nothing")
  func cordonTooLate() async throws {
    let scene = DrainScene("g1")
    scene.host.state.withLock { $0.isCordoned = false }
    await scene.begin()
    // Both the cordon's record and that of the end wait for it.
    let isOpen = Flag()
    scene.journal.state.withLock { $0.gate = { while !isOpen.isSet { await Task.yield() } } }
    let work = scene.drains.turn()
    async let answer = scene.drains.end(scene.node, requester: "uid 0", uncordons: false)
    while scene.drains.status(scene.node)?.record.state == .active { await Task.yield() }
    isOpen.set()
    _ = await answer
    for task in work { await task.value }
    #expect(scene.host.calls.isEmpty && scene.host.state.withLock(\.isCordoned) == false)
  }

  @Test("one that is ended while it is being stored that a migration is asked for asks for none")
  func endedWhileStored() async {
    let scene = DrainScene("g1")
    await scene.begin()
    let (isOpen, asked) = (Flag(), scene.store.state.withLock(\.asked))
    scene.store.state.withLock { $0.gate = { while !isOpen.isSet { await Task.yield() } } }
    scene.clock.advance(.seconds(2))
    scene.fleet.setUp(true)
    let work = scene.drains.turn()
    while scene.store.state.withLock(\.asked) == asked { await Task.yield() }
    async let answer = scene.drains.end(scene.node, requester: "uid 0", uncordons: false)
    while scene.drains.status(scene.node)?.record.state == .active { await Task.yield() }
    isOpen.set()
    _ = await answer
    for task in work { await task.value }
    #expect(scene.starts.isEmpty)
  }

  @Test("two who ask at once begin one")
  func atOnce() async {
    let scene = DrainScene("g1")
    let (isOpen, isSecond) = (Flag(), Flag())
    scene.host.state.withLock { state in
      state.gate = {
        guard !isSecond.isSet else { return }
        isSecond.set()
        while !isOpen.isSet { await Task.yield() }
      }
    }
    async let first = scene.begin()
    while !isSecond.isSet { await Task.yield() }
    #expect(await scene.begin().refusals.map(\.reason) == [.migrating])
    isOpen.set()
    #expect(await first.isNew)
  }

  @Test("a node is closed and opened by the leader only, and only where that is recorded")
  func cordonRefused() async {
    let prod = BackendName(rawValue: "prod")
    let standby = DrainScene(
      "g1", standing: { Leadership(election: prod, term: LeaderTerm(holder: "drover-1")) })
    #expect(await standby.drains.setCordon(standby.node, true, requester: "x")?.reason == .notLeader)
    let blind = DrainScene("g1", hasJournal: false)
    #expect(await blind.drains.setCordon(blind.node, false, requester: "x")?.reason == .journal)
    #expect(standby.host.calls.isEmpty && blind.host.calls.isEmpty)
  }

  @Test("of one that is over it is told what runs there now, and nothing where that cannot be read")
  func looked() async {
    let scene = DrainScene("g1")
    await scene.begin()
    await scene.settle()
    scene.end("g1", .succeeded)
    await scene.settle()
    scene.clock.advance(.seconds(60))
    #expect(await scene.drains.look(scene.node)?.running == 0)
    scene.host.state.withLock { $0.guests = [DrainScene.guest("late")] }
    scene.clock.advance(.seconds(60))
    #expect(await scene.drains.look(scene.node)?.running == 1)
    scene.host.state.withLock { $0.nodeError = .sample(.timeout) }
    scene.clock.advance(.seconds(60))
    let blind = await scene.drains.look(scene.node)
    #expect(blind?.record.state == .complete && blind?.running == nil)
  }

  @Test("is not ended while it is not known what an earlier run left")
  func notLoaded() async {
    let scene = DrainScene("g1")
    await scene.begin()
    let next = DrainControl(scene.control, store: scene.store)
    scene.store.state.withLock { $0.error = JournalError(.full, call: "c", cause: "full", remedy: "r") }
    #expect(
      await next.end(scene.node, requester: "y", uncordons: true).refusals.map(\.reason) == [.journal])
    scene.store.state.withLock { $0.error = nil }
    let answer = await next.end(scene.node, requester: "y", uncordons: false)
    #expect(answer.refusals.isEmpty && answer.status?.record.state == .cancelling)
  }

  @Test("one that another Drover's term interrupts is over, and does not wake up at the next term")
  func overtaken() async {
    let standing = Mutex(Leadership())
    let scene = DrainScene("g1", standing: { standing.withLock(\.self) })
    await scene.begin()
    for task in scene.drains.turn() { await task.value }
    let prod = BackendName(rawValue: "prod")
    standing.withLock { $0 = Leadership(election: prod, term: LeaderTerm(holder: "drover-1")) }
    await scene.settle()
    standing.withLock { $0 = Leadership() }
    await scene.settle()
    #expect(scene.store.last?.state == .incomplete && scene.store.last?.text.contains("drover-1") == true)
    #expect(scene.drains.status(scene.node)?.record.state == .incomplete)
  }

  @Test("one of an earlier run waits for its own term, but not while another leads for long")
  func newcomer() async {
    let prod = BackendName(rawValue: "prod")
    let scene = DrainScene("g1")
    await scene.begin()
    let control = MigrationControl(
      fleet: scene.fleet, journal: scene.journal, clock: scene.clock, log: scene.log,
      longestRecording: .seconds(3),
      election: Election(
        standing: { Leadership(election: prod, term: LeaderTerm(holder: "drover-1")) }, claims: { nil })
    ) { _ in nil }
    let next = DrainControl(control, store: scene.store)
    await next.load()
    await scene.settle(next)
    #expect(next.status(scene.node)?.record.state == .active)
    await scene.settle(next, after: .seconds(61))
    #expect(next.status(scene.node)?.record.state == .incomplete)
  }
}

private final class Flag: Sendable {
  private let state = Mutex(false)
  var isSet: Bool { state.withLock(\.self) }
  func set() { state.withLock { $0 = true } }
}
