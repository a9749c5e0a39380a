import DroverCore
import FoundationEssentials
import KubeLab
import KubeVirtBackend
import QEMURig
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("KubeVirt: networks that fail, and copies that do not end")
  struct KubeOutages {
    @Test(
      "bytes that stop between healthy nodes: the migration network; gone on, one interruption of its length")
    func frozen() async throws {
      try await KubeScene.with { scene in
        let handlers = scene.cluster.handlers
        #expect(try await handlers.counts(of: "n1").requests == 0)
        let resumed = try await scene.migrating("resumed")
        let doomed = try await scene.migrating("doomed")
        let flowing = try await scene.migrating("flowing")
        for migration in [resumed, doomed, flowing] {
          try await handlers.begin(migration.copy, total: 1 << 40, rate: 50 << 20, dirtyRate: 0)
        }
        let first = try await scene.until("a deadline", resumed) { $0.keepalive != nil }
        let later = try await scene.until("a later deadline", resumed) {
          $0.keepalive.map { $0.deadline > first.keepalive?.deadline ?? $0.deadline } ?? false
        }
        #expect(later.keepalive?.method == .inferred && later.keepalive?.timeout == .seconds(30))
        #expect(try #require(later.keepalive?.uncertainty) >= .seconds(5))

        let askedAt = scene.watcher.clock.now()
        for migration in [resumed, doomed] { try await handlers.freeze(migration.copy, toldRate: 50 << 20) }
        let frozenAt = scene.watcher.clock.now()
        for migration in [resumed, doomed] {
          let lost = try await scene.until("a lost network", migration) { !$0.networkLosses.isEmpty }
          #expect(lost.networkLosses.map(\.network) == [.migration] && lost.verdict.kind == .networkLost)
          #expect(lost.interruptions.count == 0 && lost.guest == .source)
          // Cut between the last byte and now, libvirt closes within this time.
          let keepalive = try #require(lost.keepalive)
          #expect(keepalive.deadline <= frozenAt + .seconds(26))
          // The last byte came between the wish to freeze and its answer.
          #expect(keepalive.deadline + keepalive.uncertainty >= askedAt + .seconds(30))
        }
        // Three of virt-handler's own intervals are what may be chance.
        try await scene.until("a longer silence", resumed) {
          $0.networkLosses.contains { $0.silence > .seconds(16) }
        }
        try await handlers.thaw(resumed.copy)
        let length = scene.watcher.clock.now() - frozenAt
        let over = try await scene.until("the end of the outage", resumed) {
          $0.networkLosses.isEmpty && $0.interruptions.count > 0
        }
        #expect(over.interruptions.count == 1 && over.verdict.kind != .networkLost)
        let error = over.interruptions.total - length
        print("lab: stopped for \(length), told \(over.interruptions.total)")
        #expect(abs(error / .seconds(1)) <= KubeScene.sampling / .seconds(1) + 0.5)

        try await doomed.fail(.libvirt("operation failed: Lost connection to destination host"))
        let failed = try await scene.untilOver(doomed)
        #expect(failed.phase == .failed && failed.guest == .source && failed.networkLosses.isEmpty)
        #expect(failed.interruptions.count == 0)
        #expect(scene.view(flowing)?.interruptions.count == 0)
        let trail = scene.watcher.record.views.filter { $0.identity.id.description == flowing.uid }
        #expect(trail.allSatisfy { $0.networkLosses.isEmpty })

        // The source alone was asked, once at a time.
        let counts = try await handlers.counts(of: "n1")
        #expect(counts.answered > 10 && counts.atOnce == 1)
        #expect(try await handlers.counts(of: "n2").requests == 0)
        for migration in [resumed, flowing] { try await migration.succeed() }
        for migration in [resumed, flowing] { _ = try await scene.untilOver(migration) }
      }
    }

    @Test("virt-handler or a node that is not reached: the management network, until it is reached again")
    func unreachable() async throws {
      let nodes = (1...8).map { "n\($0)" }
      try await KubeScene.with(nodes: nodes) { scene in
        let handlers = scene.cluster.handlers
        let refused = try await scene.migrating("refused", from: "n1", to: "n8")
        let hanging = try await scene.migrating("hanging", from: "n2", to: "n8")
        let deaf = try await scene.migrating("deaf", from: "n3", to: "n8")
        let busy = try await scene.migrating("busy", from: "n4", to: "n8")
        let gone = try await scene.migrating("gone", from: "n5", to: "n8")
        let leaving = try await scene.migrating("leaving", from: "n7", to: "n6")
        let all = [refused, hanging, deaf, busy, gone, leaving]
        for migration in all {
          try await handlers.begin(migration.copy, total: 1 << 40, rate: 50 << 20, dirtyRate: 0)
        }
        for migration in all {
          try await scene.until("bytes", migration) {
            $0.sample.transferred != nil && $0.networkLosses.isEmpty
          }
        }
        try await handlers.setMode(.hang, of: "n2")
        try await handlers.setMode(.deaf, of: "n3")
        try await handlers.setMode(.refuse, of: "n1")
        try await handlers.setMode(.busy, of: "n4")
        let before = try await handlers.counts(of: "n4").requests
        let start = ContinuousClock.now

        // A node that its cluster does not hear, at either end, while the bytes flow.
        try await scene.cluster.setNodeReady("n5", .unknown)
        try await scene.cluster.setNodeReady("n6", .unknown)
        for migration in [gone, leaving] {
          let lost = try await scene.until("a lost node", migration) { !$0.networkLosses.isEmpty }
          #expect(lost.networkLosses.map(\.network) == [.management] && lost.verdict.kind == .networkLost)
          #expect(lost.networkLosses.allSatisfy { $0.isReported })
        }
        try await scene.until("not ready", node: "n5") { $0.state?.isReady != true }
        #expect(scene.view(gone)?.guest != .target)
        try await scene.cluster.setNodeReady("n5", .ready)
        try await scene.cluster.setNodeReady("n6", .ready)
        for migration in [gone, leaving] {
          try await scene.until("a node that is back", migration) {
            $0.networkLosses.isEmpty && $0.verdict.kind != .networkLost
          }
        }
        // One that says itself that something is wrong with it is heard; where bytes stop, who knows why.
        try await scene.cluster.setNodeReady("n6", .notReady)
        try await handlers.freeze(leaving.copy)
        let unclear = try await scene.until("stopped bytes", leaving) { !$0.networkLosses.isEmpty }
        #expect(unclear.networkLosses.map(\.network) == [.unknown])

        for migration in [refused, deaf, hanging] {
          let lost = try await scene.until("a virt-handler that is lost", migration) {
            !$0.networkLosses.isEmpty
          }
          #expect(lost.networkLosses.map(\.network) == [.management] && lost.verdict.kind == .networkLost)
          print("lab: \(migration.vm.name) is lost after \(ContinuousClock.now - start)")
        }
        // A server that says it has too much to do is there, and is left alone more and more.
        #expect(scene.view(busy)?.networkLosses.isEmpty == true)
        let asked = try await handlers.counts(of: "n4").requests - before
        #expect((1...6).contains(asked), "\(asked) in \(ContinuousClock.now - start)")
        for node in nodes { try await handlers.setMode(.answer, of: node) }
        let lastSeen = scene.watcher.clock.now()
        try await handlers.thaw(leaving.copy)
        for migration in all {
          try await scene.until("numbers again", migration, within: .seconds(90)) { view in
            view.networkLosses.isEmpty && view.sampledAt > lastSeen
          }
        }
        for node in nodes { #expect(try await handlers.counts(of: node).atOnce <= 1) }
        #expect(try await handlers.counts(of: "n8").requests == 0)
        let errors = scene.watcher.record.snapshot.backends.first?.errors ?? []
        for kind in ["handler_refused", "handler_timeout", "handler_connect", "handler_busy"] {
          #expect(errors.contains { $0.kind == kind && $0.count > 0 }, "\(kind)")
        }
      }
    }

    @Test(
      "who signed virt-handler's certificate, by which names it tells, and the way through the API server")
    func ways() async throws {
      try await Cluster.with { cluster in
        try await cluster.addKubeVirt(version: "1.9.0")
        try await cluster.addNode("new", handlerVersion: "1.9.0")
        try await cluster.addNode("old", handlerVersion: "1.6.0")
        try await cluster.addNode("foreign")
        try await cluster.addNode("proxied", address: "198.18.0.3")
        try await cluster.addNode("target")
        try await cluster.handlers.setCertificate(.foreign, of: "foreign")
        var migrations: [String: Migration] = [:]
        let told = VirtHandlerStandIn.Numbers(
          total: 4_294_967_296, processed: 1_073_741_824, remaining: 3_221_225_472, dirtyRate: 4096,
          rate: 104_857_600)
        for node in ["new", "old", "foreign", "proxied"] {
          let vm = try await cluster.addVMI("vm-\(node)", on: node, migrationMethod: "LiveMigration")
          let migration = try await cluster.createVMIM(for: vm)
          try await migration.advance(to: .running, on: "target")
          try await cluster.handlers.begin(
            migration.copy, total: 1 << 32, rate: 0, dirtyRate: 0, isPolled: false)
          try await cluster.handlers.put(told, of: migration.copy)
          migrations[node] = migration
        }
        let kubeconfig = try cluster.server.kubeconfig(User.admin)
        let (new, old) = (try #require(migrations["new"]), try #require(migrations["old"]))
        let (foreign, proxied) = (try #require(migrations["foreign"]), try #require(migrations["proxied"]))

        try await KubeScene.watch(cluster, kubeconfig: kubeconfig) { scene in
          let seen = try await scene.until("numbers", new) { $0.sample.transferred != nil }
          #expect(seen.sample.transferred == 1_073_741_824 && seen.sample.remaining == 3_221_225_472)
          let same = try await scene.until("numbers under old names", old) { $0.sample.transferred != nil }
          // Of two nodes there are two clocks.
          var counters = same.sample
          counters.clockError = seen.sample.clockError
          #expect(counters == seen.sample)
          let line = try await scene.watcher.until("a refusal of the certificate") { record in
            record.lines.first { $0.contains("node: foreign") && $0.contains("certificate") }
              ?? record.lines.first { $0.contains("foreign") && $0.contains("authorities") }
          }
          print("lab: \(line)")
          #expect(scene.view(foreign)?.sample.transferred == nil)
          // Counted a moment after it was logged.
          _ = try await scene.watcher.until("a count of it") { record in
            record.snapshot.backends.first?.errors.first { $0.kind == "handler_tls" && $0.count > 0 }
          }
          #expect(!scene.watcher.record.lines.contains { $0.contains("certificates are not checked") })
        }
        try await KubeScene.watch(
          cluster, kubeconfig: kubeconfig, configure: { $0.counters = .apiServerProxy }
        ) { scene in
          let seen = try await scene.until("numbers by the proxy", proxied) { $0.sample.transferred != nil }
          #expect(seen.sample.transferred == 1_073_741_824)
        }
        try await cluster.api.delete(.configMaps, "kubevirt-ca", in: "kubevirt")
        try await KubeScene.watch(cluster, kubeconfig: kubeconfig) { scene in
          try await scene.until("unverified numbers", foreign) { $0.sample.transferred != nil }
          let lines = scene.watcher.record.lines.filter { $0.contains("certificates are not checked") }
          #expect(lines.count == 1 && lines.first?.contains("kubevirt-ca") == true)
        }
      }
    }

    @Test("a guest that dirties as fast as is sent does not converge; one that does not, does, by a moment")
    func verdicts() async throws {
      try await KubeScene.with { scene in
        let bad = try await scene.migrating("bad")
        let good = try await scene.migrating("good", from: "n2", to: "n1")
        try await scene.cluster.handlers.begin(
          bad.copy, total: 2 << 30, rate: 640 << 20, dirtyRate: 680 << 20)
        try await scene.cluster.handlers.begin(
          good.copy, total: 10 << 30, rate: 2 << 30, dirtyRate: 1600 << 20)
        let verdict = try await scene.until("a good end", good) { $0.verdict.kind == .converging }
        let end = try #require(verdict.verdict.expectedEnd)
        #expect(end > verdict.sampledAt && end < verdict.sampledAt + .seconds(60))
        let hopeless = try await scene.until("no end", bad) { $0.verdict.kind == .notConverging }
        #expect(hopeless.verdict.expectedEnd == nil)
        guard case .passesDoNotShrink(let passes, _, let dirty, let transfer) = hopeless.verdict.evidence
        else {
          Issue.record("\(hopeless.verdict.evidence)")
          return
        }
        #expect(passes >= 3 && Double(dirty.value) >= 0.9 * Double(transfer.value))
        // After the end nobody asks any more.
        try await good.succeed()
        _ = try await scene.untilOver(good)
        let asked = try await scene.cluster.handlers.counts(of: "n2").requests
        let seen = try #require(scene.view(bad)).sampledAt
        try await scene.until("more of the other", bad) { $0.sampledAt > seen + .seconds(3) }
        #expect(try await scene.cluster.handlers.counts(of: "n2").requests <= asked + 1)
      }
    }
  }
}
