internal import DroverCore

/// Why a resource cannot be read.
enum ReadFailure: Sendable {
  /// A right is missing.
  case denied
  /// The cluster does not know the kind.
  case absent
  /// Anything that may be over in a moment.
  case passing
}

/// Which resources have been read, and how old what is known of each is.
struct ResourceBook: Sendable {
  private struct State: Sendable {
    var isRead = false
    var isDenied = false
    var isAbsent = false
    var lastSeen: Moment?
    /// Whether it has failed since it was last heard of.
    var isBroken = false
    /// After an outage it is believed from here on: what was missed comes in first.
    var believedFrom: Moment?
    /// When everything that had happened was last known to have been told, and until when that is put off.
    var settledAt: Moment?
    var unsettledUntil: Moment?
  }

  /// A watch may be silent for so long: a server tells a bookmark once a minute, and two of them may get lost.
  static let longestSilence = Duration.seconds(150)
  /// Once a watch is known to be broken, what it told is believed for so long.
  static let longestOutage = Duration.seconds(30)
  /// A watch that goes on after an outage has told all that it missed after so long.
  private static let catchUp = Duration.seconds(5)

  private var states: [ClusterResource: State] = [:]

  mutating func synced(_ resource: ClusterResource, at now: Moment) {
    states[resource] = State(isRead: true, lastSeen: now, settledAt: now)
  }

  /// Takes a sign of life; `isObject` where that is something that has happened, nobody knows when.
  mutating func fresh(_ resource: ClusterResource, isObject: Bool = false, at now: Moment) {
    var state = states[resource] ?? State()
    if state.isBroken { state.unsettledUntil = now + Self.catchUp }
    if !isObject, state.isRead, state.unsettledUntil.map({ now >= $0 }) ?? true {
      state.settledAt = now
      state.unsettledUntil = nil
    }
    let isCatchingUp = state.believedFrom.map { now < $0 } ?? false
    if !isCatchingUp, !isCurrent(resource, at: now) { state.believedFrom = now + Self.catchUp }
    // A kind that was absent is listed anew before it is known again; a right may come back in the middle of a watch.
    state.isDenied = false
    state.isBroken = false
    state.lastSeen = now
    states[resource] = state
  }

  mutating func failed(_ resource: ClusterResource, _ failure: ReadFailure) {
    var state = states[resource] ?? State()
    switch failure {
    case .denied: state.isDenied = true
    case .absent: state.isAbsent = true
    case .passing: state.isBroken = true
    }
    states[resource] = state
  }

  /// Whether a resource has been read at least once.
  func isRead(_ resource: ClusterResource) -> Bool { states[resource]?.isRead ?? false }

  /// Whether a resource cannot be read for want of a right or of the kind itself.
  func isDenied(_ resource: ClusterResource) -> Bool {
    isAbsent(resource) || states[resource]?.isDenied == true
  }

  /// Whether the cluster does not know the kind.
  func isAbsent(_ resource: ClusterResource) -> Bool { states[resource]?.isAbsent ?? false }

  /// Whether what is known of a resource is all that there is, and new enough to act by.
  func isCurrent(_ resource: ClusterResource, at now: Moment) -> Bool {
    guard let state = states[resource], state.isRead, !state.isDenied, !state.isAbsent,
      let lastSeen = state.lastSeen
    else { return false }
    if let believedFrom = state.believedFrom, now < believedFrom { return false }
    return now - lastSeen <= (state.isBroken ? Self.longestOutage : Self.longestSilence)
  }

  /// Whether everything has been read that can be; what only adds to the rest is waited for until it fails.
  var areRead: Bool {
    ClusterResource.essential.allSatisfy { resource in
      let isVital = resource == .vmims || resource == .vmis
      return isRead(resource) || isDenied(resource) || !isVital && states[resource]?.isBroken == true
    }
  }

  /// Up to when everything that happened to the given resources is known to have been told; nil where that is not known.
  func settled(_ resources: [ClusterResource]) -> Moment? {
    let moments = resources.map { states[$0]?.settledAt }
    return moments.contains(nil) ? nil : moments.compactMap(\.self).min()
  }
}
