import DroverCore
import DroverService
import Foundation
import KubeLab
import QEMURig
import Synchronization
import Testing

extension LabTests {
  @Suite(
    "KubeVirt: aborts without a person, from the verdict through Prometheus and Alertmanager to the API server"
  )
  struct KubeAutomatic {
    /// Rules end what has a label, and so would alerts what does not converge.
    private static func configuration(_ tokenFile: String) -> String {
      """
      access: [{tokenFile: "\(tokenFile)", rights: [alerts]}]
      control:
        switches: {manual: enabled, policies: enabled, alerts: enabled}
        alerts: {names: [DroverMigrationNotConverging]}
        rules:
          - name: armed
            match: {labels: {proof: [policy, other]}}
            when: {completion_timeout: abort, progress_timeout: abort, not_converging: abort}
          - {name: rest, when: {not_converging: observe}}
      """
    }

    @Test(
      "two Drovers, two Prometheuses, two Alertmanagers: one abort each, also when the leader is killed or frozen before; what would come back is refused"
    )
    func loop() async throws {
      try await Cluster.with { cluster in
        try await cluster.addKubeVirt(version: "1.9.0", migrations: ["progressTimeout": 20])
        for node in ["n1", "n2", "n3", "n4", "n5"] { try await cluster.addNode(node) }
        try await cluster.addPolicy("short", vmLabels: ["proof": "policy"], ["completionTimeoutPerGiB": 1])
        try await cluster.handlers.setInterval(KubeScene.sampling)
        try await cluster.grant("everything", [Cluster.Rule(["*"], ["*"], ["*"])], to: .user(.drover))
        let token = try cluster.server.write("s3cret\n", to: "alerts.token")
        try await Replica.with(cluster, count: 2, as: .drover, configuration: Self.configuration(token)) {
          replicas in
          try await KubeAlerting.with(replicas, tokenFile: token, repeating: "5s") { stack in
            let stage = Stage(cluster: cluster, replicas: replicas, stack: stack)
            let kept = try await stage.prepareWhatStays()
            try await stage.abortsOnce()
            try await stage.leaderIsKilled()
            try await stage.leaderIsFrozen()
            try await stage.holdSurvives()
            try await stage.verify(kept)
          }
        }
      }
    }
  }
}

/// The cluster, and all that looks at it.
private struct Stage {
  let cluster: Cluster
  let replicas: [Replica]
  let stack: KubeAlerting

  private struct Missed: Error, CustomStringConvertible {
    let description: String
  }

  private func until<Found>(
    _ what: String, seconds: Int = 60, _ look: () async throws -> Found?
  ) async throws -> Found {
    let end = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < end {
      if let found = try await look() { return found }
      try await Task.sleep(for: .milliseconds(50))
    }
    throw Missed(
      description: "\(what) within \(seconds) s; answers to alerts: \(stack.service.answers)\n"
        + replicas.map(\.log).joined(separator: "\n---\n") + stack.log)
  }

  private func say(_ words: String) { print("lab: \(words)") }

  /// A copy in its first long pass: it ends some day.
  private func migrating(_ name: String) async throws -> Migration {
    let vm = try await cluster.addVMI(name, on: "n4")
    let migration = try await cluster.createVMIM(for: vm)
    try await migration.advance(to: .running, on: "n5")
    try await cluster.handlers.begin(migration.copy, total: 2 << 30, rate: 4 << 20, dirtyRate: 0)
    return migration
  }

  /// From now on its guest dirties as fast as is sent.
  private func makeEndless(_ migration: Migration) async throws {
    try await cluster.handlers.change(migration.copy, rate: 640 << 20, dirtyRate: 680 << 20)
  }

  private func isDeleted(_ migration: Migration) async throws -> Bool {
    try await migration.object()?[path: "metadata", "deletionTimestamp"] != nil
  }

  /// What Drovers asked for that changes a migration's object.
  private func changes(_ migration: Migration) async throws -> [String] {
    try await cluster.server.requests().filter { asked in
      asked.resource.hasPrefix("virtualmachineinstancemigrations") && asked.name == migration.name
        && !["get", "list", "watch"].contains(asked.verb)
    }.map { "\($0.verb) \($0.status)" }
  }

