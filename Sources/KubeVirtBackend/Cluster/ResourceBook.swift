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
    /// Since when the server says that it does not know the kind, of which it has told objects.
    var isDisownedSince: Moment?
    /// Whether a list is being told that is not whole yet: nothing in it is news of what is not in it.
    var isListing = false
    var lastSeen: Moment?
    /// When it last said that there is nothing more to tell.
    var quietAt: Moment?
    /// After an outage that says so from here on: a watch that goes on is open before it tells what was missed.
    var quietFrom: Moment?
    /// Whether it has failed since it was last heard of.
    var isBroken = false
    /// After an outage it is believed from here on: what was missed comes in first.
    var believedFrom: Moment?
  }

  /// A watch may be silent for so long: a server tells a bookmark once a minute, and two of them may get lost.
  static let longestSilence = Duration.seconds(150)
  /// Once a watch is known to be broken, what it told is believed for so long.
  static let longestOutage = Duration.seconds(30)
  /// A watch that goes on after an outage has told all that it missed after so long.
  private static let catchUp = Duration.seconds(5)
  /// A kind that was there is taken for gone only once the server has not known it for so long: one that starts, or
  /// discovers its kinds anew, says so for a while of what it has.
  private static let longestDisowning = Duration.seconds(600)

  private var states: [ClusterResource: State] = [:]

  mutating func synced(_ resource: ClusterResource, at now: Moment) {
    states[resource] = State(isRead: true, lastSeen: now, quietAt: now)
  }

  /// A list is begun.
  mutating func listing(_ resource: ClusterResource) {
    states[resource, default: State()].isListing = true
  }

  /// A sign of life that holds nothing: everything up to now has been told.
  mutating func fresh(_ resource: ClusterResource, at now: Moment) {
    heard(resource, at: now)
    guard states[resource]?.isListing != true, states[resource]?.quietFrom.map({ now >= $0 }) ?? true else {
      return
    }
    states[resource]?.quietFrom = nil
    states[resource]?.quietAt = now
  }

  /// An object came; others that changed before may follow it.
  mutating func heard(_ resource: ClusterResource, at now: Moment) {
    var state = states[resource] ?? State()
    guard !state.isListing else { return }
    state.isDisownedSince = nil
    if state.isBroken { state.quietFrom = now + Self.catchUp }
    let isCatchingUp = state.believedFrom.map { now < $0 } ?? false
    if !isCatchingUp, !isCurrent(resource, at: now) { state.believedFrom = now + Self.catchUp }
    // A kind that was absent is listed anew before it is known again; a right may come back in the middle of a watch.
    state.isDenied = false
    state.isBroken = false
    state.lastSeen = now
    states[resource] = state
  }

  mutating func failed(_ resource: ClusterResource, _ failure: ReadFailure, at now: Moment) {
    var state = states[resource] ?? State()
    switch failure {
    case .denied: state.isDenied = true
    case .absent:
      let since = state.isDisownedSince ?? now
      state.isDisownedSince = since
      state.isBroken = true
      state.isAbsent = state.isAbsent || !state.isRead || now - since >= Self.longestDisowning
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

  /// Up to when everything of the given resources has been told; nil where one has never been read.
  func oldest(of resources: [ClusterResource]) -> Moment? {
    var oldest: Moment?
    for resource in resources {
      guard let seen = states[resource]?.quietAt, states[resource]?.isRead == true else { return nil }
      oldest = min(oldest ?? seen, seen)
    }
    return oldest
  }
}
