import DroverCore
import Synchronization
import Testing

@testable import LibvirtBackend

private func vm(_ n: Int = 1) -> VMRef { VMRef(backend: lab, scope: .host("a"), name: "vm\(n)") }

private func shown(_ n: Int = 1, key: String? = nil) -> VMObservation {
  VMObservation(
    key: VMKey(backend: lab, text: key ?? domainID(n)), vm: vm(n), node: "a", blockers: nil)
}

private func migration(_ n: Int = 1, ending: Ending? = nil) -> BackendMessage {
  let domain = DomainKey(backend: lab, socketPath: domainID(n))
  var observation = MigrationObservation(
    id: MigrationID(domain: domain, startedUnixMilliseconds: 1), vm: vm(n), domain: domain, takenAt: ms(0),
    startedAt: ms(0), phase: .precopy, sample: Sample())
  if let ending { observation.end(ending) }
  return .migration(observation)
}

private let fine = Outlook(blockers: [], targets: 2)

@Suite("Where libvirt domains can go, for the metrics")
struct OutlookTests {
  private func obstacle(_ reason: NotMigratableReason, isEnforced: Bool = true) -> Eligibility.Obstacle {
    Eligibility.Obstacle(reason, "because", remedy: "mend it", isEnforced: isEnforced)
  }

  @Test("sums up what explain says: unknown is neither possible nor impossible")
  func sums() {
    let here = Eligibility.Target(node: "b", obstacles: [])
    let full = Eligibility.Target(node: "c", obstacles: [obstacle(.noResources)])
    let silent = Eligibility.Target(node: "d", obstacles: [obstacle(.unknown)])
    func outlook(_ obstacles: [Eligibility.Obstacle], _ targets: [Eligibility.Target]) -> Outlook {
      Outlook(Eligibility(vm: vm(), obstacles: obstacles, targets: targets))
    }
    #expect(outlook([], [here, full, silent]) == Outlook(blockers: [], targets: 1))
    #expect(outlook([], [full, silent]) == Outlook(blockers: [.unknown], targets: nil))
    #expect(
      outlook([obstacle(.noTargetNode)], [full]) == Outlook(blockers: [.noTargetNode], targets: 0))
    #expect(
      outlook([obstacle(.hostDevice), obstacle(.hostDevice)], [here])
        == Outlook(blockers: [.hostDevice], targets: 0))
    #expect(
      outlook([obstacle(.hostDevice, isEnforced: false)], [here]) == Outlook(blockers: [], targets: 1))
  }

  @Test("one domain after the other, and again after ten minutes or when something has happened")
  func due() throws {
    var book = OutlookBook()
    #expect(book.next(at: ms(0)) == nil)
    for n in [2, 1] { _ = book.hear(.vm(shown(n)), at: ms(0)) }
    #expect(book.next(at: ms(0)) == vm(1))
    let first = book.take(vm(1), fine, at: ms(10))
    let told = try #require(first)
    #expect(told.blockers == [] && told.targets == 2 && told.key == shown(1).key)
    #expect(book.next(at: ms(20)) == vm(2))
    let second = book.take(vm(2), fine, at: ms(20))
    #expect(second != nil)
    #expect(book.next(at: ms(599_000)) == nil)
    #expect(book.next(at: ms(600_010)) == vm(1))
    // The same again is nothing to tell.
    let same = book.take(vm(1), fine, at: ms(600_010))
    #expect(same == nil)
    // It is shown anew, with what was known; it was begun again, so that it is looked at.
    guard case .vm(let again) = book.hear(.vm(shown(1)), at: ms(600_020)) else { return }
    #expect(again.blockers == [] && again.targets == 2)
    #expect(book.next(at: ms(600_020)) == vm(2) || book.next(at: ms(600_020)) == vm(1))
    // Another domain of that name has nothing of the first.
    guard case .vm(let other) = book.hear(.vm(shown(1, key: "other")), at: ms(600_030)) else { return }
    #expect(other.blockers == nil && other.targets == nil)
  }

  @Test("a domain that migrates is asked nothing, and is looked at when that is over")
  func migrating() {
    var book = OutlookBook()
    _ = book.hear(.vm(shown()), at: ms(0))
    _ = book.take(vm(), fine, at: ms(0))
    _ = book.hear(migration(), at: ms(1))
    #expect(book.next(at: ms(700_000)) == nil)
    let end = Ending(outcome: .failed, cause: .other, certainty: .reported, endedAt: ms(2))
    _ = book.hear(migration(ending: end), at: ms(700_001))
    #expect(book.next(at: ms(700_001)) == vm())
    // Its end is told more than once.
    _ = book.take(vm(), fine, at: ms(700_002))
    _ = book.hear(migration(ending: end), at: ms(700_003))
    #expect(book.next(at: ms(700_003)) == nil)
  }

  @Test("what cannot be found out stays for three attempts, and is not known then")
  func failures() {
    var book = OutlookBook()
    _ = book.hear(.vm(shown()), at: ms(0))
    _ = book.take(vm(), fine, at: ms(0))
    let early = book.take(vm(), nil, at: ms(600_000))
    #expect(early == nil)
    #expect(book.next(at: ms(629_000)) == nil && book.next(at: ms(630_000)) == vm())
    let still = book.take(vm(), nil, at: ms(660_000))
    #expect(still == nil)
    let told = book.take(vm(), nil, at: ms(720_000))
    #expect(told?.blockers == [.unknown] && told?.targets == nil)
    // Peers that say nothing are asked again soon, too.
    _ = book.take(vm(), .unknown, at: ms(800_000))
    #expect(book.next(at: ms(829_000)) == nil && book.next(at: ms(830_000)) == vm())
  }

  @Test("one that has gone is not told of again by a look that comes late")
  func gone() {
    var book = OutlookBook()
    _ = book.hear(.vm(shown()), at: ms(0))
    _ = book.hear(.vmGone(shown().key), at: ms(1))
    let late = book.take(vm(), fine, at: ms(2))
    #expect(late == nil && book.next(at: ms(2)) == nil)
  }

  @Test("the watch passes everything on at once, also while a look hangs, and tells what that finds")
  func watch() async throws {
    let told = Mutex<[BackendMessage]>([])
    let watch = OutlookWatch(Clock()) { message in told.withLock { $0.append(message) } }
    let (gate, open) = AsyncStream<Void>.makeStream()
    let asked = Mutex<[VMRef]>([])
    let task = Task {
      await watch.run(idle: .milliseconds(1)) { vm in
        asked.withLock { $0.append(vm) }
        for await _ in gate {}
        return Eligibility(vm: vm, targets: [Eligibility.Target(node: "b", obstacles: [])])
      }
    }
    watch.hear(.vm(shown(1)))
    while asked.withLock(\.isEmpty) { await Task.yield() }
    watch.hear(.vm(shown(2)))
    #expect(told.withLock(\.count) == 2)
    open.finish()
    func targets() -> [UInt64?] {
      told.withLock { all in all.map { if case .vm(let vm) = $0 { vm.targets } else { nil } } }
    }
    while targets().count < 4 { await Task.yield() }
    task.cancel()
    await task.value
    #expect(targets() == [nil, nil, 1, 1] && asked.withLock(\.self) == [vm(1), vm(2)])
  }
}
