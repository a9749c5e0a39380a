import DroverCore
import Foundation
import Testing

@testable import KubeVirtBackend

@Suite("Who leads, by a Lease")
struct LeaseElectionTests {
  /// A candidate, as a reference: an expectation cannot change a value.
  private final class Candidate {
    var election: LeaseElection
    init(_ identity: String = "a") {
      election = LeaseElection(identity: identity, namespace: "drover", name: "drover")
    }
    var term: LeaderTerm { election.term }
    func take(_ record: LeaseRecord?, at now: Moment, unixMilliseconds: Int64) -> LeaseElection.Wish? {
      election.take(record, at: now, unixMilliseconds: unixMilliseconds)
    }
    func written(_ wish: LeaseElection.Wish, sentAt: Moment) { election.written(wish, sentAt: sentAt) }
    func settle(at now: Moment) { election.settle(at: now) }
    func release(_ record: LeaseRecord?) -> LeaseElection.Wish? {
      election.release(record, unixMilliseconds: 0)
    }
  }

  private let start = Moment(milliseconds: 1_000_000)

  private func election(_ identity: String = "a") -> Candidate { Candidate(identity) }

  private func at(_ seconds: Double) -> Moment { start + .milliseconds(Int64(seconds * 1000)) }

  private func lease(_ holder: String, renewed: String, version: String = "1", duration: Int? = 15)
    -> LeaseRecord
  {
    LeaseRecord(
      metadata: .init(name: "drover", namespace: "drover", resourceVersion: version),
      spec: .init(
        holderIdentity: holder, leaseDurationSeconds: duration, acquireTime: renewed, renewTime: renewed,
        leaseTransitions: 3))
  }

  @Test("where there is no Lease it is made, and this process leads once that is written")
  func makes() throws {
    let election = election()
    let wish = try #require(election.take(nil, at: at(0), unixMilliseconds: 1_764_136_800_042))
    #expect(wish.isNew && wish.record.holder == "a" && wish.record.metadata.resourceVersion == nil)
    #expect(wish.record.spec?.renewTime == "2025-11-26T06:00:00.042000Z")
    #expect(election.term.heldUntil == nil)
    election.written(wish, sentAt: at(0))
    #expect(election.term == LeaderTerm(holder: "a", heldUntil: at(10)))
  }

