internal import DroverCore

/// Migrations that may run at a time.
enum SlotRules {
  static func notes(_ facts: EligibilityFacts) -> [String] {
    var notes: [String] = []
    if let state = facts.guest.state, state.start != nil, state.end == nil, !state.isCompleted {
      notes.append("A migration of it is under way; another is refused until that is over")
    }
    guard let cluster = facts.cluster.value else { return notes + [unknown(facts.cluster)] }
    guard let slots = facts.slots.value else { return notes + [unknown(facts.slots)] }
    let settings = ClusterSettings(cluster.base)
    let limits = (Int(settings.clusterSlots ?? 5), Int(settings.nodeSlots ?? 2))
    let isFull = slots.inCluster >= limits.0 || slots.atNode >= limits.1
    notes.append(
      "Migrations that may begin now: \(max(0, limits.0 - slots.inCluster)) of \(limits.0) in the cluster, "
        + "\(max(0, limits.1 - slots.atNode)) of \(limits.1) from \(facts.guest.node)"
        + (isFull ? "; this one would wait" : ""))
    return notes
  }

  private static func unknown<Value>(_ fact: Fact<Value>) -> String {
    "How many migrations may begin now is not known: what tells it \(fact.problem ?? "says nothing") "
      + "(\(fact.remedy))"
  }
}
