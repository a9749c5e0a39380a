internal import DroverCore
internal import Kubernetes

/// What is remembered of nodes that are emptied.
struct DrainBook: Sendable {
  private var replicas: [String: LonghornReplica] = [:]

  mutating func set(_ replica: LonghornReplica) { replicas[replica.metadata.uid] = replica }
  mutating func removeReplica(_ uid: String) { replicas[uid] = nil }
  mutating func forget(_ node: String) {}
  mutating func noteEnd(of record: MigrationRecord, _ ending: Ending) {}
}

extension ClusterWatch {
  mutating func tellNode(_ name: String, at instant: Instant, _ messages: inout [BackendMessage]) {
    guard told.hasBegun, let node = nodes[name] else { return }
    var observation = NodeObservation(
      backend: backend, node: name, takenAt: instant.now, isReady: node.isReady)
    observation.heartbeat = node.heartbeat.map { instant.moment($0).moment }
    observation.slots = nodeSlots(name)
    var before = told.nodes[name]
    before?.takenAt = observation.takenAt
    guard before != observation else { return }
    told.nodes[name] = observation
    messages.append(.nodeState(observation))
  }
}
