internal import DroverCore

/// How one socket does.
struct SocketHealth: Sendable {
  /// When the socket was first seen.
  let since: Moment
  /// When the last whole answer came.
  private(set) var lastSuccess: Moment?
  /// What is wrong now.
  private(set) var error: QMPErrorKind?
  /// The same in words, with where.
  private(set) var problem: String?
  /// Whether the first attempt has ended, well or not.
  private(set) var wasTried = false
  /// A file that a QEMU has left behind; not counted as present.
  private(set) var isStale = false
  /// QEMU's version; empty before its first greeting.
  var version = ""

  init(since: Moment) { self.since = since }

  var isBad: Bool { error != nil }

  /// What turns the back end's health at once where it changes.
  var state: State { State(isBad: isBad, wasTried: wasTried, isStale: isStale) }

  /// Whether QEMU lists what blocks a migration: since version 6.
  var tellsBlockers: Bool {
    guard let major = version.split(separator: ".").first.flatMap({ Int($0) }) else { return false }
    return major >= 6
  }

  struct State: Equatable {
    let isBad, wasTried, isStale: Bool
  }

  func answered(since moment: Moment) -> Bool { lastSuccess.map { $0 >= moment } ?? false }

  mutating func answered(at now: Moment) {
    lastSuccess = now
    error = nil
    problem = nil
    wasTried = true
    isStale = false
  }

  mutating func failed(_ kind: QMPErrorKind, _ problem: String) {
    error = kind
    self.problem = problem
    wasTried = true
    isStale = false
  }

  mutating func stale() {
    error = nil
    problem = nil
    wasTried = true
    isStale = true
  }
}

/// The health of a whole back end: told when it turns, for each error, and else once a second.
struct HealthBoard {
  private let backend: BackendName
  private var isUp: Bool?
  private var toldAt: Moment?
  private var errors: [QMPErrorKind] = []
  private var collectDuration: Duration?

  init(backend: BackendName) { self.backend = backend }

  /// When something is to be told; nil where nothing waits.
  var nextDeadline: Moment? { toldAt.map { $0 + .seconds(1) } }

  mutating func failed(_ kind: QMPErrorKind) { errors.append(kind) }

  mutating func polled(_ took: Duration) { collectDuration = took }

  /// What is to be told now; nothing before each socket's first attempt has ended.
  mutating func due(_ sockets: some Sequence<SocketHealth>, scannedAt: Moment, at now: Moment)
    -> [BackendHealth]
  {
    var health = BackendHealth(backend: backend, isUp: true, lastSuccess: nil)
    var versions: Set<String> = []
    var oldest: Moment?
    var hasAnswer = false
    var isEmpty = true
    var problems: [String] = []
    for socket in sockets where !socket.isStale {
      guard socket.wasTried else {
        if isUp == nil { return [] }
        continue
      }
      isEmpty = false
      if socket.isBad { health.isUp = false }
      if let problem = socket.problem { problems.append(problem) }
      if !socket.version.isEmpty { versions.insert(socket.version) }
      if socket.lastSuccess != nil { hasAnswer = true }
      let success = socket.lastSuccess ?? socket.since
      oldest = min(oldest ?? success, success)
    }
    guard isUp != health.isUp || toldAt.map({ now - $0 >= .seconds(1) }) ?? true else { return [] }
    isUp = health.isUp
    toldAt = now
    health.lastSuccess = isEmpty ? scannedAt : hasAnswer ? oldest : nil
    health.version = versions.count == 1 ? versions.first ?? "" : ""
    health.collectDuration = collectDuration
    let others = problems.count - 1
    health.problem = problems.min().map { others > 0 ? "\($0) (and \(others) more)" : $0 }
    defer {
      errors = []
      collectDuration = nil
    }
    guard !errors.isEmpty else { return [health] }
    return errors.map { kind in
      var one = health
      one.errorKind = kind.rawValue
      return one
    }
  }
}
