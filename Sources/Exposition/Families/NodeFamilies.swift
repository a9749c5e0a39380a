internal import DroverCore

extension FleetFamilies {
  /// Nodes and hosts.
  static let nodes: [Family<Fleet>] = [
    number("drover_node_vms", .gauge, by: .all, "VMs on the node.") { $0.knownVMs },
    number(
      "drover_node_ready", .gauge,
      "Whether the cluster calls the node ready (Kubernetes Node condition Ready)."
    ) { $0.state?.isReady },
    number(
      "drover_node_heartbeat_timestamp_seconds", .gauge, unit: .seconds,
      "Last sign of life of the node's virt-handler (KubeVirt Node annotation kubevirt.io/heartbeat)."
    ) { $0.state?.heartbeat },
    number(
      "drover_node_migrations_outbound", .gauge, by: .all, "Migrations under way from the node."
    ) { $0.outbound },
    number(
      "drover_node_migrations_inbound", .gauge, by: .all, "Migrations under way to the node."
    ) { $0.inbound },
    number(
      "drover_node_migrations_pending", .gauge, "Migrations from the node that wait (KubeVirt VMIM Pending)."
    ) { $0.state == nil ? nil : $0.pending },
    each(
      "drover_node_migrations_failed_total", .counter, labels: ["direction"], by: .all,
      "Migrations from or to the node that failed; QEMU and libvirt tell those from it."
    ) { node, sink in
      sink.labels(node)
      sink.label("direction", Direction.outbound.rawValue)
      sink.sample(node.failedOutbound)
      guard node.state != nil else { return }
      sink.labels(node)
      sink.label("direction", Direction.inbound.rawValue)
      sink.sample(node.failedInbound)
    },
  ]

  /// How far nodes are emptied, and what speaks against rebooting them.
  static let drains: [Family<Fleet>] = [
    number(
      "drover_node_draining", .gauge, by: [.kubevirt, .libvirt],
      "Whether something moves the node's VMs away (KubeVirt taint, eviction; Harvester annotations; "
        + "Drover's drain)."
    ) { $0.isDraining },
    number(
      "drover_node_drain_started_timestamp_seconds", .gauge, unit: .seconds, by: [.kubevirt, .libvirt],
      "Since when something moves the node's VMs away; absent where nothing does."
    ) { $0.drainStartedAt },
    each(
      "drover_node_drain_vms", .gauge, labels: ["state"], by: [.kubevirt, .libvirt],
      "VMs of a node that is drained, by what became of them (KubeVirt VMI, VMIM; Drover's own drain)."
    ) { node, sink in
      guard let vms = node.drainVMs else { return }
      for (state, label) in drainStates {
        sink.labels(node)
        sink.label(rendered: label)
        sink.sample(vms[state] ?? 0)
      }
    },
    number(
      "drover_node_drained", .gauge, by: [.kubevirt, .libvirt],
      "Whether nothing speaks against rebooting the node; 0 when what is known of it is too old."
    ) { $0.isDrained },
    each(
      "drover_node_reboot_blockers", .gauge, labels: ["reason"], by: [.kubevirt, .libvirt],
      "Whether this speaks against a reboot, for every reason (KubeVirt, Node, Longhorn; "
        + "a host that Drover drained)."
    ) { node, sink in
      guard let blockers = node.rebootBlockers else { return }
      for (reason, label) in rebootReasons {
        sink.labels(node)
        sink.label(rendered: label)
        sink.sample(blockers.contains(reason))
      }
    },
  ]

  /// How many migrations may run at a time.
  static let slots: [Family<Fleet>] = [
    slots(
      "drover_migration_slots_used",
      "Slots for migrations that are taken, in the cluster and from a node (KubeVirt VMIM that count for the limits)."
    ) { $0.used },
    slots(
      "drover_migration_slots_limit",
      "Slots that there are (KubeVirt parallelMigrationsPerCluster, parallelOutboundMigrationsPerNode)."
    ) { $0.limit },
  ]

  private static let drainStates = rendered(DrainVMState.self, as: "state")
  private static let rebootReasons = rendered(RebootBlocker.self, as: "reason")

  private static func rendered<Word: CaseIterable & RawRepresentable<String> & Sendable>(
    _: Word.Type, as label: String
  ) -> [(word: Word, label: [UInt8])] {
    Word.allCases.map { ($0, Array("\(label)=\"\($0.rawValue)\"".utf8)) }
  }

  /// One number for each node that it is told of.
  private static func number(
    _ name: String, _ kind: FamilyKind, unit: FamilyUnit? = nil, by fillers: [Filler] = [.kubevirt],
    _ help: String, value: @escaping @Sendable (NodeView) -> (some SampleConvertible)?
  ) -> Family<Fleet> {
    each(name, kind, unit: unit, by: fillers, help) { node, sink in
      guard let value = value(node) else { return }
      sink.labels(node)
      sink.sample(value)
    }
  }

  private static func each(
    _ name: String, _ kind: FamilyKind, unit: FamilyUnit? = nil, labels: [String] = [],
    by fillers: [Filler] = [.kubevirt], _ help: String,
    emit: @escaping @Sendable (NodeView, inout SampleSink) -> Void
  ) -> Family<Fleet> {
    Family(
      name, kind, unit: unit, part: .nodes, labels: ["backend", "node"] + labels, filledBy: fillers, help
    ) { fleet, sink in
      for node in fleet.snapshot.nodes { emit(node, &sink) }
    }
  }

  private static func slots(
    _ name: String, _ help: String, value: @escaping @Sendable (SlotUse) -> UInt64
  ) -> Family<Fleet> {
    Family(
      name, .gauge, part: .nodes, labels: ["backend", "scope", "node"], filledBy: [.kubevirt], help
    ) { fleet, sink in
      for backend in fleet.snapshot.backends {
        guard let slots = backend.slots else { continue }
        sink.label(backend.descriptor.name)
        sink.label("scope", "cluster")
        sink.sample(value(slots))
      }
      for node in fleet.snapshot.nodes {
        guard let slots = node.state?.slots else { continue }
        sink.label(node.backend)
        sink.label("scope", "node")
        sink.label("node", node.node)
        sink.sample(value(slots))
      }
    }
  }
}

extension SampleSink {
  fileprivate mutating func labels(_ node: NodeView) {
    label(node.backend)
    label("node", node.node)
  }
}
