/// How far a node is emptied, whoever does it: its cluster's word, and Drover's own drain.
extension NodeView {
  /// Whether something moves its VMs away; nil for a host that nothing was ever told of.
  public var isDraining: Bool? {
    if ownDrain?.record.state.isInForce == true { return true }
    return state?.drain.isDraining ?? ownDrain.map { _ in false }
  }

  /// Since when; nil where nothing does, or that is not known.
  public var drainStartedAt: Moment? {
    let cluster = state?.drain.isDraining == true ? state?.drain.startedAt : nil
    guard let ownDrain, ownDrain.record.state.isInForce else { return cluster }
    return cluster.map { min($0, ownDrain.startedAt) } ?? ownDrain.startedAt
  }

  /// Its VMs by what became of them; nil where nothing drains it, or did.
  ///
  /// What Drover itself does to them it knows best.
  public var drainVMs: [DrainVMState: UInt64]? {
    if let ownDrain, ownDrain.record.state.isInForce { return ownDrain.record.counts }
    if let drain = state?.drain, drain.isDraining || !drain.vms.isEmpty { return drain.vms }
    return ownDrain?.record.counts
  }

  /// What speaks against rebooting it; nil for a host that is watched by itself and that nobody drained.
  public var rebootBlockers: [RebootBlocker]? {
    if let state {
      return RebootBlocker.allCases.filter {
        state.drain.blockers.contains($0) || $0 == .dataStale && isStale
      }
    }
    guard ownDrain != nil else { return nil }
    // A host knows no cordon; what is started on it shows as a VM.
    return RebootBlocker.allCases.filter { blocker in
      switch blocker {
      case .vm: vms > 0
      case .inbound: inbound > 0
      case .dataStale: isStale
      case .notCordoned, .lastReplica: false
      }
    }
  }

  /// Whether nothing speaks against rebooting it; nil for a host that is watched by itself and that nobody drained.
  public var isDrained: Bool? { rebootBlockers.map(\.isEmpty) }
}
