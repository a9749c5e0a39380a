import Testing

@testable import DroverCore
@testable import Exposition

@Suite("What a cluster tells")
struct ClusterFamiliesTests {
  private static func onNodes(_ values: [(String, String)]) -> [String] {
    values.map { #"{backend="prod",node="\#($0)"} \#($1)"# }
  }

  static let shownOnes: [(String, [String])] = [
    (
      "drover_node_ready",
      onNodes([("node-0", "1"), ("node-a", "1"), ("node-b", "1"), ("node-c", "0")])
    ),
    (
      "drover_node_heartbeat_timestamp_seconds",
      onNodes(["node-0", "node-a", "node-b"].map { ($0, "1790000080") })
    ),
    (
      "drover_node_migrations_pending",
      onNodes([("node-0", "0"), ("node-a", "1"), ("node-b", "0"), ("node-c", "0")])
    ),
    (
      "drover_node_draining",
      onNodes([("node-0", "0"), ("node-a", "1"), ("node-b", "0"), ("node-c", "0")])
    ),
    ("drover_node_drain_started_timestamp_seconds", onNodes([("node-a", "1790000010")])),
    (
      "drover_node_drained",
      onNodes([("node-0", "1"), ("node-a", "0"), ("node-b", "0"), ("node-c", "0")])
    ),
    (
      "drover_node_drain_vms",
      [("pending", 1), ("migrating", 2), ("done", 4), ("failed", 0), ("timed_out", 0), ("blocked", 1)].map {
        #"{backend="prod",node="node-a",state="\#($0)"} \#($1)"#
      }
    ),
    (
      "drover_node_reboot_blockers",
      [
        ("node-0", [0, 0, 0, 0, 0]), ("node-a", [1, 0, 0, 0, 0]), ("node-b", [1, 1, 1, 0, 0]),
        ("node-c", [0, 0, 0, 0, 1]),
      ].flatMap { node, values in
        zip(["vm", "inbound", "not_cordoned", "last_replica", "data_stale"], values).map {
          #"{backend="prod",node="\#(node)",reason="\#($0)"} \#($1)"#
        }
      }
    ),
    (
      "drover_migration_slots_used",
      [
        #"{backend="prod",scope="cluster"} 2"#, #"{backend="prod",scope="node",node="node-a"} 2"#,
        #"{backend="prod",scope="node",node="node-b"} 0"#,
      ]
    ),
    (
      "drover_migration_slots_limit",
      [
        #"{backend="prod",scope="cluster"} 5"#, #"{backend="prod",scope="node",node="node-a"} 2"#,
        #"{backend="prod",scope="node",node="node-b"} 2"#,
      ]
    ),
  ]

  private static let labels = #"backend="prod",namespace="shop",vm="api",migration="7b0e""#

  private func lines(_ text: String, of family: String, short labels: String = Self.labels) -> [String] {
    let lines = text.split(separator: "\n").map(String.init)
    let samples = lines.filter { $0.hasPrefix(family + "{") || $0.hasPrefix(family + " ") }
    return samples.map { sample in
      let rest = String(sample.dropFirst(family.utf8.count))
      return rest.replacing(labels + ",", with: "…").replacing(labels, with: "…")
    }
  }

  private func lines(
    _ view: MigrationView, of family: String, short labels: String = Self.labels
  ) -> [String] {
    let fleet = snapshot([group(1, [view])])
    let text = ScrapeRenderer().render(fleet, parts: [.migrations], in: context()).text
    return lines(text, of: family, short: labels)
  }

  @Test("is shown for its nodes, and for no host", arguments: shownOnes)
  func shown(_ family: String, _ samples: [String]) {
    let text = ScrapeRenderer().render(recordedFleet(), parts: [.nodes], in: recordedContext()).text
    #expect(lines(text, of: family) == samples)
  }

  private static let runningInfo =
    #"{…object="kubevirt-evacuation-7b0e",source="node-a",target="node-b",requested_target="node-b","#
    + #"origin="manual",network="harvester-system/vm-migration",migration_policy="slow-ones"} 1"#

  private static let runningOnes: [(String, [String])] = [
    ("drover_migration_info", [runningInfo]),
    ("drover_migration_created_timestamp_seconds", ["{…} 1790000020"]),
    ("drover_migration_start_timestamp_seconds", ["{…} 1790000060"]),
    ("drover_migration_sample_timestamp_seconds", ["{…} 1790000095"]),
    ("drover_migration_transferred_bytes_total", ["{…} 3221225472"]),
    ("drover_migration_remaining_bytes", ["{…} 6442450944"]),
    ("drover_migration_progress_ratio", ["{…} 0.25"]),
    ("drover_migration_memory_transferred_bytes_total", []),
    ("drover_migration_memory_remaining_bytes", []),
    (
      "drover_migration_completion_timeout_seconds",
      [#"{…set_by="version_default",enforced_by="kubevirt",action="abort"} 1350"#]
    ),
    (
      "drover_migration_deadline_uncertainty_seconds",
      [
        #"{…deadline="completion"} 150"#, #"{…deadline="progress"} 5"#, #"{…deadline="keepalive"} 10"#,
      ]
    ),
    ("drover_migration_keepalive_timeout_seconds", [#"{…method="inferred"} 30"#]),
    ("drover_migration_network_lost", [#"{…network="management"} 1"#]),
    ("drover_migration_pending_reason", []),
    ("drover_migration_queue_position", []),
  ]

  @Test("of a running migration is shown", arguments: runningOnes)
  func running(_ family: String, _ samples: [String]) {
    #expect(lines(RecordedCluster.running(), of: family) == samples)
  }

  @Test("of one whose counters nobody reads has no time of a sample")
  func noCounters() {
    let view = RecordedCluster.running { $0.sample = Sample() }
    #expect(lines(view, of: "drover_migration_sample_timestamp_seconds") == [])
    #expect(lines(view, of: "drover_migration_transferred_bytes_total") == [])
    #expect(lines(view, of: "drover_migration_interruptions_total") == [])
    #expect(lines(RecordedCluster.running(), of: "drover_migration_interruptions_total") == ["{…} 0"])
  }

  @Test("of one that waits is why, and where it stands, but no start", arguments: PendingReason.allCases)
  func waiting(_ reason: PendingReason) {
    let labels = #"backend="prod",namespace="shop",vm="db",migration="9c41""#
    func shown(_ wait: PendingWait, _ name: String) -> [String] {
      lines(RecordedCluster.waiting(wait), of: "drover_migration_" + name, short: labels)
    }
    let queued = PendingWait(reason: reason, position: 3, text: "never \"shown\" here")
    #expect(shown(queued, "pending_reason") == [#"{…reason="\#(reason.rawValue)"} 1"#])
    #expect(shown(queued, "queue_position") == ["{…} 3"])
    #expect(shown(queued, "created_timestamp_seconds") == ["{…} 1790000020"])
    #expect(shown(queued, "start_timestamp_seconds") == [])
    #expect(shown(PendingWait(reason: reason), "queue_position") == [])
  }

  @Test("of nodes is a part of its own")
  func parts() {
    for part in ScrapePart.allCases {
      let text = ScrapeRenderer().render(recordedFleet(), parts: [part], in: recordedContext()).text
      for (family, _) in Self.shownOnes {
        #expect(text.contains("\n\(family){") == (part == .nodes), "\(family)")
      }
      #expect(text.contains("\ndrover_kubernetes_requests_total{") == (part == .exporter))
      #expect(text.contains("\ndrover_vm_drain_outcome{") == (part == .vms))
    }
  }
}
