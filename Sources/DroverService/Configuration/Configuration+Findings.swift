internal import DroverCore

extension Configuration {
  /// What rules and metrics ask for that never comes about with these back ends.
  public var findings: [String] {
    guard !backends.isEmpty else { return unreachableRules }
    let clusters = backends.filter(\.hasLabels).map(\.name.rawValue)
    let hosts = backends.filter { !$0.hasLabels }.map(\.name.rawValue)
    var findings = unreachableRules
    if !vmLabels.isEmpty, clusters.isEmpty {
      findings.append(
        "metrics.vmLabels shows nothing: none of these back ends is KubeVirt, and only its VMs have labels")
    }
    for rule in automatic.rules {
      func isMeant(_ name: String) -> Bool {
        rule.match.backends.isEmpty || rule.match.backends.contains(name)
      }
      let (clusters, hosts) = (clusters.filter(isMeant), hosts.filter(isMeant))
      if !rule.match.labels.isEmpty, !hosts.isEmpty || clusters.isEmpty {
        let names = (hosts.isEmpty ? rule.match.backends : hosts).joined(separator: ", ")
        findings.append(
          "rule \(rule.name) chooses by labels: it never matches with \(names), since only VMs of KubeVirt have labels"
        )
      }
      guard rule.match.hosts.isEmpty, !clusters.isEmpty else { continue }
      let enforced = [Trigger.completionTimeout, .progressTimeout].filter {
        rule.wishes[$0].map { $0.action > .observe } ?? false
      }
      guard !enforced.isEmpty else { continue }
      let words = enforced.map(\.rawValue).joined(separator: " and ")
      findings.append(
        "rule \(rule.name) only observes \(words) with \(clusters.joined(separator: ", ")): KubeVirt enforces "
          + "\(enforced.count == 1 ? "that time-out" : "these time-outs") itself")
    }
    return findings
  }

  /// Labels of VMs that rules or metrics name.
  public var labelNames: Set<String> { automatic.labelNames.union(vmLabels) }
}

extension Configuration.Backend {
  fileprivate var hasLabels: Bool {
    switch self {
    case .kubevirt: true
    case .qemu, .libvirt: false
    }
  }
}
