import Testing

@testable import DroverCore
@testable import Exposition

@Suite("Families of migrations")
struct MigrationFamiliesTests {
  private static let labels = #"backend="rack1",host="node-1",vm="web-1",migration="5f3c-1790000000000""#

  /// Sample lines without the labels that all have.
  private func lines(_ views: [MigrationView], of family: String) -> [String] {
    let text = ScrapeRenderer().render(snapshot([group(1, views)]), parts: [.migrations], in: context()).text
    return text.split(separator: "\n").map(String.init)
      .filter { $0.hasPrefix(family + "{") || $0.hasPrefix(family + " ") }
      .map { $0.replacing(Self.labels + ",", with: "…").replacing(Self.labels, with: "…") }
  }

  private static let toldOnes: [(String, [String])] = [
    ("drover_migration_info", [#"{…source="node-1",target="node-2",origin="manual"} 1"#]),
    (
      "drover_migration_verdict",
      [
        #"{…verdict="network_lost"} 0"#, #"{…verdict="stalled"} 0"#, #"{…verdict="not_converging"} 0"#,
        #"{…verdict="slow"} 0"#, #"{…verdict="converging"} 1"#, #"{…verdict="unknown"} 0"#,
      ]
    ),
    (
      "drover_migration_vm_running",
      [
        #"{…on="source"} 1"#, #"{…on="target"} 0"#, #"{…on="both"} 0"#, #"{…on="none"} 0"#,
        #"{…on="unknown"} 0"#,
      ]
    ),
    (
      "drover_migration_phase",
      [
        #"{…phase="pending"} 0"#, #"{…phase="scheduling"} 0"#, #"{…phase="preparing"} 0"#,
        #"{…phase="precopy"} 1"#,
        #"{…phase="postcopy"} 0"#, #"{…phase="postcopy_paused"} 0"#, #"{…phase="switchover"} 0"#,
        #"{…phase="guest_suspended"} 0"#, #"{…phase="aborting"} 0"#, #"{…phase="succeeded"} 0"#,
        #"{…phase="failed"} 0"#, #"{…phase="aborted"} 0"#,
      ]
    ),
    ("drover_migration_outcome_info", []),
    ("drover_migration_pending_reason", []),
    ("drover_migration_queue_position", []),
    ("drover_migration_created_timestamp_seconds", []),
    ("drover_migration_start_timestamp_seconds", ["{…} 1790000000"]),
    ("drover_migration_end_timestamp_seconds", []),
    ("drover_migration_phase_entered_timestamp_seconds", ["{…} 1790000000.25"]),
    ("drover_migration_sample_timestamp_seconds", ["{…} 1790000100"]),
    ("drover_migration_expected_end_timestamp_seconds", ["{…} 1790000142.5"]),
    ("drover_migration_transferred_bytes_total", ["{…} 8589934592"]),
    ("drover_migration_memory_transferred_bytes_total", ["{…} 6442450944"]),
    ("drover_migration_disk_transferred_bytes_total", ["{…} 2147483648"]),
    ("drover_migration_size_bytes", ["{…} 8589934592"]),
    ("drover_migration_remaining_bytes", ["{…} 4294967296"]),
    ("drover_migration_memory_remaining_bytes", ["{…} 1073741824"]),
    ("drover_migration_disk_remaining_bytes", ["{…} 3221225472"]),
    ("drover_migration_best_remaining_bytes", ["{…} 4194304000"]),
    ("drover_migration_dirty_bytes_per_second", ["{…} 20971520"]),
    ("drover_migration_transfer_bytes_per_second", ["{…} 117964800"]),
    ("drover_migration_progress_ratio", ["{…} 0.5"]),
    ("drover_migration_cpu_throttle_ratio", ["{…} 0.2"]),
    ("drover_migration_iterations_total", ["{…} 3"]),
    ("drover_migration_postcopy_requests_total", ["{…} 0"]),
    ("drover_migration_expected_downtime_seconds", ["{…} 0.312"]),
    ("drover_migration_downtime_seconds", []),
    ("drover_migration_downtime_limit_seconds", ["{…} 0.3"]),
    ("drover_migration_bandwidth_limit_bytes_per_second", ["{…} 134217728"]),
    (
      "drover_migration_completion_timeout_seconds",
      [#"{…set_by="config",enforced_by="none",action="none"} 6400"#]
    ),
    ("drover_migration_progress_timeout_seconds", [#"{…set_by="config",enforced_by="none"} 150"#]),
    ("drover_migration_completion_deadline_timestamp_seconds", ["{…} 1790006400"]),
    ("drover_migration_progress_deadline_timestamp_seconds", ["{…} 1790000249"]),
    (
      "drover_migration_deadline_uncertainty_seconds",
      [#"{…deadline="completion"} 0"#, #"{…deadline="progress"} 0"#]
    ),
    ("drover_migration_last_sent_timestamp_seconds", ["{…} 1790000099.5"]),
    ("drover_migration_last_remaining_drop_timestamp_seconds", ["{…} 1790000099"]),
    ("drover_migration_last_best_timestamp_seconds", ["{…} 1790000097.875"]),
    ("drover_migration_interruptions_total", ["{…} 1"]),
    ("drover_migration_interrupted_seconds_total", ["{…} 2.75"]),
  ]

  /// What only libvirt, and the kernel of its host, tell of the same migration.
  private static let watchedOnes: [(String, [String])] = [
    ("drover_migration_keepalive_timeout_seconds", [#"{…method="measured"} 30"#]),
    ("drover_migration_keepalive_deadline_timestamp_seconds", ["{…} 1790000127.75"]),
    (
      "drover_migration_connection_last_heard_timestamp_seconds",
      [#"{…connection="control"} 1790000097.75"#, #"{…connection="data"} 1790000099.875"#]
    ),
    (
      "drover_migration_connection_unacked_bytes",
      [#"{…connection="control"} 0"#, #"{…connection="data"} 524288"#]
    ),
    (
      "drover_migration_connection_retransmits_total",
      [#"{…connection="control"} 1"#, #"{…connection="data"} 17"#]
    ),
    ("drover_migration_network_lost", []),
  ]

  @Test("show what is told of a running migration", arguments: toldOnes)
  func told(_ family: String, _ samples: [String]) {
    #expect(lines([running()], of: family) == samples.map { family + $0 })
  }

  @Test("show what a host's kernel tells of one, and nothing where nobody asks it", arguments: watchedOnes)
  func network(_ family: String, _ samples: [String]) {
    #expect(lines([watched()], of: family) == samples.map { family + $0 })
    #expect(lines([running()], of: family) == [])
  }

  @Test("are all in the tables above")
  func complete() {
    let tested = (Self.toldOnes + Self.watchedOnes).map(\.0)
    #expect(Set(tested) == Set(MigrationFamilies.all.map(\.declaration.name)))
  }

  @Test("show how much later a keepalive may end it, beside the other deadlines")
  func keepaliveUncertainty() {
    let family = "drover_migration_deadline_uncertainty_seconds"
    #expect(
      lines([watched()], of: family)
        == [#"{…deadline="completion"} 0"#, #"{…deadline="progress"} 0"#, #"{…deadline="keepalive"} 1.5"#]
        .map { family + $0 })
  }

  @Test("show an inferred keepalive, which counts from the bytes that were sent last")
  func inferredKeepalive() {
    let view = watched { report in
      report.keepalive = .inferred(.remote)
      report.control = nil
      report.data = nil
    }
    for (family, sample) in [
      ("drover_migration_keepalive_timeout_seconds", #"{…method="inferred"} 30"#),
      // The last bytes went at 99.5; the peer may not have been heard for an interval then.
      ("drover_migration_keepalive_deadline_timestamp_seconds", "{…} 1790000124.5"),
    ] {
      #expect(lines([view], of: family) == [family + sample])
    }
    let uncertainty = lines([view], of: "drover_migration_deadline_uncertainty_seconds")
    #expect(uncertainty.last?.hasSuffix(#"{…deadline="keepalive"} 5"#) == true)
    #expect(lines([view], of: "drover_migration_connection_last_heard_timestamp_seconds").isEmpty)
  }

  @Test(
    "show no keepalive where there is none",
    arguments: [KeepaliveBasis.none(.notPeerToPeer), .none(.disabled)])
  func noKeepalive(_ basis: KeepaliveBasis) {
    let view = watched { $0.keepalive = basis }
    let text = ScrapeRenderer().render(snapshot([group(1, [view])]), parts: [.migrations], in: context()).text
    #expect(!text.contains("keepalive"))
    #expect(text.contains("drover_migration_connection_last_heard_timestamp_seconds"))
  }

  @Test("show a series for each network that is lost, and none of what is not seen")
  func lostNetworks() {
    let family = "drover_migration_network_lost"
    func lost(_ change: (inout NetworkReport) -> Void) -> [String] {
      lines([watched(change: change)], of: family)
    }
    #expect(
      lost { report in
        report.control?.lastHeard = at(80)
        report.data?.lastHeard = at(80)
        report.sharesWire = false
      } == [#"\#(family){…network="management"} 1"#, #"\#(family){…network="migration"} 1"#])
    let view = watched { report in
      report.control = nil
      report.data?.lastHeard = at(80)
      report.data?.unacked = nil
      report.data?.retransmits = nil
    }
    #expect(lines([view], of: family) == [#"\#(family){…network="migration"} 1"#])
    #expect(lines([view], of: "drover_migration_connection_last_heard_timestamp_seconds").count == 1)
    for name in ["unacked_bytes", "retransmits_total"] {
      #expect(lines([view], of: "drover_migration_connection_\(name)").isEmpty)
    }
  }

  @Test(
    "show what only an end tells",
    arguments: [
      ("drover_migration_outcome_info", #"{…outcome="failed",cause="target_lost",certainty="reported"} 1"#),
      ("drover_migration_end_timestamp_seconds", "{…} 1790000120"),
      ("drover_migration_downtime_seconds", "{…} 0.187"),
    ])
  func end(_ family: String, _ sample: String) {
    let view = ended(.failed, cause: .targetLost)
    #expect(lines([view], of: family) == [family + sample])
  }

  @Test("leave out the cause of a success")
  func success() {
    #expect(
      lines([ended()], of: "drover_migration_outcome_info") == [
        #"drover_migration_outcome_info{…outcome="succeeded",certainty="reported"} 1"#
      ])
  }

  @Test("stay after the end only where they say what happened")
  func afterTheEnd() {
    // A view that still has every number: the families decide, not the tracker's tidiness.
    var view = ended()
    let before = watched { $0.control?.lastHeard = at(80) }
    view.network = before.network
    view.networkLosses = before.networkLosses
    view.keepalive = before.keepalive
    view.waiting = PendingWait(reason: .quota, position: 1)
    view.createdAt = at(-5)
    let text = ScrapeRenderer().render(snapshot([group(1, [view])]), parts: [.migrations], in: context()).text
    let names = Set(text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { $0.prefix { $0 != "{" } })
    #expect(
      names == [
        "drover_migration_info", "drover_migration_phase", "drover_migration_outcome_info",
        "drover_migration_created_timestamp_seconds", "drover_migration_start_timestamp_seconds",
        "drover_migration_end_timestamp_seconds", "drover_migration_phase_entered_timestamp_seconds",
        "drover_migration_vm_running", "drover_migration_transferred_bytes_total",
        "drover_migration_memory_transferred_bytes_total", "drover_migration_disk_transferred_bytes_total",
        "drover_migration_downtime_seconds", "drover_migration_downtime_limit_seconds",
      ])
  }

  @Test("of an untold number are absent, headers too")
  func absent() {
    let text = ScrapeRenderer().render(
      snapshot([group(1, [migration("quiet", phase: .preparing)])]), parts: [.migrations], in: context()
    ).text
    for name in [
      "remaining_bytes", "size_bytes", "progress_ratio", "deadline", "timeout", "downtime", "last_sent",
    ] {
      #expect(!text.contains("drover_migration_\(name)"))
    }
  }

  @Test("name a namespace where there is one")
  func namespace() {
    let name = VMRef(backend: BackendName(rawValue: "prod"), scope: .namespace("shop"), name: "db")
    let domain = DomainKey(backend: rack, socketPath: "x")
    let id = MigrationID(domain: domain, startedUnixMilliseconds: 7)
    let view = bareMigration(id: id, vm: name, domain: domain)
    let text = ScrapeRenderer().render(snapshot([group(1, [view])]), in: context()).text
    #expect(
      text.contains(
        "drover_migration_start_timestamp_seconds{backend=\"prod\",namespace=\"shop\",vm=\"db\",migration=\"\(id)\"} 1790000000\n"
      ))
  }

  @Test("leave empty labels out")
  func emptyLabels() {
    let name = VMRef(backend: BackendName(rawValue: ""), scope: .host(""), name: "db")
    let domain = DomainKey(backend: rack, socketPath: "x")
    let id = MigrationID(domain: domain, startedUnixMilliseconds: 7)
    let view = bareMigration(id: id, vm: name, domain: domain)
    let text = ScrapeRenderer().render(snapshot([group(1, [view])]), in: context()).text
    #expect(
      text.contains("drover_migration_info{vm=\"db\",migration=\"\(id)\",origin=\"unknown\"} 1\n"))
  }

  @Test("show a ratio to a millionth")
  func ratio() {
    var view = running()
    view.facts.size = 3
    view.sample.disk = nil
    view.sample.memory = StreamCounters(transferred: 0, remaining: 1)
    #expect(
      lines([view], of: "drover_migration_progress_ratio") == ["drover_migration_progress_ratio{…} 0.666667"])
  }
}
