internal import DroverCore

/// All that was found out about a domain that somebody wants to move, and about the hosts that might take it.
struct MoveSurvey: Sendable {
  /// The domain, as its host tells it.
  struct Domain: Sendable {
    var name: DomainName
    var host: String
    var hostUUID: String?
    var state: DomainState
    /// Its job; nil where it does not run.
    var job: Result<JobStatistics, LibvirtError>?
    var isPersistent: Bool
    var snapshots: Int?
    var xml: DomainXML
    /// Whether other hosts have what each file is on, by path; no entry where that cannot be told.
    var shared: [String: Bool] = [:]
  }

  /// A host that might take it.
  struct Target: Sendable {
    var peer: LibvirtPeer
    var facts: Result<Facts, ControlError>
  }

  /// What a host says of itself.
  struct Facts: Hashable, Sendable {
    var host: String
    var hostUUID: String?
    /// Whether the domain could run on its CPU; nil where that cannot be told.
    var fitsCPU: Bool?
    var memory: Bytes?
    /// Networks that it lacks.
    var missing: [String] = []
    var conflict: String?
  }

  var domain: Domain
  var targets: [Target]
}

// MARK: - What speaks against it

extension MoveSurvey.Domain {
  /// Whether a migration out of its host is under way, or a guest arrives.
  var isMigrating: Bool {
    switch state {
    case .pausedPostcopy, .pausedPostcopyFailed, .runningPostcopy: return true
    default: break
    }
    switch job {
    case .success(let job)?: return job.isMigrating
    case .failure(let error)?: return error.code == .operationUnsupported
    case nil: return false
    }
  }

  /// A job that is no migration; nil where there is none.
  var otherJob: String? {
    guard case .success(let job)? = job, job.kind == .active, !job.isMigrationOut else { return nil }
    return job.word
  }

  /// What speaks against it wherever it is to go.
  var obstacles: [Eligibility.Obstacle] {
    var found: [Eligibility.Obstacle] = []
    for device in xml.devices {
      let what =
        "a device of the host is passed through: \(device.type)"
        + (device.name.isEmpty ? "" : " \(device.name)")
      found.append(
        Eligibility.Obstacle(
          .hostDevice, what, remedy: "detach it with virsh detach-device, and attach one at the target",
          isEnforced: !device.isLeftBehind))
    }
    for disk in xml.disks where !disk.isReadOnly && !disk.source.isEmpty && disk.type == "file" {
      guard shared[disk.source] == false else { continue }
      found.append(
        Eligibility.Obstacle(
          .accessMode, "the \(disk.device) \(disk.target) is on storage of this host only: \(disk.source)",
          remedy: "put it on shared storage, or migrate with virsh migrate --copy-storage-all"))
    }
    for directory in xml.directories {
      found.append(
        Eligibility.Obstacle(
          .other, "a directory of the host is shared with the guest: \(directory)",
          remedy: "remove the <filesystem> from the domain"))
    }
    if !xml.encryption.isEmpty {
      found.append(
        Eligibility.Obstacle(
          .confidential, "its memory is encrypted (\(xml.encryption))",
          remedy: "shut it down and start it elsewhere"))
    }
    if let snapshots, snapshots > 0 {
      found.append(
        Eligibility.Obstacle(
          .other, "it has \(snapshots) snapshot\(snapshots == 1 ? "" : "s"), which libvirt does not move",
          remedy: "delete them with virsh snapshot-delete, with --metadata to keep their data"))
    }
    return found
  }

  /// What is worth knowing although it prevents nothing.
  var notes: [String] {
    var found: [String] = []
    if xml.cpuMode == "host-passthrough" || xml.cpuMode == "maximum" {
      found.append("its CPU is \(xml.cpuMode): the target's must be of the same model")
    }
    for disk in xml.disks where disk.isReadOnly && disk.type == "file" && !disk.source.isEmpty {
      guard shared[disk.source] != true else { continue }
      found.append("the \(disk.device) \(disk.target) must be at the target too: \(disk.source)")
    }
    for disk in xml.disks where !disk.isReadOnly && !disk.source.isEmpty && disk.type != "network" {
      guard disk.type != "file" || shared[disk.source] == nil else { continue }
      found.append(
        "whether \(disk.source) of the \(disk.device) \(disk.target) is shared cannot be seen from here")
    }
    return found
  }
}

