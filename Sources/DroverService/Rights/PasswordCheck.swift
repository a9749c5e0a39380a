internal import Dispatch
internal import Synchronization

/// Tells whether passwords are right; bcrypt takes long, so what was right once is remembered.
final class PasswordCheck: Sendable {
  /// What is known without calculating.
  enum Known: Hashable, Sendable {
    case right
    /// It takes a calculation.
    case unknown
  }

  /// Calculations that may wait; each takes a tenth of a second, and a stranger can ask for any number.
  static let mostWaiting = 16

  private struct State {
    /// The last right password of each user, as a digest that also holds the hash.
    var right: [String: [UInt8]] = [:]
    var waiting = 0
    var done = 0
  }

  private let digest = SecretDigest()
  private let state = Mutex(State())
  /// One at a time, so that strangers take one processor at most.
  private let queue = DispatchQueue(label: "drover.passwords")

  /// Calculations so far.
  var calculations: Int { state.withLock(\.done) }

  /// What is known of a user's password without calculating.
  func known(_ user: String, _ password: String, _ users: [String: BcryptHash]) -> Known {
    guard let shown = fingerprint(user, password, users[user]) else { return .unknown }
    let kept = state.withLock { $0.right[user] }
    return kept.map { isSameInConstantTime($0, shown) } == true ? .right : .unknown
  }

  /// Whether a password is right; it takes as long for a user that does not exist.
  ///
  /// - Returns: Nil where too many ask at once.
  func isRight(_ user: String, _ password: String, _ users: [String: BcryptHash]) async -> Bool? {
    let mayWait = state.withLock { state in
      guard state.waiting < Self.mostWaiting else { return false }
      state.waiting += 1
      return true
    }
    guard mayWait else { return nil }
    return await withCheckedContinuation { continuation in
      queue.async {
        let isRight = self.calculate(user, password, users)
        self.state.withLock { $0.waiting -= 1 }
        continuation.resume(returning: isRight)
      }
    }
  }

  /// The same, on the caller's thread.
  func calculate(_ user: String, _ password: String, _ users: [String: BcryptHash]) -> Bool {
    if known(user, password, users) == .right { return true }
    let hash = users[user]
    let dummy = BcryptHash.dummy(cost: users.values.map(\.cost).max() ?? 10)
    let isRight = (hash ?? dummy)?.isHash(of: password) == true && hash != nil
    let right = isRight ? fingerprint(user, password, hash) : nil
    state.withLock { state in
      state.done += 1
      if let right { state.right[user] = right }
      state.right = state.right.filter { users[$0.key] != nil }
    }
    return isRight
  }

  private func fingerprint(_ user: String, _ password: String, _ hash: BcryptHash?) -> [UInt8]? {
    guard let hash else { return nil }
    return digest(Array(user.utf8), Array(password.utf8), Array(hash.text.utf8))
  }
}