  /// Sends both replicas the same alert again, as an Alertmanager that has heard of nothing would.
  private func repeatAlert(_ migration: Migration) async throws {
    let body = """
      {"version": "4", "status": "firing", "alerts": [{"status": "firing", "fingerprint": "again",
        "labels": {"alertname": "DroverMigrationNotConverging", "drover_action": "abort", "backend": "kube",
          "namespace": "\(migration.namespace)", "vm": "\(migration.vm.name)", "migration": "\(migration.uid)",
          "verdict": "not_converging"}}]}
      """
    for _ in 0..<3 {
      for replica in replicas {
        let status = await forward(Array(body.utf8), authorization: "Bearer s3cret", to: replica.port).status
        #expect([200, 503].contains(status))
      }
    }
  }

  private func end(_ migration: Migration) async throws {
    try await migration.acknowledgeAbort()
    try await migration.finishAbort()
    try await cluster.handlers.finish(migration.copy)
  }

  // MARK: What nothing may end

  struct Kept {
    /// What would come back.
    let returning: [Migration]
    /// What has passed the time-outs that KubeVirt enforces itself.
    let late: Migration
  }

  func prepareWhatStays() async throws -> Kept {
    let labels = ["proof": "policy"]
    var returning: [Migration] = []
    for (name, node, origin) in [
      ("tainted", "n1", Cluster.Origin.evacuation("n1")), ("upgraded", "n2", .evacuation("n2")),
      ("evicted", "n3", .evacuation("n3")), ("updated", "n3", .workloadUpdate),
    ] {
      let vm = try await cluster.addVMI(name, on: node, labels: labels)
      if name == "evicted" { try await vm.markForEviction() }
      let migration = try await cluster.createVMIM(for: vm, origin: origin)
      try await migration.advance(to: .running, on: "n5")
      try await cluster.handlers.begin(
        migration.copy, total: 2 << 30, rate: 640 << 20, dirtyRate: 680 << 20)
      returning.append(migration)
    }
    try await cluster.taint("n1", value: nil)
    try await cluster.taint("n2")
    let vm = try await cluster.addVMI("late", on: "n4", labels: labels)
    let late = try await cluster.createVMIM(for: vm)
    try await late.advance(to: .running, on: "n5")
    try await cluster.handlers.begin(late.copy, total: 2 << 30, rate: 640 << 20, dirtyRate: 0)
    try await cluster.handlers.freeze(late.copy)
    return Kept(returning: returning, late: late)
  }

