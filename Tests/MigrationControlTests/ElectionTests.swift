import DroverCore
import Synchronization
import Testing

@testable import MigrationControl

/// An election that goes as it is told.
private final class Played: ClaimStore {
  struct State {
    var leadership = Leadership(election: BackendName(rawValue: "kube"))
    var book = ClaimBook()
    var error: ControlError?
    /// Done when a claim is written.
    var during: (@Sendable () -> Void)?
  }

  let state = Mutex(State())

  /// Leads until a moment, counted from the start of the clock.
  func lead(for duration: Duration) {
    state.withLock {
      $0.leadership.term = LeaderTerm(
        holder: "drover-0", heldUntil: Moment(milliseconds: 1_000_000) + duration)
    }
  }

  func follow(_ holder: String) { state.withLock { $0.leadership.term = LeaderTerm(holder: holder) } }

  var election: Election {
    Election(standing: { self.state.withLock(\.leadership) }, claims: { self })
  }

  func claims() async throws(ControlError) -> ClaimBook { state.withLock(\.book) }

  func claim(_ claim: AbortClaim) async throws(ControlError) {
    let (error, during) = state.withLock { ($0.error, $0.during) }
    during?()
    if let error { throw error }
    let isNew = state.withLock { $0.book.add(claim) }
    if !isNew { throw .sample(.refused) }
  }

  func share(_ holds: SharedHolds) async throws(ControlError) {
    state.withLock { $0.book.holds.merge(holds) }
  }
}

@Suite("Acting where several Drovers watch the same")
struct ElectionTests {
  @Test("a standby neither ends nor begins anything, and names the leader")
  func standby() async throws {
    let played = Played()
    played.follow("drover-1")
    let scene = try Scene(election: played.election)
    let abort = await scene.control.abort(scene.order())
    #expect(abort.decision.refusal == .notLeader && abort.decision.text.contains("drover-1"))
    let start = await scene.control.migrate(StartOrder(vm: scene.vm), requester: "the test")
    #expect(start.decision.refusal == .notLeader)
    #expect(scene.backend.calls.isEmpty && played.state.withLock(\.book).claims.isEmpty)
  }

  @Test("nobody acts before it is known who leads")
  func unknown() async throws {
    let scene = try Scene(election: Played().election)
    #expect(await scene.control.abort(scene.order()).decision.refusal == .notLeader)
  }

  @Test("a leader claims before it sends")
  func claims() async throws {
    let played = Played()
    played.lead(for: .seconds(10))
    let scene = try Scene(election: played.election)
    let backend = scene.backend
    let calls = Mutex<[String]>([])
    played.state.withLock { state in state.during = { calls.withLock { $0 = backend.calls } } }
    let answer = await scene.control.abort(scene.order(trigger: .alert))
    #expect(answer.decision.result == nil && scene.backend.calls.last == "abort \(scene.id)")
    #expect(calls.withLock(\.self) == ["live"])
    let claim = try #require(played.state.withLock(\.book).claims.first)
    #expect(claim.migration == scene.id && claim.trigger == .alert && claim.vm == scene.vm)
  }

  @Test("what cannot be claimed is not sent")
  func refused() async throws {
    let played = Played()
    played.lead(for: .seconds(10))
    played.state.withLock { $0.error = .sample(.unreachable) }
    let scene = try Scene(election: played.election)
    let answer = await scene.control.abort(scene.order())
    #expect(answer.decision.result == .error && answer.decision.resultText.contains("could not be claimed"))
    #expect(scene.backend.calls == ["live"])
  }

  @Test("what an earlier leader claimed for an alert is not done again for one")
  func again() async throws {
    let played = Played()
    played.lead(for: .seconds(10))
    let scene = try Scene(election: played.election)
    let earlier = AbortClaim(migration: scene.id, vm: scene.vm, trigger: .progressTimeout, claimedAt: 1)
    _ = played.state.withLock { $0.book.add(earlier) }
    #expect(await scene.control.abort(scene.order(trigger: .alert)).decision.result == .error)
    #expect(scene.backend.calls == ["live"])
  }

  @Test("what was claimed and surely not sent may be claimed again by the same process, and by no other")
  func repeated() async throws {
    let played = Played()
    played.lead(for: .seconds(10))
    let scene = try Scene(election: played.election)
    scene.backend.state.withLock { $0.abortError = .sample(.unreachable) }
    let first = await scene.control.abort(scene.order(trigger: .alert))
    #expect(first.unsent?.reason == .unreadable)
    let other = try Scene(election: played.election)
    #expect(await other.control.abort(other.order(trigger: .alert)).unsent?.reason == .claimed)
    #expect(!other.backend.calls.contains { $0.hasPrefix("abort") })
    scene.backend.state.withLock { $0.abortError = nil }
    let second = await scene.control.abort(scene.order(trigger: .alert))
    #expect(second.unsent == nil && second.decision.result == nil)
    // From then on it was sent.
    let third = await scene.control.abort(scene.order(trigger: .alert))
    #expect(third.unsent?.reason == .claimed)
  }

  @Test("whoever becomes the leader again is in another term")
  func terms() {
    var standing = Leadership(election: BackendName(rawValue: "kube"))
    let held = LeaderTerm(holder: "a", heldUntil: Moment(milliseconds: 100))
    standing.take(held, at: Moment(milliseconds: 0))
    standing.take(LeaderTerm(holder: "a", heldUntil: Moment(milliseconds: 200)), at: Moment(milliseconds: 50))
    #expect(standing.number == 1)
    // The term ran out unseen.
    standing.take(
      LeaderTerm(holder: "a", heldUntil: Moment(milliseconds: 400)), at: Moment(milliseconds: 300))
    #expect(standing.number == 2)
    standing.endTerm()
    #expect(!standing.isLeader(at: Moment(milliseconds: 300)))
    standing.elect(by: BackendName(rawValue: "other"))
    standing.take(
      LeaderTerm(holder: "a", heldUntil: Moment(milliseconds: 500)), at: Moment(milliseconds: 300))
    #expect(standing.number == 3)
  }

  @Test("a leader that was stopped while it claimed sends nothing once its term is over")
  func frozen() async throws {
    let played = Played()
    played.lead(for: .seconds(10))
    let scene = try Scene(election: played.election)
    let clock = scene.clock
    played.state.withLock { $0.during = { clock.advance(.seconds(10)) } }
    let answer = await scene.control.abort(scene.order(trigger: .alert))
    #expect(answer.decision.result == .error && answer.decision.resultText.contains("does not lead"))
    #expect(scene.backend.calls == ["live", "live"])
  }
}
