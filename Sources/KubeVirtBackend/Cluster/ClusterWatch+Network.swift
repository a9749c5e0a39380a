internal import DroverCore
internal import Kubernetes

/// What is known of the network under a migration: nobody sees its connections, which are inside the launchers' pods.
extension ClusterWatch {
  /// For so long virt-handler may be out of reach before its node counts as lost.
  static let handlerSilence = Duration.seconds(10)
  /// For so long the cluster waits for a node before it says that it is not heard.
  private static let nodeGrace = Duration.seconds(40)

  /// How often what is known is told again: before the tracker drops it, and often where it changes.
  mutating func networkRenewal() -> Duration {
    let isCalm = silentHandlers.isEmpty && nodes.values.allSatisfy { $0.isReady == true }
    if isCalm != told.isCalm {
      told.isCalm = isCalm
      told.networks = [:]
    }
    let often = Duration.seconds(2)
    return isCalm ? max(often, NetworkObservation.longestAge(sampling.interval) / 3) : often
  }

  mutating func tellNetwork(of uid: String, at instant: Instant, _ messages: inout [BackendMessage]) {
    guard let record = migrations[uid], record.showsNetwork else { return }
    told.networks[uid] = instant.now
    var report = NetworkReport(settings: keepalive, keepalive: .inferred(.invisible))
    report.peer = record.targetNode
    let ends = [record.sourceNode, record.targetNode].filter { !$0.isEmpty }
    report.reported = ends.compactMap { loss(of: $0, at: instant) }.prefix(1).map(\.self)
    let areHealthy = ends.allSatisfy { nodes[$0]?.isReady == true }
    report.lostIfBytesStop = areHealthy ? .migration : .unknown
    messages.append(
      .network(NetworkObservation(backend: backend, id: record.id, takenAt: instant.now, report: report)))
  }

  /// The management network is lost where nobody hears a node any more, or its virt-handler cannot be reached.
  private func loss(of name: String, at instant: Instant) -> NetworkLoss? {
    if let node = nodes[name], node.isSilent {
      return NetworkLoss(
        network: .management, silence: silence(of: node, at: instant), limit: Self.nodeGrace)
    }
    if let since = silentHandlers[name], instant.now - since >= Self.handlerSilence {
      return NetworkLoss(network: .management, silence: instant.now - since, limit: Self.handlerSilence)
    }
    return nil
  }

  /// For how long a node has not been heard at least.
  ///
  /// Its last heartbeat may be minutes old although it renewed its lease all the time: a node whose condition does not
  /// change writes it every five minutes only.
  private func silence(of node: Node, at instant: Instant) -> Duration {
    let condition = node.conditions["Ready"]
    func age(_ text: String?) -> Duration? {
      ClusterTime(text).map { max(.zero, instant.now - instant.local($0)) }
    }
    let noticed = age(condition?.lastTransition).map { $0 + Self.nodeGrace }
    let heard = age(condition?.lastHeartbeat)
    guard let noticed, let heard else { return noticed ?? heard ?? Self.nodeGrace }
    return min(noticed, heard)
  }
}
