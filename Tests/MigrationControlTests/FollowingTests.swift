import DroverCore
import Synchronization
import Testing

@testable import MigrationControl

@Suite("What comes up where nothing was followed", .timeLimit(.minutes(2)))
struct FollowingTests {
  /// Runs `body` beside what follows, which has begun.
  private func whileFollowing(_ scene: Scene, _ body: () async throws -> Void) async throws {
    let following = Task { await scene.control.keepFollowing() }
    defer { following.cancel() }
    await eventually { scene.control.withState { $0.wake != nil } }
    try await body()
    following.cancel()
    await following.value
  }

  private func end(_ scene: Scene) async {
    let ending = Ending(outcome: .aborted, certainty: .reported, endedAt: scene.clock.now())
    scene.fleet.tell(scene.observation(.aborted, ending: ending))
    await eventually { scene.journal.decisions.map(\.result) == [.aborted] }
  }

  private func eventually(_ isSo: () -> Bool) async {
    while !isSo(), !Task.isCancelled { try? await Task.sleep(for: .milliseconds(2)) }
  }

  @Test("An abort is followed to its end")
  func abort() async throws {
    let scene = try Scene()
    try await whileFollowing(scene) {
      _ = await scene.control.abort(scene.order())
      await end(scene)
    }
    #expect(scene.control.withState { !$0.hasToLook })
  }

  @Test("So is one from before, whether it was followed then or not", arguments: [false, true])
  func before(isFollowed: Bool) async throws {
    let scene = try Scene()
    if isFollowed { try await whileFollowing(scene) {} }
    _ = await scene.control.abort(scene.order())
    try await whileFollowing(scene) { await end(scene) }
  }

  @Test("A start is named once its migration is seen")
  func start() async throws {
    let scene = try Scene()
    scene.backend.state.withLock { $0.receipt = StartReceipt() }
    await scene.end(.failed, cause: .other)
    scene.clock.advance(.seconds(60))
    try await whileFollowing(scene) {
      _ = await scene.control.migrate(StartOrder(vm: scene.vm), requester: "x")
      var seen = scene.observation(.precopy)
      let new = try #require(MigrationID("6f2d8f0e-0000-4000-8000-000000000001-1700001070000"))
      seen.id = new
      seen.startedAt = scene.clock.now()
      scene.fleet.tell(seen)
      await eventually { scene.journal.decisions.map(\.migration) == [new] }
    }
  }

  @Test("What the journal did not take is told to it again")
  func unrecorded() async throws {
    let scene = try Scene()
    scene.backend.state.withLock { $0.abortError = .sample(.denied) }
    scene.journal.state.withLock { $0.refusedResults = 1 }
    try await whileFollowing(scene) {
      _ = await scene.control.abort(scene.order())
      await eventually { scene.journal.decisions.map(\.result) == [.error] }
    }
    #expect(scene.journal.state.withLock(\.refusedResults) == 0)
  }
}
