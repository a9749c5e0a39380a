import DroverCore
import FoundationEssentials
import KubeLab
import KubeVirtBackend
import QEMURig
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("KubeVirt: an API server that goes, forgets, refuses or says nonsense")
  struct KubeServer {
    @Test("no event is lost, and none counted twice, when the API server is killed, and forgets what was")
    func outages() async throws {
      try await KubeScene.with(
        as: .drover, prepare: { try await $0.grant("all", [Cluster.Rule(["*"], ["*"], ["*"])]) }
      ) { scene in
        let cluster = scene.cluster
        let lasting = try await scene.migrating("lasting")
        let ending = try await scene.migrating("ending")
        let third = try await cluster.addVMI("third", on: "n3")
        let fourth = try await cluster.addVMI("fourth", on: "n3")
        let before = try await scene.until("bytes", lasting) { $0.sample.transferred != nil }
        try await scene.until("a start", ending) { $0.phase == .precopy }
        #expect(scene.watcher.record.countedStarts == 2)

        try await cluster.server.kill()
        try await scene.watcher.until("that it is down") { $0.isUp ? nil : true }
        try await cluster.server.launch()
        let back = ContinuousClock.now
        try await scene.watcher.until("that it is up again") { $0.isUp ? true : nil }
        print("lab: up again \(ContinuousClock.now - back) after the server")
        let same = try #require(scene.view(lasting))
        #expect(same.startedAt == before.startedAt && same.phase == .precopy)
        #expect(scene.watcher.record.countedStarts == 2 && scene.watcher.record.countedEnds == 0)

        // Locked out, with a server that forgets everything but the newest: one that ran ends, one comes and succeeds, one
        // comes and fails.
        try await cluster.server.accept([.admin])
        try await scene.watcher.until("that it is refused") { $0.isUp ? nil : true }
        try await ending.succeed()
        let unseen = try await cluster.createVMIM(for: third)
        try await unseen.advance(to: .running, on: "n1")
        try await unseen.succeed()
        let failing = try await cluster.createVMIM(for: fourth)
        try await failing.advance(to: .running, on: "n1")
        try await failing.fail(.libvirt("internal error: client socket is closed"))
        try await cluster.server.compact()
        try await cluster.server.accept(User.all)
        // A refusal is asked again after a minute, and what is too old is listed anew after another pause.
        let longest = Duration.seconds(180)
        for migration in [ending, unseen] {
          let over = try await scene.until("the end", migration, within: longest) { $0.isOver }
          #expect(over.phase == .succeeded)
        }
        let failed = try await scene.until("the end", failing, within: longest) { $0.isOver }
        #expect(failed.phase == .failed && failed.guest == .source)
        try await scene.watcher.until("all at once") { record in
          record.countedEnds == 3 && record.isUp ? true : nil
        }
        #expect(scene.watcher.record.countedStarts == 4)
        #expect(scene.view(lasting)?.phase == .precopy)
        try await scene.watcher.until("four VMs where they are") { record in
          record.snapshot.nodes.reduce(0) { $0 + $1.vms } == 4 ? true : nil
        }

        let start = ContinuousClock.now
        try await lasting.complete()
        try await scene.until("a change", lasting) { $0.phase == .switchover }
        print("lab: a change is seen within \(ContinuousClock.now - start), its writing included")
        try await lasting.succeed()
        _ = try await scene.untilOver(lasting)
        #expect(scene.watcher.record.countedEnds == 4 && scene.watcher.record.countedStarts == 4)
        let asked = try await cluster.server.requests()
        let vmims = "virtualmachineinstancemigrations"
        #expect(asked.contains { $0.resource == vmims && $0.verb == "list" && $0.status == 200 })
        #expect(asked.allSatisfy { ["get", "list", "watch"].contains($0.verb) })
      }
    }

    @Test("a server that answers nothing makes old data, while virt-handler's numbers go on")
    func suspended() async throws {
      try await KubeScene.with { scene in
        let migration = try await scene.migrating()
        try await scene.cluster.handlers.begin(migration.copy, total: 1 << 40, rate: 1 << 20, dirtyRate: 0)
        let before = try await scene.until("bytes", migration) { $0.sample.transferred != nil }
        try await scene.cluster.server.suspend()
        let since = scene.watcher.clock.now()
        try await scene.watcher.until("an old success") { record in
          record.now - (record.lastSuccess ?? record.now) > .seconds(14) ? true : nil
        }
        let later = try #require(scene.view(migration))
        #expect(later.sampledAt > since && later.sample.transferred ?? 0 > before.sample.transferred ?? 0)
        #expect(later.phase == .precopy && later.networkLosses.isEmpty)
        try await scene.cluster.server.resume()
        try await scene.watcher.until("a new success") { record in
          record.isUp && record.now - (record.lastSuccess ?? since) < .seconds(11) ? true : nil
        }
        try await migration.succeed()
        #expect(try await scene.untilOver(migration).phase == .succeeded)
        #expect(scene.watcher.record.countedStarts == 1 && scene.watcher.record.countedEnds == 1)
      }
    }

    @Test("a token that is replaced in its file leaves no gap, also when the old one ends")
    func tokens() async throws {
      try await Cluster.with { cluster in
        try await cluster.addKubeVirt(version: "1.9.0")
        for node in ["n1", "n2"] { try await cluster.addNode(node) }
        try await cluster.addServiceAccount()
        let account = Cluster.Subject.serviceAccount("drover", namespace: "drover")
        try await cluster.grant("all", [Cluster.Rule(["*"], ["*"], ["get", "list", "watch"])], to: account)
        let first = try await cluster.token(boundTo: "one")
        let file = try cluster.server.write(first, to: "token")
        let kubeconfig = try cluster.server.kubeconfig(.tokenFile(file), name: "kubeconfig-file")
        try await KubeScene.watch(cluster, kubeconfig: kubeconfig) { scene in
          let seen = try await scene.migrating("one")
          try await scene.until("bytes", seen) { $0.sample.transferred != nil }
          try cluster.server.write(try await cluster.token(boundTo: "two"), to: "token")
          try await cluster.revokeToken(first, boundTo: "one")
          // What is asked anew: the pod of another node's virt-handler.
          let other = try await scene.migrating("two", from: "n2", to: "n1")
          try await scene.until("bytes", other) { $0.sample.transferred != nil }
          // And every watch.
          try await cluster.server.restart()
          try await seen.succeed()
          try await other.succeed()
          for migration in [seen, other] { _ = try await scene.untilOver(migration) }
          try await scene.watcher.until("that it is up") { $0.isUp ? true : nil }
          let errors = scene.watcher.record.snapshot.backends.first?.errors ?? []
          #expect(!errors.contains { $0.kind == "unauthorized" && $0.count > 0 }, "\(errors)")
          #expect(!scene.watcher.record.lines.contains { $0.lowercased().contains("unauthorized") })
          #expect(scene.watcher.record.countedEnds == 2)
        }
      }
    }

    @Test("without the right to one resource the rest goes on, and the log names the right")
    func rights() async throws {
      let needed: [Resource] = [
        .vmis, .vmims, .nodes, .kubeVirts, .policies, .namespaces, .events, .replicas, .pods, .configMaps,
      ]
      let denied: [Resource] = [.vmis, .nodes, .kubeVirts, .events, .pods, .namespaces, .policies]
      try await Cluster.with { cluster in
        try await cluster.addKubeVirt(version: "1.9.0")
        for node in ["n1", "n2"] { try await cluster.addNode(node) }
        try await cluster.handlers.setInterval(KubeScene.sampling)
        var configurations: [(resource: Resource, kubeconfig: String)] = []
        for resource in denied {
          let name = "without-\(resource.plural)"
          try await cluster.addServiceAccount(name)
          let rules = needed.filter { $0 != resource }.flatMap { Cluster.Rule.read($0) }
          try await cluster.grant(name, rules, to: .serviceAccount(name, namespace: "drover"))
          let token = try await cluster.token(of: name)
          configurations.append((resource, try cluster.server.kubeconfig(.token(token), name: name)))
        }
        let vm = try await cluster.addVMI("vm", on: "n1", migrationMethod: "LiveMigration")
        let migration = try await cluster.createVMIM(for: vm)
        try await migration.advance(to: .running, on: "n2")
        try await cluster.handlers.begin(migration.copy, total: 1 << 40, rate: 50 << 20, dirtyRate: 0)
        let all = configurations
        let ready = Gate(all.count)
        try await withThrowingTaskGroup(of: Void.self) { group in
          for (resource, kubeconfig) in all {
            group.addTask {
              try await KubeScene.watch(cluster, kubeconfig: kubeconfig, isWhole: false) { scene in
                try await Self.goesOn(scene, without: resource, migration)
                await ready.arrive()
                let over = try await scene.untilOver(migration)
                #expect(over.phase == .succeeded, "without \(resource.plural)")
                #expect(scene.watcher.record.countedEnds == 1)
              }
            }
          }
          group.addTask {
            try await ready.wait()
            try await migration.succeed()
          }
          try await group.waitForAll()
        }
      }
    }

    /// What is there without the right to a resource.
    private static func goesOn(
      _ scene: KubeScene, without resource: Resource, _ migration: Migration
    ) async throws {
      let what = "without \(resource.plural)"
      let seen = try await scene.until("a start, \(what)", migration) { $0.phase == .precopy }
      let line = try await scene.watcher.until("the missing right, \(what)") { record in
        record.lines.first { $0.contains(resource.plural) && $0.contains("orbidden") }
      }
      print("lab: \(line)")
      #expect(seen.facts.object == migration.name)
      switch resource {
      case .vmis:
        #expect(scene.watcher.record.isUp == false)
      case .pods:
        #expect(
          seen.facts.source == "n1" && seen.facts.target == "n2"
            && scene.view(migration)?.sample.transferred == nil)
      case .nodes:
        try await scene.until("bytes, \(what)", migration) { $0.sample.transferred != nil }
        #expect(scene.watcher.record.snapshot.nodes.allSatisfy { $0.isDrained != true })
      default:
        try await scene.until("bytes, \(what)", migration) { $0.sample.transferred != nil }
        try await scene.until("a VM, \(what)", node: "n1") { $0.vms == 1 }
        #expect(scene.watcher.record.isUp)
      }
    }

    @Test("nonsense is counted and logged once, and takes nothing else with it")
    func nonsense() async throws {
      try await KubeScene.with { scene in
        let cluster = scene.cluster
        let good = try await scene.migrating("good")
        try await scene.until("bytes", good) { $0.sample.transferred != nil }

        try await cluster.addVMI("huge", on: "n1") {
          $0[path: "spec", "domain", "memory"] = ["guest": "9999999999999999999999Ei"]
        }
        let odd = try await cluster.createVMIM(for: try await cluster.addVMI("odd", on: "n1"))
        try await odd.edit { $0[path: "status", "phase"] = "Teleporting" }
        let future = try await cluster.createVMIM(for: try await cluster.addVMI("future", on: "n2"))
        try await future.advance(to: .targetReady, on: "n3")
        let millennia = try Date("7026-01-01T00:00:00Z", strategy: .iso8601)
        try await future.running(at: millennia)
        let past = try await cluster.createVMIM(for: try await cluster.addVMI("past", on: "n2"))
        try await past.advance(to: .targetReady, on: "n3")
        try await past.running(at: Date(timeIntervalSince1970: 1))
        try await cluster.annotate("n3", ["kubevirt.io/heartbeat": "yesterday, or so"])
        for (number, time) in [(2, 1e300), (3, -1e300)] {
          try await cluster.handlers.setExtraText(
            """
            kubevirt_vmi_migration_data_processed_bytes{name="good",namespace="default",node="n1"} NaN
            kubevirt_vmi_migration_data_remaining_bytes{name="good",namespace="default",node="n1"} \(time)
            kubevirt_vmi_migration_data_bytes_total{name="good",namespace="default",node="n1"} -Inf \(number)
            this is { no metric

            """, of: "n1")
          let now = scene.watcher.clock.now()
          try await scene.until("numbers after nonsense", good) { $0.sampledAt > now + .seconds(2) }
        }
        for migration in [future, past] {
          let view = try await scene.until("a start", migration) { $0.phase == .precopy }
          let age = scene.watcher.clock.now() - view.startedAt
          #expect(age >= .zero && age < .seconds(60))
        }
        for kind in ["quantity", "unknown_phase", "clock_skew", "handler_garbled"] {
          try await scene.watcher.until("a count of \(kind)") { record in
            record.snapshot.backends.first?.errors.contains { $0.kind == kind && $0.count > 0 } == true
              ? true : nil
          }
        }
        // Objects change all the time; what is wrong with them is said once.
        try await odd.edit { $0[path: "status", "migrationState", "sourcePod"] = "another" }
        try await odd.vm.label(["changed": "yes"])
        try await scene.until("numbers of the good one", good) { [now = scene.watcher.clock.now()] in
          $0.sampledAt > now + .seconds(1)
        }
        let lines = scene.watcher.record.lines.filter { $0.contains("tells something that cannot be") }
        #expect(lines.filter { $0.contains("unknown_phase") }.count == 1)
        #expect(lines.filter { $0.contains("quantity") }.count == 1)
        #expect(lines.count == Set(lines).count)
        try await good.succeed()
        #expect(try await scene.untilOver(good).phase == .succeeded)
      }
    }
  }
}

extension Watcher.Record {
  fileprivate var isUp: Bool { snapshot.backends.first?.isUp ?? false }
  fileprivate var lastSuccess: Moment? { snapshot.backends.first?.lastSuccess }
}

/// Counts those that have come this far.
private actor Gate {
  private var missing: Int

  init(_ count: Int) { missing = count }

  func arrive() { missing -= 1 }

  /// Waits until all have come.
  func wait() async throws {
    while missing > 0 { try await Task.sleep(for: .milliseconds(20)) }
  }
}
