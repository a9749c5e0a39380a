import DroverCore
import DroverService
import Foundation
import QEMURig
import Testing

@testable import ProgramSupport

extension Soak {
  @Suite("A drover serve that is killed at any moment", .serialized, .enabled(if: Soak.wants("kills")))
  struct Kills {
    private static let rules = """
      control:
        switches: {policies: enabled, alerts: enabled}
        alerts: {names: [SoakAlert]}
        limits: {aborts: 1000, window: 60s, perVM: 0s, guard: 0s}
        rules:
          - name: soak
            when: {completion_timeout: abort, not_converging: {for: 1s, do: abort}}
      """

    /// Alerts about a few of the guests.
    @Sendable private static func alerts(_ items: [MigrationItem]) -> String? {
      let alerts = items.filter { $0.ending == nil && $0.vm.hasSuffix("0") }.map { item in
        """
        {"status": "firing", "fingerprint": "\(item.id)", "startsAt": "2026-01-01T00:00:00Z", "labels": {
         "alertname": "SoakAlert", "drover_action": "abort", "backend": "\(item.backend)",
         "host": "\(item.host ?? "")", "migration": "\(item.id)"}}
        """
      }
      return alerts.isEmpty ? nil : #"{"version": "4", "alerts": [\#(alerts.joined(separator: ","))]}"#
    }

    @Test(
      "what was decided is neither lost nor done twice, and the journal is intact: 180 kills, as QMP tells"
    )
    func fakes() async throws {
      let kills = Soak.count(180)
      Soak.tell("kills: seed \(Soak.seed)")
      let sockets = try TemporaryDirectory()
      let fakes = try (0..<13).map { try FakeQEMU($0, in: sockets.path) }
      defer { for fake in fakes { fake.stop() } }
      let daemon = try KilledDaemon(
        """
        backends: [{qemu: {name: rack1, host: here, sockets: ["\(sockets.path)/*.qmp"],
                           timeouts: {completionPerGiB: 3s, progress: 0s}}}]
        \(Self.rules)
        """)
      var (ledger, dice) = (JournalLedger(), Dice(Soak.seed))
      var reached: [KilledDaemon.Point: Int] = [:]
      for kill in 1...kills {
        let point = KilledDaemon.Point.allCases.randomElement(using: &dice) ?? .anytime
        let moment = Duration.microseconds(
          point == .anytime
            ? Int.random(in: 0...2_500_000, using: &dice) : Int.random(in: 0...4000, using: &dice))
        let run = try await daemon.run(
          until: point, plus: moment,
          arm: { hook in for fake in fakes { fake.onCancel(hook) } }, alerts: Self.alerts)
        if run.isReached { reached[point, default: 0] += 1 }
        let place = Comment(rawValue: "seed \(Soak.seed), kill \(kill), \(point) + \(moment)")
        try await ledger.check(daemon.journal, seen: run.seen, place)
        for fake in fakes { expectOnce(fake, ledger, place) }
        if kill.isMultiple(of: 20) {
          Soak.tell("\(kill) kills, \(ledger.decisions.count) decisions, \(Self.cancels(fakes)) aborts sent")
        }
      }
      let open = ledger.decisions.values.count { $0.kind == .acted && $0.result == nil }
      let items = try await daemon.settle()
      try await ledger.check(daemon.journal, seen: items, "seed \(Soak.seed), at the end")
      for fake in fakes { expectOnce(fake, ledger, "at the end") }
      let triggers = Dictionary(grouping: ledger.decisions.values.filter { $0.kind == .acted }, by: \.trigger)
      Soak.tell(
        """
        kills: \(kills) on \(fakes.count) guests that QMP tells of, seed \(Soak.seed): at \(reached); \
        \(ledger.decisions.count) decisions kept, \(open) open at the last kill and 0 after; \
        acted on \(triggers.mapValues(\.count)); \(fakes.flatMap(\.all).count) migrations, \
        \(Self.cancels(fakes)) aborts sent, none twice
        """)
      #expect(KilledDaemon.Point.allCases.allSatisfy { reached[$0] ?? 0 > 0 } || kills < 50)
      #expect(Self.cancels(fakes) >= kills / 4)
    }

    private static func cancels(_ fakes: [FakeQEMU]) -> Int {
      fakes.flatMap(\.all).map(\.cancels.count).reduce(0, +)
    }

    /// Each migration of a guest was asked to end once at most, and only with a record of that.
    private func expectOnce(_ fake: FakeQEMU, _ ledger: JournalLedger, _ place: Comment) {
      let decisions = ledger.aborts(of: fake.uuid)
      for course in fake.all {
        #expect(course.cancels.count <= 1, "\(fake.name) \(course), \(place)")
        // Migrations of a guest begin at least a second apart; a start is reckoned to some milliseconds.
        let own = decisions.filter { abs(($0.startedAt ?? 0) - course.startedAt) < 400 }
        #expect(own.count <= 1, "\(fake.name) \(course) \(own), \(place)")
        if !course.cancels.isEmpty {
          #expect(own.count == 1, "sent and not recorded: \(fake.name) \(course), \(place)")
        }
      }
    }

