/// What a reflector does next, and when.
struct ReflectorPlan: Hashable, Sendable {
  enum Stage { case list, watch }

  /// After a failure.
  struct Pause: Hashable {
    let length: Duration
    /// Whether it is worth telling; a version that is too old is the course of things.
    let isTold: Bool
  }

  /// A kind of object that is not there, or not for us, is asked for at this interval.
  static let absence = Duration.seconds(60)
  /// A watch that lasted as long, in seconds, was a success however it ended.
  static let longWatch = 30.0
  /// One that ended sooner is not begun again at once.
  static let shortWatch = 5.0

  /// Where to go on watching; nil: a list comes first.
  private(set) var version: String?
  /// What lists ask for: whatever the server has at hand, until that turned out to be too old.
  private(set) var listVersion: String? = "0"
  /// Whether lists come in pages, until one did not last for all of them.
  private(set) var isPaged = true
  /// Whether no list was complete yet.
  private(set) var isFirst = true
  private var backoff = Backoff()
  /// Whether nothing but a version that was too old came of the last watch.
  private var wasTooOld = false

  /// A list is complete.
  mutating func listed(version: String) {
    self.version = version
    listVersion = nil
    isPaged = true
    isFirst = false
  }

  /// The watch told something; an empty version is none.
  mutating func saw(version: String) {
    if !version.isEmpty { self.version = version }
    succeeded()
  }

  /// The watch came to its end in good order, after `seconds`.
  ///
  /// - Returns: How long to wait before the next, where that is advisable.
  mutating func watchEnded(after seconds: Double, random: Double) -> Duration? {
    guard (0..<Self.shortWatch).contains(seconds) else {
      succeeded()
      return nil
    }
    return backoff.next(random: random)
  }

  /// A list or watch failed, the latter `seconds` after it was answered.
  mutating func failed(
    _ error: KubernetesError, in stage: Stage, after seconds: Double = 0, random: Double
  ) -> Pause {
    if seconds >= Self.longWatch { succeeded() }
    let length = backoff.next(random: random)
    switch error.kind {
    case .gone:
      startOver()
      if stage == .list { isPaged = false }
      defer { wasTooOld = true }
      return wasTooOld ? Pause(length: length, isTold: true) : Pause(length: .zero, isTold: false)
    case .notFound:
      startOver()
      return Pause(length: Self.absence, isTold: true)
    case .forbidden: return Pause(length: Self.absence, isTold: true)
    case .malformed: startOver()
    default:
      // The server may have refused because of the version, as after it was restored from a backup; but not a proxy
      // in its place.
      if stage == .watch, case .status(let status) = error, !status.reason.isEmpty,
        ![401, 429, 503].contains(status.code)
      {
        startOver()
      }
    }
    guard case .status(let status) = error, let seconds = status.retryAfterSeconds else {
      return Pause(length: length, isTold: true)
    }
    return Pause(length: max(length, .seconds(min(seconds, 60))), isTold: true)
  }

  private mutating func succeeded() {
    backoff.reset()
    wasTooOld = false
  }

  /// Begins anew, with a list of what is newest.
  private mutating func startOver() {
    version = nil
    listVersion = nil
  }
}