  @Test("another's Lease is taken only when it was seen unchanged for 15 s by this process's own clock")
  func waits() throws {
    let election = election()
    #expect(election.take(lease("b", renewed: "x"), at: at(0), unixMilliseconds: 0) == nil)
    #expect(election.term == LeaderTerm(holder: "b"))
    #expect(election.take(lease("b", renewed: "x"), at: at(14), unixMilliseconds: 0) == nil)
    // It was renewed, whatever its times say.
    #expect(election.take(lease("b", renewed: "y"), at: at(14.5), unixMilliseconds: 0) == nil)
    #expect(election.take(lease("b", renewed: "y"), at: at(29.4), unixMilliseconds: 0) == nil)
    let wish = try #require(
      election.take(lease("b", renewed: "y", version: "7"), at: at(29.5), unixMilliseconds: 0))
    #expect(wish.record.metadata.resourceVersion == "7" && !wish.isNew)
    #expect(wish.record.spec?.leaseTransitions == 4)
  }

  @Test("a Lease that another holds for longer is waited for that long; a shorter one is not trusted")
  func durations() {
    let patient = election()
    #expect(patient.take(lease("b", renewed: "x", duration: 60), at: at(0), unixMilliseconds: 0) == nil)
    #expect(patient.take(lease("b", renewed: "x", duration: 60), at: at(59), unixMilliseconds: 0) == nil)
    #expect(patient.take(lease("b", renewed: "x", duration: 60), at: at(60), unixMilliseconds: 0) != nil)
    let hasty = election()
    #expect(hasty.take(lease("b", renewed: "x", duration: 1), at: at(0), unixMilliseconds: 0) == nil)
    #expect(hasty.take(lease("b", renewed: "x", duration: 1), at: at(5), unixMilliseconds: 0) == nil)
  }

  @Test("one that was given back is taken at once")
  func released() {
    let election = election()
    #expect(election.take(lease("", renewed: "x", duration: 1), at: at(0), unixMilliseconds: 0) != nil)
  }

  @Test(
    "the leader goes by its last renewal for 10 s, counted from before it was sent; then another is waited for"
  )
  func ends() throws {
    let election = election()
    let first = try #require(election.take(nil, at: at(0), unixMilliseconds: 0))
    election.written(first, sentAt: at(0))
    election.settle(at: at(9.9))
    #expect(election.term.heldUntil == at(10))
    election.settle(at: at(10))
    #expect(election.term == LeaderTerm(holder: ""))
  }

  @Test("whoever finds another in its place leads no more, also within its term")
  func replaced() throws {
    let election = election()
    let first = try #require(election.take(nil, at: at(0), unixMilliseconds: 0))
    election.written(first, sentAt: at(0))
    #expect(election.take(lease("b", renewed: "x"), at: at(2), unixMilliseconds: 0) == nil)
    #expect(election.term == LeaderTerm(holder: "b"))
  }

  @Test("what ends gives the Lease back if it is still its own")
  func gives() throws {
    let election = election()
    let first = try #require(election.take(nil, at: at(0), unixMilliseconds: 0))
    election.written(first, sentAt: at(0))
    let wish = try #require(election.release(lease("a", renewed: "x", version: "9")))
    #expect(wish.record.holder.isEmpty && wish.record.metadata.resourceVersion == "9")
    #expect(election.term.heldUntil == nil)
    #expect(election.release(lease("b", renewed: "x")) == nil)
  }

  @Test("two candidates never lead at the same time, whatever is delayed, lost or frozen", arguments: 0..<300)
  func never(seed: Int) {
    var random = Random(seed: UInt64(seed))
    let candidates = ["a", "b", "c"].map { election($0) }
    var stored: LeaseRecord?
    var version = 0
    // What a candidate has read or is about to write, and when it goes on.
    var wishes: [LeaseElection.Wish?] = [nil, nil, nil]
    var sentAt: [Moment] = Array(repeating: start, count: 3)
    var wakes: [Double] = [0, 0.3, 0.7]
    var now = 0.0
    while now < 300 {
      let next = wakes.indices.min { wakes[$0] < wakes[$1] } ?? 0
      now = wakes[next]
      if let wish = wishes[next] {
        wishes[next] = nil
        let holds = wish.isNew ? stored == nil : wish.record.metadata.resourceVersion == "\(version)"
        if holds {
          version += 1
          stored = wish.record
          stored?.metadata.resourceVersion = "\(version)"
          // The answer may be lost.
          if random.next() % 8 != 0 { candidates[next].written(wish, sentAt: sentAt[next]) }
        }
        wakes[next] = now + 2
      } else {
        wishes[next] = candidates[next].take(stored, at: at(now), unixMilliseconds: Int64(now * 1000))
        sentAt[next] = at(now)
        // Between reading and writing a process may be stopped for long.
        wakes[next] = now + (random.next() % 12 == 0 ? Double(random.next() % 40) : 0.05)
      }
      let leaders = candidates.filter { $0.term.heldUntil.map { at(now) < $0 } ?? false }
      #expect(leaders.count <= 1, "at \(now)")
    }
  }

  private struct Random: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }
    mutating func next() -> UInt64 {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return state
    }
  }
}

@Suite("What Drovers of one election share")
struct ClaimTests {
  /// A book as a reference: an expectation cannot change a value.
  private final class Shelf {
    var book = ClaimBook()
    func add(_ claim: AbortClaim) -> Bool { book.add(claim) }
  }

  private func claim(_ id: String, _ trigger: Trigger = .alert, at: Int64 = 0) throws -> AbortClaim {
    AbortClaim(
      migration: try #require(MigrationID(id)),
      vm: VMRef(backend: BackendName(rawValue: "k"), scope: .namespace("shop"), name: "web"),
      trigger: trigger,
      claimedAt: at)
  }

