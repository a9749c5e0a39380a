import Testing

@testable import DroverCore
@testable import Exposition

@Suite("Families of the fleet")
struct FleetFamiliesTests {
  private func lines(
    of family: String, in snapshot: FleetSnapshot = recordedFleet(), vms: VMSelection = .blocked
  ) -> [String] {
    ScrapeRenderer().render(snapshot, in: recordedContext(vms: vms)).text.split(separator: "\n").map(
      String.init
    )
    .filter { line in ["{", " ", "_bucket{", "_sum{", "_count{"].contains { line.hasPrefix(family + $0) } }
    .map { String($0.dropFirst(family.utf8.count)) }
  }

  private static let shownOnes: [(String, [String])] = [
    (
      "drover_migrations_started_total",
      [
        #"{backend="rack1",origin="manual"} 6"#, #"{backend="rack1",origin="unknown"} 1"#,
        #"{backend="hv",origin="unknown"} 3"#,
      ]
    ),
    (
      "drover_migrations_succeeded_total",
      [
        #"{backend="rack1",origin="manual"} 1"#, #"{backend="rack1",origin="unknown"} 0"#,
        #"{backend="hv",origin="unknown"} 0"#,
      ]
    ),
    (
      "drover_migrations_failed_total",
      [
        #"{backend="rack1",origin="manual",cause="connection_lost"} 1"#,
        #"{backend="hv",origin="unknown",cause="keepalive"} 1"#,
      ]
    ),
    (
      "drover_migrations_aborted_total",
      [
        #"{backend="rack1",origin="manual",cause="user_abort"} 1"#,
        #"{backend="hv",origin="unknown",cause="user_abort"} 0"#,
      ]
    ),
    (
      "drover_node_vms",
      [
        #"{backend="hv",node="hv-1"} 5"#, #"{backend="prod",node="node-0"} 0"#,
        #"{backend="prod",node="node-a"} 4"#, #"{backend="prod",node="node-b"} 7"#,
        #"{backend="prod",node="node-c"} 0"#, #"{backend="prod",node="node-d"} 1"#,
        #"{backend="rack1",node="node-1"} 9"#,
        #"{backend="rack1",node="node-2"} 3"#,
      ]
    ),
    (
      "drover_node_migrations_outbound",
      [
        #"{backend="hv",node="hv-1"} 2"#, #"{backend="prod",node="node-0"} 0"#,
        #"{backend="prod",node="node-a"} 2"#, #"{backend="prod",node="node-b"} 0"#,
        #"{backend="prod",node="node-c"} 0"#, #"{backend="prod",node="node-d"} 0"#,
        #"{backend="rack1",node="node-1"} 4"#,
        #"{backend="rack1",node="node-2"} 0"#,
      ]
    ),
    (
      "drover_node_migrations_inbound",
      [
        #"{backend="hv",node="hv-1"} 0"#, #"{backend="prod",node="node-0"} 0"#,
        #"{backend="prod",node="node-a"} 0"#, #"{backend="prod",node="node-b"} 1"#,
        #"{backend="prod",node="node-c"} 0"#, #"{backend="prod",node="node-d"} 0"#,
        #"{backend="rack1",node="node-1"} 0"#,
        #"{backend="rack1",node="node-2"} 4"#,
      ]
    ),
    (
      "drover_node_migrations_failed_total",
      [
        #"{backend="hv",node="hv-1",direction="outbound"} 1"#,
        #"{backend="prod",node="node-0",direction="outbound"} 0"#,
        #"{backend="prod",node="node-0",direction="inbound"} 0"#,
        #"{backend="prod",node="node-a",direction="outbound"} 3"#,
        #"{backend="prod",node="node-a",direction="inbound"} 0"#,
        #"{backend="prod",node="node-b",direction="outbound"} 0"#,
        #"{backend="prod",node="node-b",direction="inbound"} 2"#,
        #"{backend="prod",node="node-c",direction="outbound"} 0"#,
        #"{backend="prod",node="node-c",direction="inbound"} 0"#,
        #"{backend="prod",node="node-d",direction="outbound"} 0"#,
        #"{backend="rack1",node="node-1",direction="outbound"} 1"#,
        #"{backend="rack1",node="node-2",direction="outbound"} 0"#,
      ]
    ),
    (
      "drover_backend_info",
      [
        #"{backend="hv",type="libvirt",endpoint="qemu:///system",version="9.0.0"} 1"#,
        #"{backend="prod",type="kubevirt",endpoint="https://10.0.0.1:6443",version="1.6.3"} 1"#,
        #"{backend="rack1",type="qemu",endpoint="/run/guests/*.qmp",version="7.2.22"} 1"#,
        #"{backend="rack2",type="qemu",endpoint="/run/other.qmp"} 1"#,
      ]
    ),
    (
      "drover_backend_up",
      [
        #"{backend="hv"} 1"#, #"{backend="prod"} 1"#, #"{backend="rack1"} 1"#, #"{backend="rack2"} 0"#,
      ]
    ),
    (
      "drover_backend_last_success_timestamp_seconds",
      [
        #"{backend="hv"} 1790000099.25"#, #"{backend="prod"} 1790000099.5"#,
        #"{backend="rack1"} 1790000099.8"#,
      ]
    ),
    (
      "drover_backend_errors_total",
      [
        #"{backend="hv",kind="timeout"} 1"#, #"{backend="prod",kind="forbidden"} 0"#,
        #"{backend="rack1",kind="connect"} 2"#,
        #"{backend="rack1",kind="protocol"} 0"#,
      ]
    ),
    (
      "drover_collect_duration_seconds",
      [#"{backend="hv"} 0.000412"#, #"{backend="prod"} 0.085"#, #"{backend="rack1"} 0.00173"#]
    ),
    (
      "drover_kubernetes_requests_total",
      [
        #"{backend="prod",verb="list",resource="virtualmachineinstancemigrations",code="200"} 2"#,
        #"{backend="prod",verb="watch",resource="nodes",code="410"} 1"#,
        #"{backend="prod",verb="watch",resource="nodes",code="timeout"} 0"#,
      ]
    ),
    ("drover_build_info", [#"{version="0.1.0",revision="abc123"} 1"#]),
    ("drover_tracked_migrations", [" 15"]),
    ("drover_dropped_migrations_total", [" 0"]),
    ("drover_config_last_reload_successful", [" 1"]),
    ("drover_config_last_reload_success_timestamp_seconds", [" 1789996400"]),
    ("process_cpu_seconds_total", [" 12.34"]),
    ("process_open_fds", [" 31"]),
    ("process_max_fds", [" 1024"]),
    ("process_virtual_memory_bytes", [" 412000256"]),
    ("process_virtual_memory_max_bytes", []),
    ("process_resident_memory_bytes", [" 31457280"]),
    ("process_start_time_seconds", [" 1789996399.99"]),
    ("process_network_receive_bytes_total", [" 123456789"]),
    ("process_network_transmit_bytes_total", [" 98765432"]),
  ]

  @Test("show what is known", arguments: shownOnes)
  func shown(_ family: String, _ samples: [String]) {
    #expect(lines(of: family) == samples)
  }

  private static let vmFamilies: Set = [
    "drover_vm_migratable", "drover_vm_not_migratable", "drover_vm_migration_targets",
    "drover_vm_consecutive_failed_migrations",
  ]
  private static let drainOutcome = "drover_vm_drain_outcome"
  private static let measured: Set = ["drover_vm_dirty_bytes_per_second"]
  private static let histograms: Set = [
    "drover_migration_duration_seconds", "drover_migration_final_downtime_seconds",
    "drover_migration_sent_bytes",
  ]

  private static let control: Set = [
    "drover_leader", "drover_abort_hold", "drover_abort_decisions_total", "drover_aborts_total",
    "drover_abort_latency_seconds",
    "drover_journal_errors_total",
  ]

  @Test("count what the journal did not take from 0 on, where there is a journal")
  func journal() {
    func shown(_ errors: [JournalError.Kind: UInt64]?) -> [Substring] {
      var context = recordedContext(vms: .blocked)
      context.journalErrors = errors
      return ScrapeRenderer().render(FleetSnapshot(), in: context).text.split(separator: "\n")
        .filter { $0.hasPrefix("drover_journal_errors_total{") }
    }
    #expect(shown(nil) == [])
    #expect(shown([:]).count == JournalError.Kind.allCases.count)
    #expect(shown([.full: 2]).contains(#"drover_journal_errors_total{kind="full"} 2"#))
  }

  @Test(
    "of a VM tell its targets where they are known, and no verdict where all that is known is that something is not"
  )
  func targets() {
    func shown(_ blockers: [NotMigratableReason]?, _ targets: UInt64?) -> [String] {
      var tracker = MigrationTracker(startedAt: Moment(milliseconds: 0))
      let name = BackendName(rawValue: "prod")
      tracker.register(
        BackendDescriptor(name: name, type: "kubevirt", endpoint: "", origins: [], causes: [], errorKinds: [])
      )
      _ = tracker.receive(
        .vm(
          VMObservation(
            key: VMKey(backend: name, text: "1"),
            vm: VMRef(backend: name, scope: .namespace("n"), name: "v"), node: "a", blockers: blockers,
            targets: targets)), at: Moment(milliseconds: 0))
      return ScrapeRenderer().render(tracker.snapshot(), in: recordedContext(vms: .all)).text
        .split(separator: "\n").map(String.init)
        .filter { $0.hasPrefix("drover_vm_") }
        .map { $0.replacing(#"backend="prod",namespace="n",vm="v""#, with: "") }
    }
    #expect(shown([], 3) == ["drover_vm_migratable{} 1", "drover_vm_migration_targets{} 3"])
    #expect(
      shown([.unknown], 0) == [
        #"drover_vm_not_migratable{,reason="unknown"} 1"#, "drover_vm_migration_targets{} 0",
      ])
    #expect(
      shown([.cpuModel, .unknown], 0) == [
        "drover_vm_migratable{} 0", #"drover_vm_not_migratable{,reason="cpu_model"} 1"#,
        #"drover_vm_not_migratable{,reason="unknown"} 1"#, "drover_vm_migration_targets{} 0",
      ])
    #expect(shown(nil, nil) == [])
  }

  @Test("count decisions and aborts from 0 on, and time those that were sent")
  func control() {
    var totals = ControlTotals()
    func shown(_ family: String) -> [String] {
      var context = recordedContext(vms: .blocked)
      context.control = totals
      return ScrapeRenderer().render(FleetSnapshot(), in: context).text.split(separator: "\n").map(
        String.init
      )
      .filter { $0.hasPrefix(family) }.map { String($0.dropFirst(family.utf8.count)) }
    }
    #expect(shown("drover_abort_hold").map { $0.suffix(2) } == HoldReason.allCases.map { _ in " 0" })
    totals.holds = [.partition]
    #expect(shown("drover_abort_hold").contains(#"{reason="partition"} 1"#))
    let none = shown("drover_abort_decisions_total")
    #expect(none.count == Trigger.allCases.count * DecisionKind.allCases.count)
    #expect(none.allSatisfy { $0.hasSuffix(" 0") })
    #expect(shown("drover_aborts_total").count == Trigger.allCases.count * 3)
    #expect(shown("drover_abort_latency_seconds") == [])
    totals.count(.person, .acted)
    totals.count(.person, .aborted, after: .milliseconds(300))
    #expect(
      shown("drover_abort_decisions_total").contains(#"{trigger="person",decision="acted"} 1"#))
    #expect(shown("drover_aborts_total").contains(#"{trigger="person",result="aborted"} 1"#))
    let latency = shown("drover_abort_latency_seconds")
    #expect(latency.contains(#"_bucket{trigger="person",result="aborted",le="0.25"} 0"#))
    #expect(latency.contains(#"_bucket{trigger="person",result="aborted",le="0.5"} 1"#))
    #expect(latency.contains(#"_sum{trigger="person",result="aborted"} 0.3"#))
  }

  @Test("of a standby are of itself and its back ends only")
  func standby() {
    var context = recordedContext(vms: .all)
    context.isLeader = false
    let text = ScrapeRenderer().render(recordedFleet(), in: context).text
    #expect(text.contains("\ndrover_leader 0\n") && text.contains("\ndrover_backend_up{"))
    for prefix in ["drover_migration", "drover_vm_", "drover_node_"] {
      #expect(!text.contains("\n\(prefix)"), "\(prefix)")
    }
    context.isLeader = true
    #expect(ScrapeRenderer().render(recordedFleet(), in: context).text.contains("\ndrover_migration_info{"))
  }

  @Test("are all tested here")
  func complete() {
    let tested = Set((Self.shownOnes + ClusterFamiliesTests.shownOnes).map(\.0)).union(Self.vmFamilies)
      .union(Self.measured).union(Self.histograms).union([Self.drainOutcome]).union(Self.control)
    #expect(tested == Set(FleetFamilies.all.map(\.declaration.name)))
  }

  @Test(
    "show the VMs that are asked for",
    arguments: [
      (
        .blocked,
        [
          "drover_vm_migratable": [("db \\\"primary\\\"", "", "0"), ("twin", "", "0")],
          "drover_vm_not_migratable": [
            ("db \\\"primary\\\"", ",reason=\"host_device\"", "1"),
            ("db \\\"primary\\\"", ",reason=\"gpu\"", "1"),
            ("twin", ",reason=\"other\"", "1"),
          ],
          "drover_vm_consecutive_failed_migrations": [("flaky", "", "3")],
        ]
      ),
      (
        .all,
        [
          "drover_vm_migratable": [
            ("db \\\"primary\\\"", "", "0"), ("flaky", "", "1"), ("twin", "", "0"), ("web-1", "", "1"),
          ],
          "drover_vm_not_migratable": [
            ("db \\\"primary\\\"", ",reason=\"host_device\"", "1"),
            ("db \\\"primary\\\"", ",reason=\"gpu\"", "1"),
            ("twin", ",reason=\"other\"", "1"),
          ],
          "drover_vm_consecutive_failed_migrations": [("flaky", "", "3")],
        ]
      ),
      (.none, ["drover_vm_consecutive_failed_migrations": [("flaky", "", "3")]]),
    ] as [(VMSelection, [String: [(String, String, String)]])])
  func vms(_ selection: VMSelection, _ expected: [String: [(vm: String, reason: String, value: String)]]) {
    for family in Self.vmFamilies {
      let samples = (expected[family] ?? []).map { vm, reason, value in
        "{backend=\"rack1\",host=\"node-1\",vm=\"\(vm)\"\(reason)} \(value)"
      }
      let shown = lines(of: family, vms: selection).filter { $0.contains("rack1") }
      #expect(shown == samples, "\(family)")
    }
  }

  @Test(
    "show what a drain does to VMs: those that hold it up and are shut down unless all are asked for",
    arguments: [
      (.blocked, ["gpu": "blocks", "batch": "will_be_shut_down"]),
      (.all, ["api": "migrates", "db": "migrates", "gpu": "blocks", "batch": "will_be_shut_down"]),
      (.none, [:]),
    ] as [(VMSelection, [String: String])])
  func drainOutcomes(_ selection: VMSelection, _ expected: [String: String]) {
    let samples = ["api", "db", "gpu", "batch"].compactMap { name in
      expected[name].map { #"{backend="prod",namespace="shop",vm="\#(name)",outcome="\#($0)"} 1"# }
    }
    #expect(lines(of: Self.drainOutcome, vms: selection) == samples)
    let migratable = lines(of: "drover_vm_migratable", vms: selection).filter { $0.contains("prod") }
    let blocked = [
      #"{backend="prod",namespace="shop",vm="gpu"} 0"#, #"{backend="prod",namespace="shop",vm="batch"} 1"#,
    ]
    switch selection {
    case .blocked: #expect(migratable == blocked)
    case .all: #expect(migratable == [#"{backend="prod",namespace="shop",vm="api"} 1"#] + blocked)
    case .none: #expect(migratable == [])
    }
    let failing = lines(of: "drover_vm_consecutive_failed_migrations", vms: selection)
    #expect(failing.contains(#"{backend="prod",namespace="shop",vm="db"} 2"#))
  }

  @Test(
    "show a dirty rate wherever one is measured, unless no VMs are asked for", arguments: VMSelection.allCases
  )
  func dirtyRates(_ selection: VMSelection) {
    let expected = [
      #"{backend="hv",host="hv-1",vm="idle"} 0"#, #"{backend="hv",host="hv-1",vm="writer"} 23068672"#,
    ]
    #expect(
      lines(of: "drover_vm_dirty_bytes_per_second", vms: selection) == (selection == .none ? [] : expected))
  }

  @Test("show no dirty rate, nor its header, where none is measured")
  func noDirtyRates() {
    var fleet = recordedFleet()
    fleet.dirtyRates = [:]
    let text = ScrapeRenderer().render(fleet, in: recordedContext(vms: .all)).text
    #expect(!text.contains("drover_vm_dirty"))
  }

  @Test("add the buckets of a histogram up")
  func histogram() {
    var snapshot = FleetSnapshot()
    var outcome = OutcomeHistograms(backend: rack, outcome: .failed)
    outcome.downtime = Histogram(bounds: [0.05, 1, 1_000_000])
    for value in [0.05, 0.25, 0.5, 2_000_000] { outcome.downtime.observe(value) }
    snapshot.totals.outcomes = [outcome]
    let labels = #"backend="rack1",outcome="failed""#
    #expect(
      lines(of: "drover_migration_final_downtime_seconds", in: snapshot) == [
        "_bucket{\(labels),le=\"0.05\"} 1", "_bucket{\(labels),le=\"1.0\"} 3",
        "_bucket{\(labels),le=\"1e+06\"} 3",
        "_bucket{\(labels),le=\"+Inf\"} 4", "_sum{\(labels)} 2000000.8", "_count{\(labels)} 4",
      ])
  }
}
