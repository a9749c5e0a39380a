import Logging
import Synchronization
import Testing

@testable import DroverCore
@testable import MigrationControl

/// What several Drovers of one election share.
private final class Shelf: ClaimStore {
  struct State {
    var book = ClaimBook()
    var error: ControlError?
    var shares = 0
    /// Done when holds are written.
    var during: (@Sendable () -> Void)?
  }

  let state = Mutex(State())

  var holds: SharedHolds { state.withLock(\.book.holds) }

  func claims() async throws(ControlError) -> ClaimBook { state.withLock(\.book) }

  func claim(_ claim: AbortClaim) async throws(ControlError) {
    if !state.withLock({ $0.book.add(claim) }) { throw .sample(.refused) }
  }

  func share(_ holds: SharedHolds) async throws(ControlError) {
    if let error = state.withLock(\.error) { throw error }
    state.withLock { state in
      state.book.holds.merge(holds)
      state.shares += 1
    }
    state.withLock(\.during)?()
  }
}

/// One of several Drovers, each with its own journal and the same migration.
private final class Replica: Sendable {
  let scene: Scene
  let shelf: Shelf
  private let standing = Mutex(Leadership(election: BackendName(rawValue: "rack1")))
  private let made = Mutex<(MigrationControl, AutomaticControl)?>(nil)

  init(_ shelf: Shelf, _ change: (inout AutomaticSettings) -> Void = { _ in }) throws {
    scene = try Scene()
    self.shelf = shelf
    let (backend, log) = (scene.backend, Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let control = MigrationControl(
      fleet: scene.fleet, journal: scene.journal, clock: scene.clock, log: log,
      election: Election(standing: { [self] in standing.withLock(\.self) }, claims: { shelf })
    ) { _ in backend }
    let automatic = AutomaticControl(control, journal: scene.journal, log: log)
    var settings = AutomaticSettings()
    settings.policies = .abort
    settings.limits.aborts = 1
    settings.rules = [PolicyRule(name: "r", wishes: [.completionTimeout: PolicyWish(.abort)])]
    change(&settings)
    automatic.apply(settings)
    made.withLock { $0 = (control, automatic) }
  }

  var automatic: AutomaticControl {
    get throws { try #require(made.withLock { $0?.1 }) }
  }

  func lead() {
    let now = scene.clock.now()
    standing.withLock { $0.take(LeaderTerm(holder: "me", heldUntil: now + .seconds(10)), at: now) }
  }

  func follow() {
    let now = scene.clock.now()
    standing.withLock { $0.take(LeaderTerm(holder: "other"), at: now) }
  }

  /// One turn of its loop.
  func look() async throws {
    let automatic = try automatic
    for decision in await automatic.look() { await automatic.carryOut(decision) }
    if automatic.isSharingDue() { await automatic.share() }
  }

  /// Shows migrations whose budgets of 800 s are used up.
  func tellLate() {
    var late = scene.observation(.precopy)
    late.startedAt = scene.clock.now() - .seconds(801)
    late.facts.size = .gibibytes(1)
    scene.fleet.tell(late)
  }

  var aborts: Int { scene.backend.calls.count { $0.hasPrefix("abort") } }
}

@Suite("Holds of automatic aborts, among several Drovers")
struct HoldSharingTests {
  @Test("whoever takes over holds as the one before, and knows what a person said to another")
  func takeover() async throws {
    let shelf = Shelf()
    let (one, two) = (try Replica(shelf), try Replica(shelf))
    for replica in [one, two] { replica.scene.clock.advance(.seconds(800)) }
    one.lead()
    one.tellLate()
    for _ in 1...2 { try await one.look() }
    #expect(one.aborts == 1 && shelf.holds.breaker?.trigger == .completionTimeout)
    let opened = try #require(one.scene.journal.decisions.last)
    #expect(AutomaticAborts.hold(begunBy: opened) == .breaker && opened.result == nil)
    let written = shelf.state.withLock(\.shares)
    for _ in 1...5 { try await one.look() }
    #expect(shelf.state.withLock(\.shares) == written, "an unchanged state is not written again")

    // Claims are a week old at most, and tell nothing of wishes: what holds is in the book.
    shelf.state.withLock { $0.book = ClaimBook(holds: $0.book.holds) }
    one.follow()
    two.lead()
    try await two.look()
    #expect(try two.automatic.holds == [.breaker])
    two.scene.clock.advance(.seconds(5))
    #expect(try await two.automatic.resetHold(by: "uid 0").ended == [.breaker])
    #expect(shelf.holds.breaker == nil && shelf.holds.breakerResetAt != nil)

    one.scene.clock.advance(.seconds(6))
    two.follow()
    try await one.look()
    one.lead()
    try await one.look()
    #expect(try one.automatic.holds == [])
    let closed = one.scene.journal.decisions.first { $0.id == opened.id }
    #expect(closed?.result == .done && closed?.resultText == "it ended while this Drover did not look")
  }

  @Test("while the next leader cannot be told, nothing is ended, and a person's word does not count")
  func unwritten() async throws {
    let shelf = Shelf()
    let one = try Replica(shelf) { $0.limits.aborts = 2 }
    one.scene.clock.advance(.seconds(800))
    one.lead()
    try await one.look()
    // One migration of another VM has lost its network: nobody knows yet.
    shelf.state.withLock { $0.error = .sample(.unreachable) }
    try one.automatic.state.withLock { state in
      state.sharing.told.losses = [try #require(MigrationID("other")): one.scene.clock.now()]
    }
    one.tellLate()
    try await one.look()
    #expect(one.aborts == 0)
    #expect(one.scene.journal.decisions.map(\.kind) == [.held])
    #expect(one.scene.journal.decisions.first?.refusal == .unreadable)
    // It is tried again, and done once it can be written.
    shelf.state.withLock { $0.error = nil }
    one.scene.clock.advance(.seconds(3))
    one.lead()
    one.tellLate()
    try await one.look()
    #expect(one.aborts == 1)

    let two = try Replica(shelf)
    two.scene.clock.advance(.seconds(803))
    two.lead()
    try await two.look()
    #expect(try two.automatic.holds == [.breaker], "its claim is known")
    shelf.state.withLock { $0.error = .sample(.unreachable) }
    let refused = try await two.automatic.resetHold(by: "uid 0")
    #expect(refused.ended == [] && refused.problem?.reason == .unreadable)
    #expect(try two.automatic.holds == [.breaker])
    #expect(two.scene.journal.decisions.last?.result == .error)
  }

  @Test("a reset that was written too late for the next leader to read is not called done")
  func lateReset() async throws {
    let shelf = Shelf()
    let one = try Replica(shelf)
    one.scene.clock.advance(.seconds(800))
    one.lead()
    one.tellLate()
    for _ in 1...2 { try await one.look() }
    let clock = one.scene.clock
    shelf.state.withLock { $0.during = { clock.advance(.seconds(11)) } }
    let refused = try await one.automatic.resetHold(by: "uid 0")
    #expect(refused.ended == [] && refused.problem?.reason == .notLeader)
  }

  @Test("without an election nothing is written")
  func alone() async throws {
    let scene = try Scene()
    let automatic = AutomaticControl(
      scene.control, journal: scene.journal, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    _ = await automatic.look()
    #expect(!automatic.isSharingDue())
    #expect(await automatic.share() == nil)
  }
}