    @Test("the same with real guests, killed 30 times while it decides about them and ends them")
    func real() async throws {
      let kills = Soak.count(30)
      let names = ["real-0", "real-1", "real-2"]
      let relays = try TemporaryDirectory()
      let daemon = try KilledDaemon(
        """
        backends: [{qemu: {name: rack1, host: here, sockets: ["\(relays.path)/*.qmp"],
                           timeouts: {completionPerGiB: 32s, progress: 0s}}}]
        \(Self.rules)
        """)
      var pairs: [Pair] = []
      for name in names { pairs.append(try await Pair(name, in: relays.path)) }
      var (ledger, dice) = (JournalLedger(), Dice(Soak.seed &+ 1))
      var (done, sent, ended, left) = (0, 0, 0, 0)
      while done < kills {
        var starts: [(pair: Pair, at: Int64, before: Int)] = []
        for pair in pairs {
          try await pair.guests.migrate(
            MigrationOptions(bandwidth: 2 << 20, downtimeLimit: .milliseconds(50)))
          starts.append((pair, unixNow(), pair.relay.cancels.count))
        }
        let points: [KilledDaemon.Point] = [.cancelArrives, .cancelAnswered, .anytime, .journalWritten]
        let point = points.randomElement(using: &dice) ?? .anytime
        let moments = [point == .anytime ? 2_500_000 : 3000, 3_000_000].map {
          Duration.microseconds(Int.random(in: 0...$0, using: &dice))
        }
        for (point, moment) in zip([point, KilledDaemon.Point.anytime], moments) {
          let run = try await daemon.run(
            until: point, plus: moment,
            arm: { [pairs] hook in for pair in pairs { pair.relay.onCancel(hook) } }, alerts: Self.alerts)
          done += 1
          let place = Comment(rawValue: "seed \(Soak.seed), kill \(done), \(point) + \(moment)")
          try await ledger.check(daemon.journal, seen: run.seen, place)
        }
        for (pair, at, before) in starts {
          let status = try await pair.guests.queryMigrate()["status"]?.string
          let cancels = pair.relay.cancels.count - before
          let own = ledger.aborts(of: pair.uuid).filter { abs(($0.startedAt ?? 0) - at) < 2000 }
          #expect(cancels <= 1 && own.count <= 1, "\(pair.name): \(cancels) sent, \(own), seed \(Soak.seed)")
          #expect(cancels == 0 || own.count == 1, "\(pair.name): sent and not recorded, seed \(Soak.seed)")
          sent += cancels
          if status == "active" {
            left += 1
            try await pair.guests.cancel()
          } else {
            ended += 1
            #expect(cancels == 1, "\(pair.name) is \(status ?? "none"), and nobody has asked for that")
          }
          try await pair.guests.waitForStatus("cancelled")
          try await pair.guests.source.console.heartbeat()
          try await pair.guests.renewDestination()
        }
        if done.isMultiple(of: 10) { Soak.tell("\(done) kills beside real guests, \(sent) aborts sent") }
      }
      let items = try await daemon.settle()
      try await ledger.check(daemon.journal, seen: items, "at the end")
      Soak.tell(
        """
        kills: \(done) beside real guests, seed \(Soak.seed): \(sent) aborts sent, none twice, \
        each recorded; \
        \(ended) migrations ended by them, \(left) left alone after a kill; \(ledger.decisions.count) decisions kept
        """)
      #expect(sent > done / 4)
      for pair in pairs { await pair.close() }
    }
  }
}

/// Real guests, and what comes by on the way to the monitor of the one that is left.
final class Pair: Sendable {
  let name: String
  let uuid = UUID().uuidString.lowercased()
  let guests: GuestPair
  let relay: QMPRelay

  init(_ name: String, in directory: String, isRelayed: Bool = false) async throws {
    self.name = name
    let spec = GuestSpec(
      name: name, uuid: uuid, memoryMebibytes: 32,
      software: DirtierGuest(
        rate: DirtyRate(atLeastMebibytesPerSecond: 200), workingSet: WorkingSet(atLeastMebibytes: 16)))
    guests = try await GuestPair.start(spec, isRelayed: isRelayed)
    for _ in 1...2 { try await guests.source.console.heartbeat() }
    relay = try QMPRelay("\(directory)/\(name).qmp", to: await guests.source.monitorSocket)
  }

  func close() async {
    relay.stop()
    await guests.close()
  }
}
