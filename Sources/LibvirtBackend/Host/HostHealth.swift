internal import DroverCore

/// How a host does, and what has been said of it already: one line for each outage, however often it is tried.
struct HostHealth: Sendable {
  /// A host that does well is told again so often, for the age of its last answer.
  private static let interval = Duration.seconds(2)

  let backend: BackendName
  private(set) var isUp = false
  var isOpeningLate = false
  private var version = ""
  private var lastSuccess: Moment?
  private var duration: Duration?
  private var pending: [LibvirtErrorKind] = []
  private var hasNews = false
  private var hasAttempted = false
  private var toldAt: Moment?
  private var saidOutage = false
  private var said: Set<String> = []
  private var problem: String?

  init(backend: BackendName) { self.backend = backend }

  mutating func openingBegan() { isOpeningLate = false }

  /// Returns whether that is worth a line.
  mutating func opened(version: String) -> Bool {
    defer { saidOutage = false }
    self.version = version
    isOpeningLate = false
    return saidOutage || !hasAttempted
  }

  /// Returns whether that is worth a line.
  mutating func answered(at now: Moment, took: Duration) -> Bool {
    let isBack = saidOutage
    hasNews = hasNews || !isUp || toldAt.map { now - $0 >= Self.interval } ?? true
    isUp = true
    problem = nil
    hasAttempted = true
    lastSuccess = now
    duration = took
    saidOutage = false
    return isBack
  }

  /// Counts an error; returns whether it is worth a line.
  ///
  /// - Parameters:
  ///   - isHost: Whether the host itself is unwell, or only something on it.
  ///   - what: What a line that is said once only is about, or why the host is unwell.
  mutating func failed(_ kind: LibvirtErrorKind, isHost: Bool = true, what: String) -> Bool {
    count(kind)
    guard isHost else { return said.insert(what).inserted }
    problem = what
    hasAttempted = true
    isUp = false
    defer { saidOutage = true }
    return !saidOutage
  }

  mutating func count(_ kind: LibvirtErrorKind) {
    pending.append(kind)
    hasNews = true
  }

  /// What is to be told now; nil where nothing changed.
  mutating func due(at now: Moment) -> BackendHealth? {
    guard hasNews, hasAttempted else { return nil }
    let kind = pending.isEmpty ? nil : pending.removeFirst()
    hasNews = !pending.isEmpty
    toldAt = now
    return BackendHealth(
      backend: backend, isUp: isUp, lastSuccess: lastSuccess, version: version, collectDuration: duration,
      errorKind: kind?.rawValue, problem: problem)
  }
}
