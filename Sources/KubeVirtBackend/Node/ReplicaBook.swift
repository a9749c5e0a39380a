internal import Kubernetes

/// On which nodes Longhorn has the last whole copy of a volume.
struct ReplicaBook: Sendable {
  private struct Replica: Sendable {
    let volume: String
    let node: String
    let isHealthy: Bool
    let isStarted: Bool
  }

  private var replicas: [String: Replica] = [:]
  private var byVolume: [String: Set<String>] = [:]
  /// Volumes by the node that has their last copy.
  private var last: [String: Set<String>] = [:]
  private var lastOfVolume: [String: Set<String>] = [:]
  private var unready: Set<String> = []

  /// Whether a node has the last healthy replica of a volume.
  func hasLast(on node: String) -> Bool { last[node] != nil }

  /// Takes a replica as it is now.
  ///
  /// - Returns: The nodes that this concerns.
  mutating func set(_ replica: LonghornReplica) -> Set<String> {
    let uid = replica.metadata.uid
    var concerned: Set<String> = []
    if let before = replicas[uid], before.volume != replica.volume { concerned = remove(uid) }
    replicas[uid] = Replica(
      volume: replica.volume, node: replica.node, isHealthy: replica.isHealthy, isStarted: replica.isStarted)
    byVolume[replica.volume, default: []].insert(uid)
    return concerned.union(look(at: replica.volume))
  }

  /// Forgets a replica that is gone.
  ///
  /// - Returns: The nodes that this concerns.
  mutating func remove(_ uid: String) -> Set<String> {
    guard let replica = replicas.removeValue(forKey: uid) else { return [] }
    byVolume[replica.volume]?.remove(uid)
    if byVolume[replica.volume]?.isEmpty ?? false { byVolume[replica.volume] = nil }
    return look(at: replica.volume)
  }

  /// Takes whether a node is ready: nobody reads a copy on one that is not.
  ///
  /// - Returns: The nodes that this concerns.
  mutating func setReady(_ node: String, _ isReady: Bool) -> Set<String> {
    let changes = isReady ? unready.remove(node) != nil : unready.insert(node).inserted
    guard changes else { return [] }
    let volumes = Set(replicas.values.lazy.filter { $0.node == node }.map(\.volume))
    return volumes.reduce(into: []) { $0.formUnion(look(at: $1)) }
  }

  /// Finds out anew who has the last copy of a volume.
  private mutating func look(at volume: String) -> Set<String> {
    let before = lastOfVolume[volume] ?? []
    let now = holders(of: volume)
    guard before != now else { return [] }
    lastOfVolume[volume] = now.isEmpty ? nil : now
    for node in before.subtracting(now) {
      last[node]?.remove(volume)
      if last[node]?.isEmpty ?? false { last[node] = nil }
    }
    for node in now.subtracting(before) { last[node, default: []].insert(volume) }
    return before.symmetricDifference(now)
  }

  /// Longhorn asks for the last replica that is healthy, Harvester for the last that runs: either counts.
  private func holders(of volume: String) -> Set<String> {
    let all = (byVolume[volume] ?? []).compactMap { replicas[$0] }.filter { !$0.node.isEmpty }
    let healthy = Set(all.lazy.filter(\.isHealthy).map(\.node))
    let readable = healthy.subtracting(unready)
    let started = all.filter(\.isStarted).map(\.node)
    var holders: Set<String> = []
    if readable.count == 1 { holders.formUnion(readable) }
    if healthy.count == 1 { holders.formUnion(healthy) }
    if started.count == 1 { holders.formUnion(started) }
    return holders
  }
}