  func verify(_ kept: Kept) async throws {
    var decisions: [DecisionItem] = []
    for replica in replicas { decisions += try await replica.decisions() }
    for migration in kept.returning {
      #expect(try await changes(migration) == [], "\(migration.vm.name) is touched")
      #expect(try await !isDeleted(migration))
      let own = decisions.filter { $0.migration == migration.uid }
      for who in ["rule armed", "alert DroverMigrationNotConverging"] {
        let refused = own.filter { $0.requester == who && $0.kind == "refused" }
        #expect(!refused.isEmpty, "\(migration.vm.name): \(own.map(\.text))")
        #expect(refused.allSatisfy { $0.refusal == "comes_back" }, "\(refused.map(\.text))")
      }
      #expect(!own.contains { $0.kind == "acted" })
    }
    let own = decisions.filter { $0.migration == kept.late.uid }
    for trigger in ["completion_timeout", "progress_timeout"] {
      let observed = own.filter { $0.trigger == trigger }
      #expect(!observed.isEmpty && observed.allSatisfy { $0.kind == "observed" }, "\(own.map(\.text))")
      #expect(
        observed.allSatisfy { $0.requester == "rule armed" && $0.text.contains("KubeVirt itself enforces") })
    }
    #expect(try await changes(kept.late) == [])
  }

  // MARK: What is ended once

  func abortsOnce() async throws {
    let migration = try await migrating("first")
    let leader = try await Replica.leader(of: replicas, "a leader")
    _ = try await until("counters") { try await leader.migration(migration.uid)?.transferredBytes }
    try await makeEndless(migration)
    let verdict = try await until("the verdict") {
      let item = try await leader.migration(migration.uid)
      return item?.verdict == "not_converging" ? item?.sampledAt : nil
    }
    _ = try await until("the abort") { try await isDeleted(migration) ? true : nil }
    let acted = try await until("its record") {
      try await leader.decisions().first { $0.migration == migration.uid && $0.kind == "acted" }
    }
    let took = acted.madeAt.seconds(since: verdict)
    say("from the first sample with the verdict to the abort, two of everything: \(took) s")
    #expect(took <= 15 && acted.requester == "alert DroverMigrationNotConverging")
    try await repeatAlert(migration)
    #expect(try await changes(migration) == ["delete 200"])
    try await end(migration)
    let item = try await until("the end") {
      let item = try await leader.migration(migration.uid)
      return item?.ending == nil ? nil : item
    }
    #expect(item.ending?.outcome == "aborted" && item.ending?.cause == "alert_abort", "\(item)")
  }

  func leaderIsKilled() async throws {
    let migration = try await migrating("second")
    let leader = try await Replica.leader(of: replicas, "a leader")
    _ = try await until("counters") { try await leader.migration(migration.uid)?.transferredBytes }
    let killedAt = Mutex<ContinuousClock.Instant?>(nil)
    stack.service.intercept(migration.uid) {
      let isFirst = killedAt.withLock { at in
        defer { at = at ?? ContinuousClock.now }
        return at == nil
      }
      if isFirst { leader.send(SIGKILL) }
      return .on(isFirst ? leader.port : nil)
    }
    try await makeEndless(migration)
    let at = try await until("the alert") { killedAt.withLock(\.self) }
    #expect(try await !isDeleted(migration), "the abort came before the alert")
    try leader.start()
    _ = try await until("the abort by the next leader") { try await isDeleted(migration) ? true : nil }
    say(
      "from the leader's death between alert and abort to the abort by the next: \(ContinuousClock.now - at)")
    try await repeatAlert(migration)
    #expect(try await changes(migration) == ["delete 200"])
    stack.service.intercept(migration.uid, nil)
    try await end(migration)
  }

  func leaderIsFrozen() async throws {
    let migration = try await migrating("third")
    let leader = try await Replica.leader(of: replicas, "a leader")
    let other = try #require(replicas.first { $0.number != leader.number })
    _ = try await until("counters") { try await leader.migration(migration.uid)?.transferredBytes }
    let isFrozen = Mutex(false)
    let uid = migration.uid
    stack.service.intercept(uid) {
      let isFirst = isFrozen.withLock { frozen in
        defer { frozen = true }
        return !frozen
      }
      // The request waits in its socket until it goes on.
      if isFirst { leader.send(SIGSTOP) }
      return .on(isFirst ? leader.port : nil)
    }
    try await makeEndless(migration)
    _ = try await until("the alert") { isFrozen.withLock(\.self) ? true : nil }
    _ = try await Replica.leader(of: [other], "another leader while the first is frozen")
    let at = ContinuousClock.now
    leader.send(SIGCONT)
    do {
      _ = try await until("the abort by the next leader") { try await isDeleted(migration) ? true : nil }
    } catch {
      say("the copy: \(try await cluster.handlers.numbers(of: migration.copy))")
      say("as it is seen: \(try await other.migration(uid).map { "\($0)" } ?? "not at all")")
      throw error
    }
    say("from the thaw of the frozen leader to the abort by the next: \(ContinuousClock.now - at)")
    try await repeatAlert(migration)
    #expect(try await changes(migration) == ["delete 200"])
    let records = try await leader.decisions().filter { $0.migration == uid && $0.kind == "acted" }
    #expect(records.allSatisfy { $0.result == "error" }, "\(records)")
    stack.service.intercept(uid, nil)
    try await end(migration)
  }

  /// Three aborts by three leaders are as many as the fleet may have; what a person says of that, the next one knows.
  func holdSurvives() async throws {
    func holds(_ replica: Replica) async throws -> Bool {
      try await replica.metrics().contains("drover_abort_hold{reason=\"breaker\"} 1\n")
    }
    let leader = try await Replica.leader(of: replicas, "a leader")
    let other = try #require(replicas.first { $0.number != leader.number })
    _ = try await until("the hold") { try await holds(leader) ? true : nil }
    let map = try await cluster.api.get(.configMaps, leader.lease, in: "default")
    let reset = try await leader.run(["decisions", "--reset-hold"])
    #expect(reset.code == 0 && reset.output.contains("ended: breaker"), "\(reset)")
    let after = try await cluster.api.get(.configMaps, leader.lease, in: "default")
    #expect(map[path: "data", "claims.json"]?.string?.contains("breakerResetAt") == false)
    #expect(after[path: "data", "claims.json"]?.string?.contains("breakerResetAt") == true)
    leader.send(SIGTERM)
    _ = try await Replica.leader(of: [other], "the other one")
    _ = try await until("what it knows") {
      try await other.metrics().contains("drover_abort_hold{reason=\"takeover\"} 0\n") ? true : nil
    }
    #expect(try await !holds(other), "a person's reset is not known to the next leader")
  }
}