extension MoveSurvey {
  /// What speaks against one host.
  func obstacles(at target: Target) -> [Eligibility.Obstacle] {
    let facts: Facts
    switch target.facts {
    case .success(let told): facts = told
    case .failure(let error):
      return [
        Eligibility.Obstacle(
          .unknown, "\(target.peer.name) cannot be asked: \(error.cause)",
          remedy: "let Drover reach it, by libvirt.peers' checkURI if by another way than the source's daemon"
        )
      ]
    }
    var found: [Eligibility.Obstacle] = []
    if isSameHost(facts) {
      found.append(
        Eligibility.Obstacle(.noTargetNode, "\(facts.host) is where it runs", remedy: "name another host"))
    } else if let conflict = facts.conflict {
      found.append(Eligibility.Obstacle(.other, conflict, remedy: "end or rename that one"))
    }
    switch facts.fitsCPU {
    case true?: break
    case false?:
      found.append(
        Eligibility.Obstacle(
          .cpuModel, "\(facts.host) cannot offer the guest's CPU",
          remedy: "give the domain a CPU model that both hosts have, and restart it"))
    case nil where domain.xml.cpuMode == "custom":
      found.append(
        Eligibility.Obstacle(
          .unknown, "\(facts.host) does not tell whether it can offer the guest's CPU",
          remedy: "let Drover reach its read-write socket"))
    case nil: break
    }
    if let needed = domain.xml.memory, let memory = facts.memory, memory < needed {
      found.append(
        Eligibility.Obstacle(
          .noResources,
          "\(facts.host) has \(memory.count >> 20) MiB free, and the guest needs \(needed.count >> 20) MiB",
          remedy: "make room there"))
    }
    for network in facts.missing {
      found.append(
        Eligibility.Obstacle(
          .networkInterface, "the network \(network) is not active at \(facts.host)",
          remedy: "start it there with virsh net-start"))
    }
    return found
  }

  private func isSameHost(_ facts: Facts) -> Bool {
    if let a = domain.hostUUID, let b = facts.hostUUID { return a == b }
    return domain.host == facts.host
  }

  /// What is said of the VM, and of each host.
  func eligibility(of vm: VMRef) -> Eligibility {
    var obstacles = domain.obstacles
    if !domain.state.isActive {
      obstacles.append(Eligibility.Obstacle(.other, "it does not run", remedy: "start it"))
    }
    let found = targets.map { Eligibility.Target(node: $0.peer.name, obstacles: self.obstacles(at: $0)) }
    if found.isEmpty {
      obstacles.append(
        Eligibility.Obstacle(
          .noTargetNode, "no host is named that it could go to", remedy: "name them in libvirt.peers"))
    } else if !found.contains(where: \.isPossible) {
      obstacles.append(
        Eligibility.Obstacle(
          .noTargetNode, "none of the hosts in libvirt.peers can take it",
          remedy: "see what speaks against each"))
    }
    return Eligibility(vm: vm, node: vm.scope.name, obstacles: obstacles, targets: found, notes: domain.notes)
  }

  /// What would be sent, and what speaks against it.
  func plan(_ order: StartOrder) -> (plan: StartPlan, request: MigrationRequest?) {
    var plan = StartPlan(warnings: domain.notes, source: domain.host)
    func refuse(_ reason: RefusalReason, _ text: String) {
      plan.refusals.append(Refusal(reason, text))
    }
    if !domain.state.isActive { refuse(.notRunning, "it does not run; start it") }
    if domain.isMigrating { refuse(.migrating, "it migrates already; wait for the end of that") }
    if let job = domain.otherJob { refuse(.system, "\(job); wait for its end") }
    for obstacle in domain.obstacles {
      if obstacle.isEnforced {
        refuse(.notMigratable, "\(obstacle.text); \(obstacle.remedy)")
      } else {
        plan.warnings.append("\(obstacle.text); \(obstacle.remedy)")
      }
    }
    guard let target = choose(order.node, refuse) else { return (plan, nil) }
    for obstacle in obstacles(at: target) {
      if obstacle.reason == .unknown {
        plan.warnings.append(obstacle.text)
      } else {
        refuse(
          obstacle.reason == .noTargetNode ? .sameNode : .targetUnfit, "\(obstacle.text); \(obstacle.remedy)")
      }
    }
    let request = MigrationRequest(
      domain: domain.name.name, isPersistent: domain.isPersistent, peer: target.peer)
    plan.request = request.words
    return (plan, plan.refusals.isEmpty ? request : nil)
  }

  /// The host that is wished for, or the first that can take it.
  private func choose(_ node: String?, _ refuse: (RefusalReason, String) -> Void) -> Target? {
    if let node {
      let target = targets.first { target in
        target.peer.isCalled(node) || (try? target.facts.get())?.host == node
      }
      if let target { return target }
      if node == domain.host {
        refuse(.sameNode, "it runs on \(node) already; name another host")
      } else if targets.isEmpty {
        refuse(.noTarget, "no host is named that it could go to; name \(node) in libvirt.peers")
      } else {
        let names = targets.map(\.peer.name).joined(separator: ", ")
        refuse(.unknown, "no peer is called \(node); there are \(names): name it in libvirt.peers")
      }
      return nil
    }
    guard !targets.isEmpty else {
      refuse(.noTarget, "no host is named that it could go to; name them in libvirt.peers")
      return nil
    }
    let possible = targets.filter { target in obstacles(at: target).allSatisfy { $0.reason == .unknown } }
    // One that answered before one that did not.
    if let best = possible.first(where: { obstacles(at: $0).isEmpty }) ?? possible.first { return best }
    for target in targets {
      for obstacle in obstacles(at: target) {
        refuse(.noTarget, "\(target.peer.name): \(obstacle.text); \(obstacle.remedy)")
      }
    }
    return nil
  }
}
