internal import DroverCore
internal import Kubernetes

/// What is known of the network under a migration: nobody sees its connections, which are inside the launchers' pods.
extension ClusterWatch {
  /// For so long virt-handler may be out of reach before its node counts as lost.
  static let handlerSilence = Duration.seconds(10)
  /// A report is renewed before the tracker drops it.
  private static let renewal = Duration.seconds(2)

  mutating func tellNetwork(of uid: String, at instant: Instant, _ messages: inout [BackendMessage]) {
    guard let record = migrations[uid], record.hasStarted, record.vmim.role != .receiver,
      told.networks[uid].map({ instant.now - $0 >= Self.renewal }) ?? true
    else { return }
    told.networks[uid] = instant.now
    var report = NetworkReport(settings: keepalive, keepalive: .inferred(.invisible))
    report.peer = record.state?.targetNode ?? ""
    let ends = [record.sourceNode, record.state?.targetNode ?? ""].filter { !$0.isEmpty }
    report.reported = ends.compactMap { loss(of: $0, at: instant) }.prefix(1).map(\.self)
    let areHealthy = ends.allSatisfy { nodes[$0]?.isReady == true }
    report.lostIfBytesStop = areHealthy ? .migration : .unknown
    messages.append(
      .network(NetworkObservation(backend: backend, id: record.id, takenAt: instant.now, report: report)))
  }

  /// The management network is lost where a node is not ready any more, or its virt-handler cannot be reached.
  private func loss(of name: String, at instant: Instant) -> NetworkLoss? {
    if let node = nodes[name], node.isReady == false {
      let condition = node.conditions["Ready"]
      let since = ClusterTime(condition?.lastHeartbeat) ?? ClusterTime(condition?.lastTransition)
      let silence = since.map { instant.now - instant.moment($0).moment } ?? .zero
      return NetworkLoss(network: .management, silence: silence, limit: .seconds(40))
    }
    if let since = silentHandlers[name], instant.now - since >= Self.handlerSilence {
      return NetworkLoss(network: .management, silence: instant.now - since, limit: Self.handlerSilence)
    }
    return nil
  }
}
