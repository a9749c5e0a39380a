internal import DroverCore

extension FleetFamilies {
  /// Nodes and hosts.
  static let nodes: [Family<Fleet>] = [
    each("drover_node_vms", .gauge, "VMs on the node.") { $0.vms },
    each("drover_node_migrations_outbound", .gauge, "Migrations under way from the node.") { $0.outbound },
    each("drover_node_migrations_inbound", .gauge, "Migrations under way to the node.") { $0.inbound },
    each(
      "drover_node_migrations_failed_total", .counter, direction: .outbound,
      "Migrations from or to the node that failed; QEMU and libvirt tell those from it."
    ) { $0.failedOutbound },
  ]

  private static func each(
    _ name: String, _ kind: FamilyKind, direction: Direction? = nil, _ help: String,
    value: @escaping @Sendable (NodeView) -> UInt64
  ) -> Family<Fleet> {
    Family(
      name, kind, part: .nodes, labels: ["backend", "node"] + (direction == nil ? [] : ["direction"]),
      filledBy: .hosts, help
    ) { fleet, sink in
      for node in fleet.snapshot.nodes {
        sink.label(node.backend)
        sink.label("node", node.node)
        if let direction { sink.label("direction", direction.rawValue) }
        sink.sample(value(node))
      }
    }
  }
}
