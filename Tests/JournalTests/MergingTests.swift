import DroverCore
import Testing

@testable import Journal

@Suite("A migration that is recorded again")
struct MergingTests {
  private func stored(_ migrations: PastMigration...) async throws -> PastMigration? {
    let journal = try Scratch().open()
    for one in migrations { try await journal.upsert(one) }
    return try await journal.history().first
  }

  @Test("keeps what is not told any more, and takes what is new")
  func completion() async throws {
    let running = migration("m") { running in
      running.facts.target = "node-b"
      running.bestRemaining = 100
      running.usedPostcopy = true
      running.progress = ProgressBudget(timeout: .seconds(150))
      running.completion = CompletionBudget(perGiB: .seconds(800), size: .gibibytes(1))
    }
    let over = migration("m", startedAt: 2000, endedAt: 9000, .failed) { over in
      over.facts.origin = .manual
      over.bestRemaining = 300
      over.transferred = 7
    }
    var expected = over
    expected.facts.target = "node-b"
    expected.bestRemaining = 100
    expected.usedPostcopy = true
    expected.progress = running.progress
    expected.completion = running.completion
    #expect(try await stored(running, over) == expected)
  }

  @Test("does not take where the guest ran for where it runs once it is over")
  func guest() async throws {
    let running = migration("m") { $0.guest = .source }
    let over = migration("m", endedAt: 9000, .failed) { $0.guest = .unknown }
    #expect(try await stored(running, over)?.guest == .unknown)
    #expect(try await stored(running, migration("m") { $0.guest = .unknown })?.guest == .source)
    // What is known of that later is.
    let found = migration("m", endedAt: 9000, .failed) { $0.guest = .target }
    #expect(try await stored(running, over, found)?.guest == .target)
  }

  @Test("keeps its first outcome, whatever is told of it after a restart")
  func firstOutcome() async throws {
    let seen = full("m")
    let toldLater = migration("m", vm: seen.vm, startedAt: 5, endedAt: 6, .failed) { later in
      later.cause = .other
      later.text = "another story"
      later.iterations = 1
    }
    #expect(try await stored(seen, toldLater) == seen)
    #expect(try await stored(seen, migration("m", vm: seen.vm)) == seen)
  }

  @Test("is open again where nobody had seen its end")
  func reopened() async throws {
    let lost = migration("m", endedAt: 9000) { $0.text = "its end was not seen" }
    #expect(try await stored(lost, migration("m")) == migration("m"))
    let over = migration("m", endedAt: 9500, .succeeded)
    #expect(try await stored(lost, over)?.outcome == .succeeded)
    #expect(try await stored(lost, over)?.endedAt == 9500)
  }
}