  @Test("an automatic abort of a migration is claimed once; a person may ask again")
  func once() throws {
    let book = Shelf()
    #expect(try book.add(claim("m-1", .progressTimeout)))
    #expect(try !book.add(claim("m-1", .alert, at: 5)))
    #expect(try book.add(claim("m-1", .person, at: 6)))
    #expect(try book.add(claim("m-2", .alert, at: 7)))
    #expect(book.book.claims.count == 3)
  }

  @Test("claims go after a week, and the oldest of too many")
  func bounded() throws {
    let book = Shelf()
    #expect(try book.add(claim("m-old")))
    let week: Int64 = 7 * 24 * 3_600_000
    #expect(try book.add(claim("m-new", at: week)))
    #expect(book.book.claims.map(\.migration.description) == ["m-old", "m-new"])
    #expect(try book.add(claim("m-newer", at: week + 1)))
    #expect(book.book.claims.map(\.migration.description) == ["m-new", "m-newer"])
    for n in 0..<2500 { _ = try book.add(claim("n-\(n)", at: week + Int64(n))) }
    #expect(book.book.claims.count == 2000 && book.book.claims.last?.migration.description == "n-2499")
  }

  @Test("a job that is found anew is the same for the book; who claimed what was not sent may claim it again")
  func sameJob() throws {
    let book = Shelf()
    #expect(try book.add(claim("d-1700000000000", .progressTimeout)))
    #expect(try !book.add(claim("d-1700000001900", .alert, at: 5)))
    #expect(try book.add(claim("d-1700000002100", .alert, at: 5)))
    var own = try claim("m-1", at: 6)
    own.claimant = "a"
    #expect(book.add(own))
    #expect(!book.add(own))
    own.isRepeat = true
    #expect(book.add(own))
    own.claimant = "b"
    #expect(!book.add(own))
    own.claimant = ""
    #expect(!book.add(own))
    #expect(book.book.claims.count == 3)
  }

  @Test("what is written is read again; a newer form is not taken for an empty one")
  func written() throws {
    var own = try claim("m-2", at: 43)
    own.claimant = "a"
    let book = ClaimBook([try claim("m-1", .progressTimeout, at: 42), own])
    var map = ClaimMap(metadata: .init(name: "drover-claims", namespace: "drover"))
    #expect(map.book == ClaimBook())
    map.data = [ClaimMap.key: try ClaimMap.text(book, "")]
    #expect(map.book == book)
    // An earlier Drover writes no holds.
    map.data = [ClaimMap.key: #"{"version": 1, "claims": []}"#]
    #expect(map.book == ClaimBook())
    map.data = [ClaimMap.key: #"{"version": 1, "claims": [], "holds": {}}"#]
    #expect(map.book == ClaimBook())
    map.data = [ClaimMap.key: #"{"version": 2, "claims": []}"#]
    #expect(map.book == nil)
    map.data = [ClaimMap.key: "{"]
    #expect(map.book == nil)
    for holds in [
      #"{"breaker": {"since": 1, "lastWish": 2, "trigger": "whim"}}"#, #"{"losses": {"a b": 1}}"#,
    ] {
      map.data = [ClaimMap.key: #"{"version": 1, "claims": [], "holds": \#(holds)}"#]
      #expect(map.book == nil, "\(holds)")
    }
  }

  @Test("holds are written beside the claims, and read again")
  func holds() throws {
    var holds = SharedHolds()
    holds.breaker = .init(since: 1, lastWish: 2, trigger: .alert)
    holds.breakerResetAt = 3
    holds.partition = .init(since: 4, quiet: 150_000, names: ["web", "db"])
    holds.partitionEndedAt = 5
    holds.losses = [
      .init(migration: try #require(MigrationID("m-2")), at: 6),
      .init(migration: try #require(MigrationID("m-1")), at: 7),
    ]
    holds.asOf = 8
    var map = ClaimMap(metadata: .init(name: "drover", namespace: "drover"))
    for book in [ClaimBook(holds: holds), ClaimBook([try claim("m-1")], holds: holds)] {
      map.data = [ClaimMap.key: try ClaimMap.text(book, "")]
      #expect(map.book == book)
    }
  }
}
