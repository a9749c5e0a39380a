import Testing

@testable import DroverCore
@testable import Exposition

@Suite("What Drover's own drains tell")
struct DrainFamiliesTests {
  private func lines(_ state: DrainState, vms: UInt64) -> [String] {
    let backend = BackendName(rawValue: "hv")
    var record = DrainRecord(
      id: DecisionID(rawValue: 1), node: NodeRef(backend: backend, node: "hv-1"), requester: "uid 0",
      startedAt: 0)
    record.state = state
    record.vms = [DrainVM(vm: VMRef(backend: backend, scope: .host("hv-1"), name: "g"), domain: "d")]
    var snapshot = FleetSnapshot()
    snapshot.nodes = [
      NodeView(backend: backend, node: "hv-1", vms: vms, outbound: 0, inbound: 0, failedOutbound: 0),
      NodeView(backend: backend, node: "hv-2", vms: 0, outbound: 0, inbound: 0, failedOutbound: 0),
    ]
    snapshot.nodes[0].ownDrain = DrainStatus(record, startedAt: at(5))
    return ScrapeRenderer().render(snapshot, in: recordedContext()).text.split(separator: "\n")
      .map(String.init).filter { $0.hasPrefix("drover_node_drain") || $0.hasPrefix("drover_node_reboot") }
  }

  @Test("a host that is drained has the series of a node of a cluster; others have none")
  func host() {
    #expect(
      lines(.active, vms: 1) == [
        #"drover_node_draining{backend="hv",node="hv-1"} 1"#,
        #"drover_node_drain_started_timestamp_seconds{backend="hv",node="hv-1"} 1790000005"#,
        #"drover_node_drain_vms{backend="hv",node="hv-1",state="pending"} 1"#,
        #"drover_node_drain_vms{backend="hv",node="hv-1",state="migrating"} 0"#,
        #"drover_node_drain_vms{backend="hv",node="hv-1",state="done"} 0"#,
        #"drover_node_drain_vms{backend="hv",node="hv-1",state="failed"} 0"#,
        #"drover_node_drain_vms{backend="hv",node="hv-1",state="timed_out"} 0"#,
        #"drover_node_drain_vms{backend="hv",node="hv-1",state="blocked"} 0"#,
        #"drover_node_drained{backend="hv",node="hv-1"} 0"#,
        #"drover_node_reboot_blockers{backend="hv",node="hv-1",reason="vm"} 1"#,
        #"drover_node_reboot_blockers{backend="hv",node="hv-1",reason="inbound"} 0"#,
        #"drover_node_reboot_blockers{backend="hv",node="hv-1",reason="not_cordoned"} 0"#,
        #"drover_node_reboot_blockers{backend="hv",node="hv-1",reason="last_replica"} 0"#,
        #"drover_node_reboot_blockers{backend="hv",node="hv-1",reason="data_stale"} 0"#,
      ])
    let over = lines(.complete, vms: 0)
    #expect(over.contains(#"drover_node_draining{backend="hv",node="hv-1"} 0"#))
    #expect(over.contains(#"drover_node_drained{backend="hv",node="hv-1"} 1"#))
    #expect(!over.contains { $0.contains("started_timestamp") })
  }
}
