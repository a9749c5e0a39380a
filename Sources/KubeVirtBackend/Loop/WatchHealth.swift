internal import DroverCore
internal import Kubernetes

/// One watch: a resource, in one namespace or in all.
struct WatchKey: Hashable, Sendable {
  let resource: ClusterResource
  /// Empty for all namespaces, and for what has none.
  let namespace: String
}

/// How the watches of a cluster do.
///
/// A quiet watch says nothing for minutes, so an open one counts as fresh whenever the API server answers anything.
struct WatchHealth: Sendable {
  private struct State: Sendable {
    var isOpen = false
    var isSynced = false
    var error: KubernetesError.Kind?
    var problem: String?
    var lastSeen: Moment?
  }

  private var states: [WatchKey: State]
  /// Why the server has left the last question unanswered, whatever its open watches say; nil where it has not.
  var silence: String?

  /// Nothing has been read yet.
  init(_ keys: [WatchKey]) { states = Dictionary(uniqueKeysWithValues: keys.map { ($0, State()) }) }

  /// A sign of life; returns whether it is the first after a failure.
  mutating func seen(_ key: WatchKey, at now: Moment) -> Bool {
    let wasFailing = states[key]?.error != nil
    states[key]?.error = nil
    states[key]?.problem = nil
    // A watch that was broken goes on where it was, without another list.
    if states[key]?.isSynced ?? false { states[key]?.isOpen = true }
    states[key]?.lastSeen = now
    return wasFailing
  }

  /// A list is complete; returns whether all of its resource are, in every namespace.
  mutating func synced(_ key: WatchKey, at now: Moment) -> Bool {
    states[key]?.isOpen = true
    states[key]?.isSynced = true
    states[key]?.lastSeen = now
    return states.allSatisfy { $0.key.resource != key.resource || $0.value.isSynced }
  }

  /// A list or a watch failed; returns whether that is news.
  mutating func failed(_ key: WatchKey, _ kind: KubernetesError.Kind, _ problem: String) -> Bool {
    let isNews = states[key]?.error != kind
    states[key]?.error = kind
    states[key]?.problem = problem
    states[key]?.isOpen = false
    return isNews
  }

  /// The server answered something: the watches that are open would have told what there is to tell.
  ///
  /// Returns the resources of which every watch is.
  mutating func answered(at now: Moment) -> [ClusterResource] {
    silence = nil
    for (key, state) in states where state.isOpen && state.error == nil { states[key]?.lastSeen = now }
    return ClusterResource.allCases.filter { resource in
      let watches = states.filter { $0.key.resource == resource }
      return !watches.isEmpty && watches.allSatisfy { $0.value.lastSeen == now }
    }
  }

  private static let vital: Set<ClusterResource> = [.vmims, .vmis]

  /// Whether migrations and VMs are watched.
  var isUp: Bool {
    silence == nil
      && states.allSatisfy {
        !Self.vital.contains($0.key.resource) || ($0.value.isSynced && $0.value.error == nil)
      }
  }

  /// Why that is not so; nil where it is, or its lists are only not complete yet.
  var problem: String? {
    if let silence { return silence }
    let failing = states.filter { Self.vital.contains($0.key.resource) && $0.value.problem != nil }
    return failing.map { key, state in
      let place = key.namespace.isEmpty ? "" : " in \(key.namespace)"
      return "\(key.resource.rawValue)\(place) cannot be watched: \(state.problem ?? "")"
    }.min()
  }

  /// The oldest sign of life of what is vital; nil where there is one without any.
  var lastSuccess: Moment? {
    var oldest: Moment?
    for (key, state) in states where Self.vital.contains(key.resource) {
      guard state.isSynced, let seen = state.lastSeen else { return nil }
      oldest = min(oldest ?? seen, seen)
    }
    return oldest
  }
}
