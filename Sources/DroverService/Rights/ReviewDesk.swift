internal import DroverCore
internal import Synchronization

/// Asks clusters who shows a token: a few at a time, and not twice within a short while.
final class ReviewDesk: Sendable {
  /// What came of asking.
  enum Answer: Hashable, Sendable {
    /// The cluster does not know the token.
    case stranger
    /// Its user's name, and what that user may of what was asked.
    case user(String, Set<Right>)
    /// Too many ask at once.
    case busy
    /// The cluster cannot be asked.
    case failed(String)
  }

  private struct State {
    var book: ReviewBook
    /// What was asked under other rules is not remembered.
    var generation = 0
  }

  private let digest = SecretDigest()
  private let reviewer: @Sendable (BackendName) -> (any AccessReviewer)?
  private let now: @Sendable () -> ContinuousClock.Instant
  private let state: Mutex<State>

  /// - Parameter reviewer: finds the back end that asks a cluster; nil where there is none of that name.
  init(
    now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
    reviewer: @escaping @Sendable (BackendName) -> (any AccessReviewer)?
  ) {
    self.reviewer = reviewer
    self.now = now
    state = Mutex(State(book: ReviewBook(at: now())))
  }

  /// Asks a cluster who shows a token, and which of some rights they have there.
  func ask(_ token: String, _ authority: ClusterAuthority, _ rights: Set<Right>) async -> Answer {
    // What can be no token is not sent anywhere.
    guard (1...TokenFiles.largest).contains(token.utf8.count),
      token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), let digest = digest(Array(token.utf8))
    else { return .stranger }
    let key = ReviewBook.Key(authority: authority, digest: digest)
    let (known, mayAsk, generation) = state.withLock { state in
      let word = state.book.word(key, rights, at: now())
      return (word, word == nil && state.book.begin(at: now()), state.generation)
    }
    if let known { return Answer(known) }
    guard mayAsk else { return .busy }
    defer { state.withLock { $0.book.end() } }
    guard let reviewer = reviewer(authority.backend) else {
      return .failed("access names \(authority.backend.rawValue), and no back end of a cluster is called so")
    }
    do throws(ControlError) {
      let user = try await reviewer.review(
        token, audience: authority.audience, verbs: Set(rights.map(\.rawValue)))
      let word: ReviewBook.Word =
        user.map { user in .user(user.name, rights.filter { user.verbs.contains($0.rawValue) }) }
        ?? .stranger
      state.withLock { state in
        if state.generation == generation { state.book.note(key, word, asked: rights, at: now()) }
      }
      return Answer(word)
    } catch {
      return .failed("\(error)")
    }
  }

  /// Forgets what was said.
  func forget() {
    state.withLock { state in
      state.generation += 1
      state.book.forget()
    }
  }
}

extension ReviewDesk.Answer {
  fileprivate init(_ word: ReviewBook.Word) {
    switch word {
    case .stranger: self = .stranger
    case .user(let name, let rights): self = .user(name, rights)
    }
  }
}
