import DroverCore
import DroverService
import LibvirtBackend
import LibvirtLab
import QEMURig
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("libvirt: hosts and several guests")
  struct LibvirtFleet {
    @Test("two migrations to one host are told apart, and where they cannot be, both ways are told")
    func two() async throws {
      try await Scene.with(keepalive: .usual) { scene in
        for name in ["one", "two"] { try await scene.guest(name, speed: 4) }
        let first = try await scene.lab.migrate("one", over: .mig)
        let one = try await scene.untilCopying("one").identity.id
        try await scene.untilShown("its connections", one) {
          $0.network?.control != nil && $0.network?.data != nil
        }
        let second = try await scene.lab.migrate("two", over: .mig)
        let two = try await scene.untilCopying("two").identity.id
        for id in [one, two] {
          let view = try await scene.untilShown("both connections", id) {
            $0.network?.control != nil && $0.network?.data != nil
          }
          // They began one after the other, so it is known whose each is.
          #expect(view.keepalive?.method == .measured && view.keepalive?.uncertainty == .zero)
          #expect(view.network?.controlSpread == .zero && view.network?.sharesWire == false)
        }
        let from = scene.now
        try await scene.wait(.seconds(3), since: from)
        for id in [one, two] {
          #expect(
            scene.record.looks(at: id, from: from).allSatisfy {
              $0.view.networkLosses.isEmpty && $0.view.keepalive.map { $0.uncertainty == .zero } ?? false
            })
        }
        // The data of one of them may stop without a word about the other.
        try await scene.lab.abort("one")
        #expect(await !first.result().hasSucceeded)
        let aborted = try await scene.untilOver(one)
        #expect(aborted.phase == .aborted && aborted.guest == .source, "\(aborted.ending?.text ?? "")")
        #expect(scene.record.last(two)?.isOver == false)
        await scene.hurry("two")
        #expect(await second.result().hasSucceeded)
        #expect(try await scene.untilOver(two).phase == .succeeded)
        #expect(scene.record.counts == Counts(started: 2, succeeded: 1, aborted: [.userAbort: 1]))
        try await scene.lab.heartbeat("one", on: .a)
        try await scene.lab.heartbeat("two", on: .b)
      }
    }

    @Test("two migrations that begin at once have the nearest deadline, and how much later it may be")
    func twoAtOnce() async throws {
      try await Scene.with(keepalive: LabHosts.Keepalive(interval: 3, count: 3)) { scene in
        for name in ["one", "two"] { try await scene.guest(name, speed: 4) }
        async let first = scene.lab.migrate("one", over: .mig)
        async let second = scene.lab.migrate("two", over: .mig)
        let migrations = try await [first, second]
        let ids = [
          try await scene.untilCopying("one").identity.id, try await scene.untilCopying("two").identity.id,
        ]
        for id in ids {
          try await scene.untilShown("both connections", id) {
            $0.network?.control != nil && $0.network?.data != nil && $0.keepalive?.method == .measured
          }
        }
        let begun = scene.now
        try await scene.wait(.seconds(4), since: begun)
        try await scene.lab.cut(.ctl)
        var ends: [Moment] = []
        let lost = try await scene.watcher.until("both lose the management network") { record in
          let views = ids.compactMap { record.last($0) }.filter { $0.verdict.kind == .networkLost }
          return views.count == 2 ? views : nil
        }
        for migration in migrations { ends.append(scene.moment(of: await migration.result().endedAt)) }
        for view in lost {
          let budget = try #require(view.keepalive)
          let end = try #require(ends[ids.firstIndex(of: view.identity.id) ?? 0] as Moment?)
          tell(
            "of two at once, one ended \((end - budget.deadline).milliseconds) ms after its earliest deadline, "
              + "of which \(budget.uncertainty.milliseconds) ms are uncertainty")
          #expect(end >= budget.deadline - .seconds(1))
          #expect(end <= budget.deadline + budget.uncertainty + .seconds(1))
          let over = try await scene.untilOver(view.identity.id)
          #expect(over.ending?.cause == .keepalive && over.guest == .source, "\(over.ending?.text ?? "")")
        }
        #expect(scene.record.counts == Counts(started: 2, failed: [.keepalive: 2]))
      }
    }

    @Test("two migrations that begin at once are aborted one after the other, and each is told so")
    func twoAborted() async throws {
      try await Scene.with { scene in
        for name in ["one", "two"] { try await scene.guest(name, speed: 4) }
        async let first = scene.lab.migrate("one", over: .mig)
        async let second = scene.lab.migrate("two", over: .mig)
        let migrations = try await [("one", first), ("two", second)]
        for (name, migration) in migrations {
          let id = try await scene.untilCopying(name).identity.id
          try await scene.untilShown("both connections", id) {
            $0.network?.control != nil && $0.network?.data != nil
          }
          try await scene.lab.abort(name)
          #expect(await !migration.result().hasSucceeded)
          let view = try await scene.untilOver(id)
          #expect(view.phase == .aborted && view.guest == .source, "\(view.ending?.text ?? "")")
        }
        #expect(scene.record.counts == Counts(started: 2, aborted: [.userAbort: 2]))
        for name in ["one", "two"] { try await scene.lab.heartbeat(name, on: .a) }
      }
    }

    @Test("two migrations at once end well, each with its own figures")
    func twoSucceed() async throws {
      try await Scene.with { scene in
        let listener = try scene.lab.listen(.a)
        for name in ["one", "two"] { try await scene.guest(name, rate: 1, speed: 8) }
        async let first = scene.lab.migrate("one", over: .mig)
        async let second = scene.lab.migrate("two", over: .mig)
        for migration in try await [first, second] { #expect(await migration.result().hasSucceeded) }
        try await scene.watcher.until("two ends") { $0.ends.count == 2 ? true : nil }
        let told = try await listener.stop().filter { $0.name == "job-completed" }
        for name in ["one", "two"] {
          let end = try #require(scene.record.ends.first { $0.identity.vm.name == name })
          let view = try await scene.untilOver(end.identity.id)
          expectSuccess(view, as: try #require(told.first { $0.guest == name }).figures)
        }
        #expect(scene.record.counts == Counts(started: 2, succeeded: 2))
      }
    }

    @Test("what libvirt tells by itself reaches the tracker within 50 ms")
    func latency() async throws {
      try await Scene.with { scene in
        let listener = try scene.lab.listen(.a)
        try await scene.guest(rate: 0)
        var ends: [Moment] = []
        for turn in 1...6 {
          #expect(await (try scene.lab.migrate("g", over: .mig)).result().hasSucceeded)
          ends.append(
            try await scene.watcher.until("end \(turn)") { record in
              guard record.ends.count == turn else { return nil }
              let index = record.messages.lastIndex { message in
                if case .migration(let observation) = message { observation.ending != nil } else { false }
              }
              return index.map { record.heardAt[$0] }
            })
        }
        // Another timepiece holds its offset for up to 50 ms.
        let epoch = SystemTimepiece().epochOffset()
        let heard = try await listener.stop().filter { $0.name == "job-completed" }
        // Every other one begins at this host.
        let mine = stride(from: 0, to: ends.count, by: 2).map { epoch.unixMilliseconds(ends[$0]) }
        #expect(heard.count == mine.count)
        let delays = zip(mine, heard).map { $0 - $1.unixMilliseconds }.sorted()
        let median = try #require(delays.isEmpty ? nil : delays[delays.count / 2])
        tell("an end reaches the tracker \(delays) ms after virsh")
        #expect(median <= 50, "the median of \(delays) ms after virsh heard the same event")
      }
    }

    @Test("dirty rates are measured where guests rest, and never while they migrate")
    func dirtyRates() async throws {
      try await Scene.with(
        configure: {
          $0.dirtyRate = true
          $0.dirtyRateInterval = .milliseconds(200)
        }
      ) { scene in
        try await scene.guest("idle", rate: 0)
        try await scene.guest(rate: 25, workingSet: 64, memory: 66, speed: 8)
        let keys = try await (
          idle: scene.key("idle", on: .a), busy: scene.key("g", on: .a)
        )
        // QEMU looks at one page of 512: only many looks together say anything.
        let rates = try await scene.watcher.until("rates of both") { record -> [UInt64]? in
          let rates = record.dirtyRates(of: keys.busy)
          return rates.count >= 12 && record.dirtyRates(of: keys.idle).count >= 12 ? rates : nil
        }
        let mean = rates.reduce(0, +) / UInt64(rates.count)
        tell("a guest that dirties 25 MiB/s is said to dirty \(rates.map { $0 >> 20 }) MiB/s")
        #expect(((15 << 20)...(30 << 20)).contains(mean))
        #expect(scene.record.dirtyRates(of: keys.idle).allSatisfy { $0 == 0 })
        #expect(
          scene.record.snapshot.dirtyRates.contains { $0.key.name == "g" && $0.value.value == rates.last }
            || scene.record.dirtyRates(of: keys.busy).count > rates.count)

        let migration = try await scene.lab.migrate("g", over: .mig)
        let copying = try await scene.untilCopying()
        // A round that had begun before may still end.
        try await scene.wait(.seconds(3), since: scene.now)
        func calculated() async throws -> UInt64? {
          try await scene.lab.statistic("dirtyrate.calc_start_time", of: "g")
        }
        let before = try await calculated()
        #expect(before != nil)
        let told = scene.record.dirtyRates(of: keys.busy).count
        let rounds = scene.record.dirtyRates(of: keys.idle).count
        try await scene.watcher.until("more rounds") { record in
          record.dirtyRates(of: keys.idle).count >= rounds + 3 ? true : nil
        }
        #expect(try await calculated() == before)
        #expect(scene.record.dirtyRates(of: keys.busy).count == told)
        #expect(scene.record.last(copying.identity.id)?.sample.bandwidthLimit?.value == 8 << 20)
        await scene.hurry()
        #expect(await migration.result().hasSucceeded)
        try await scene.watcher.until("its rate at the target") { record in
          record.snapshot.dirtyRates.contains { $0.key.name == "g" && $0.key.backend.rawValue == "b" }
            && !record.snapshot.dirtyRates.contains { $0.key.name == "g" && $0.key.backend.rawValue == "a" }
            ? true : nil
        }
      }
    }

    @Test("a target that is watched alone shows guests that arrive, and no migrations")
    func targetOnly() async throws {
      try await Scene.with(sight: .target) { scene in
        try await scene.guest(speed: 4)
        let migration = try await scene.lab.migrate("g", over: .mig)
        try await scene.watcher.until("a guest on its way in") { record in
          record.node(.b)?.inbound == 1 && record.node(.b)?.vms == 0 ? true : nil
        }
        try await scene.lab.untilUnderWay("g")
        try await scene.lab.abort("g")
        #expect(await !migration.result().hasSucceeded)
        try await scene.watcher.until("nothing on its way in") { record in
          record.node(.b)?.inbound == 0 && record.node(.b)?.vms == 0 ? true : nil
        }
        let again = try await scene.lab.migrate("g", over: .mig)
        try await scene.lab.untilUnderWay("g")
        await scene.hurry()
        #expect(await again.result().hasSucceeded)
        try await scene.watcher.until("the guest") { record in
          record.node(.b)?.inbound == 0 && record.node(.b)?.vms == 1 ? true : nil
        }
        #expect(scene.record.ids.isEmpty && scene.record.counts == Counts())
      }
    }

    @Test("a Drover that is started anew in mid-migration knows it again, and counts its end only")
    func restarted() async throws {
      try await LabHosts.with(keepalive: .fast) { lab in
        let (migration, first) = try await Scene.watching(lab) { scene in
          try await scene.guest(speed: 4)
          let migration = try await lab.migrate("g", over: .mig)
          let id = try await scene.untilCopying().identity.id
          try await scene.wait(.seconds(3), since: scene.now)
          #expect(scene.record.counts == Counts(started: 1))
          return (migration, try #require(scene.record.last(id)))
        }
        try await Scene.watching(lab) { scene in
          let view = try await scene.untilCopying()
          #expect((view.startedAt - first.startedAt).magnitude < .seconds(2))
          #expect(view.identity.domain == first.identity.domain)
          #expect(view.sample.transferred ?? 0 >= first.sample.transferred ?? 0)
          // Its connections are there already: whose they are is known all the same.
          let seen = try await scene.untilShown("its connections", view.identity.id) {
            $0.network?.control != nil && $0.network?.data != nil
          }
          #expect(seen.keepalive?.method == .measured && seen.guest == .source)
          await scene.hurry()
          #expect(await migration.result().hasSucceeded)
          #expect(try await scene.untilOver(view.identity.id).phase == .succeeded)
          #expect(scene.record.counts == Counts(succeeded: 1))
          #expect(scene.record.ids.count == 1)
        }
      }
    }

    @Test("guests appear, move and disappear on the host that they are on")
    func inventory() async throws {
      try await Scene.with { scene in
        func expectVMs(_ a: UInt64, _ b: UInt64) async throws {
          try await scene.watcher.until("\(a) and \(b) guests") { record in
            record.node(.a)?.vms == a && record.node(.b)?.vms == b ? true : nil
          }
        }
        #expect(scene.record.node(.a)?.node == "lab-a" && scene.record.node(.b)?.node == "lab-b")
        try await scene.guest("stays", rate: 0)
        try await expectVMs(1, 0)
        try await scene.guest(speed: 4)
        try await expectVMs(2, 0)
        let migration = try await scene.lab.migrate("g", over: .mig)
        try await scene.untilCopying()
        let copying = scene.now
        try await scene.wait(.seconds(4), since: copying)
        // A guest that arrives is not there yet.
        try await expectVMs(2, 0)
        #expect(scene.record.node(.a)?.outbound == 1 && scene.record.node(.b)?.inbound == 1)
        await scene.hurry()
        #expect(await migration.result().hasSucceeded)
        try await expectVMs(1, 1)
        let moved = try await scene.watcher.until("the guest's new place") { record in
          record.snapshot.vms.first { $0.vm.name == "g" && $0.vm.backend.rawValue == "b" }
        }
        #expect(moved.vm.scope == .host("lab-b"))
        #expect(!scene.record.snapshot.vms.contains { $0.vm.name == "g" && $0.vm.backend.rawValue == "a" })
        try await scene.lab.destroy("g")
        try await expectVMs(1, 0)
        try await scene.lab.destroy("stays")
        try await expectVMs(0, 0)
        #expect(scene.record.snapshot.vms.isEmpty)
        #expect(scene.record.counts == Counts(started: 1, succeeded: 1))
      }
    }
  }
}

extension Scene {
  /// What a guest of a host is known by.
  fileprivate func key(_ name: String, on host: LabHosts.Host) async throws -> VMKey {
    VMKey(
      backend: BackendName(rawValue: host.rawValue), text: try await lab.virsh(host, ["domuuid", name]))
  }
}

extension Watcher.Record {
  /// All dirty rates of a guest that were told, in bytes per second.
  fileprivate func dirtyRates(of key: VMKey) -> [UInt64] {
    messages.compactMap { if case .dirtyRate(key, let rate) = $0 { rate?.value } else { nil } }
  }
}
