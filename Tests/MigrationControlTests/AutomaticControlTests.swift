import DroverCore
import Logging
import Synchronization
import Testing

@testable import MigrationControl

@Suite("Migrations that are ended without a person")
struct AutomaticControlTests {
  private let scene: Scene
  private let automatic: AutomaticControl

  init() throws {
    scene = try Scene()
    automatic = Self.make(scene)
  }

  private static func make(
    _ scene: Scene, journal: (any AutomaticJournal)? = nil,
    _ change: (inout AutomaticSettings) -> Void = { _ in }
  ) -> AutomaticControl {
    let automatic = AutomaticControl(
      scene.control, journal: journal ?? scene.journal,
      log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    var settings = AutomaticSettings()
    settings.policies = .abort
    settings.alerts = .abort
    settings.alertNames = ["GuestIsSlow"]
    settings.rules = [
      PolicyRule(name: "night", reason: "batch", wishes: [.completionTimeout: PolicyWish(.abort)])
    ]
    change(&settings)
    automatic.apply(settings)
    return automatic
  }

  /// Shows a migration whose budget of 1 GiB × 800 s was used up so many seconds ago.
  private func tellLate(by length: Double = 1) {
    var late = scene.observation(.precopy)
    late.startedAt = scene.clock.now() - .seconds(800) - .milliseconds(Int64(length * 1000))
    late.facts.size = .gibibytes(1)
    scene.fleet.tell(late)
  }

  private func look() async {
    for decision in await automatic.look() { await automatic.carryOut(decision) }
  }

  /// The scene's migration begins 10 s ago; this is as late as it needs.
  private func makeLate() {
    scene.clock.advance(.seconds(800))
    tellLate()
  }

  private var alert: AlertWish {
    AlertWish(
      labels: [
        "alertname": "GuestIsSlow", "drover_action": "abort", "backend": "rack1", "host": "a",
        "migration": scene.id.description,
      ], isFiring: true, startedAt: 1, fingerprint: "f")
  }

  @Test("it looks often only where there is a migration that it may end")
  func pauses() {
    let (often, seldom) = (AutomaticControl.interval, AutomaticControl.restInterval)
    #expect(often < seldom && automatic.pause == often)
    let observing: [(PolicyAction, PolicyAction?, Duration)] = [
      (.observe, nil, seldom), (.observe, .observe, seldom), (.observe, .shadow, often),
      (.shadow, nil, often),
    ]
    for (policies, alerts, pause) in observing {
      let automatic = Self.make(scene) {
        $0.policies = policies
        $0.alerts = alerts
      }
      #expect(automatic.pause == pause)
      // A drain runs.
      #expect(!automatic.isPartitioned && automatic.pause == often)
    }
    var over = scene.observation(.succeeded)
    over.end(Ending(outcome: .succeeded, certainty: .reported, endedAt: scene.clock.now()))
    scene.fleet.tell(over)
    #expect(automatic.pause == seldom)
  }

  @Test("a policy looks, records with its reason, and sends, once; the end has the policy as its cause")
  func policy() async throws {
    await look()
    #expect(scene.backend.calls.isEmpty)
    makeLate()
    await look()
    #expect(scene.backend.calls == ["live", "live", "abort \(scene.id)"])
    let made = try #require(scene.journal.decisions.first)
    #expect(made.kind == .acted && made.trigger == .completionTimeout && made.requester == "rule night")
    #expect(
      made.text.contains("because its 800 s for the whole migration are used up (batch)"), "\(made.text)")
    #expect(made.evidence.contains(.init("rule", "night")) && made.evidence.contains(.init("live", "active")))
    await look()
    #expect(scene.journal.decisions.count == 1 && scene.backend.calls.count == 3)
    await scene.end(.aborted)
    #expect(scene.fleet.announced == [.policyAbort])
    #expect(scene.control.totals.aborts == [.init(.completionTimeout, .aborted): 1])
  }

  @Test("what passes is held in one record, which is then the one that is acted upon")
  func held() async throws {
    makeLate()
    scene.backend.state.withLock { $0.liveError = .sample(.timeout) }
    for _ in 0..<5 {
      await look()
      scene.clock.advance(.seconds(1))
      tellLate()
    }
    #expect(scene.journal.decisions.map(\.refusal) == [.unreadable])
    #expect(scene.journal.decisions.map(\.kind) == [.held])
    scene.backend.state.withLock { $0.liveError = nil }
    await look()
    #expect(scene.journal.decisions.map(\.kind) == [.acted])
    #expect(scene.backend.calls.last == "abort \(scene.id)")
    #expect(automatic.totals.decisions[.init(.completionTimeout, .held)] == 1)
  }

  @Test("what must not be ended by itself is looked at at its source, too")
  func suspended() async throws {
    makeLate()
    scene.backend.state.withLock { $0.live = LiveMigration(.running(.guestSuspended), word: "paused") }
    await look()
    #expect(scene.journal.decisions.map(\.refusal) == [.suspended])
    #expect(!scene.backend.calls.contains { $0.hasPrefix("abort") })
  }

  @Test("an evacuation is refused, and its cause is never ended")
  func evacuation() async throws {
    makeLate()
    scene.backend.state.withLock {
      $0.live = LiveMigration(.running(.precopy), word: "w", comesBack: .evacuation(node: "n"))
    }
    await look()
    #expect(scene.journal.decisions.map(\.refusal) == [.comesBack])
    #expect(scene.backend.calls == ["live"])
  }

  @Test("what has changed while it was recorded is not sent")
  func recheck() async throws {
    makeLate()
    let scene = scene
    scene.journal.state.withLock { state in
      state.gate = {
        var soon = scene.observation(.switchover)
        soon.facts.size = .gibibytes(1)
        scene.fleet.tell(soon)
      }
    }
    await look()
    #expect(scene.backend.calls == ["live", "live"])
    #expect(scene.journal.decisions.map(\.result) == [.error])
    #expect(scene.journal.decisions.first?.resultText.contains("not sent: ") == true)
  }

  @Test("an alert that could surely not be sent is worth sending again, and counts for nothing")
  func unsent() async throws {
    scene.backend.state.withLock { $0.abortError = .sample(.unreachable) }
    let answer = await automatic.ask(alert)
    #expect(answer.status == "held" && answer.refusal == .unreadable && answer.isWorthRetrying)
    #expect(answer.record == DecisionID(rawValue: 1))
    scene.backend.state.withLock { $0.abortError = nil }
    let again = await automatic.ask(alert)
    #expect(again.status == "acted" && again.record == DecisionID(rawValue: 2) && !again.isWorthRetrying)
    #expect(scene.journal.decisions.map(\.result) == [.error, nil])
    #expect(await automatic.ask(alert).record == DecisionID(rawValue: 2))
  }

  @Test("what may have been sent is not sent again")
  func unanswered() async throws {
    scene.backend.state.withLock { $0.abortError = .sample(.timeout) }
    #expect(await automatic.ask(alert).status == "acted")
    #expect(await automatic.ask(alert).status == "acted")
    #expect(scene.journal.decisions.count == 1)
    #expect(scene.backend.calls.count { $0.hasPrefix("abort") } == 1)
  }

  @Test("what is disarmed while it is recorded is not sent")
  func disarmed() async throws {
    makeLate()
    let (scene, automatic) = (scene, automatic)
    scene.journal.state.withLock { $0.gate = { automatic.apply(AutomaticSettings()) } }
    await look()
    #expect(!scene.backend.calls.contains { $0.hasPrefix("abort") })
    #expect(scene.journal.decisions.map(\.result) == [.error])
  }

  @Test("without a journal nothing is ended by itself; once there is room it is")
  func journalFull() async throws {
    makeLate()
    scene.journal.state.withLock { $0.error = JournalError(.full, call: "c", cause: "full", remedy: "r") }
    await look()
    #expect(scene.backend.calls == ["live"])
    #expect(automatic.totals.decisions[.init(.completionTimeout, .held)] == 1)
    scene.journal.state.withLock { $0.error = nil }
    scene.clock.advance(.seconds(1))
    tellLate()
    await look()
    #expect(scene.backend.calls.last == "abort \(scene.id)")
  }

  @Test("nothing is decided while what was decided before cannot be read, or there is no journal")
  func unreadable() async throws {
    makeLate()
    scene.journal.state.withLock { $0.readError = JournalError(.damaged, call: "c", cause: "c", remedy: "r") }
    await look()
    #expect(automatic.holds == [.journal] && scene.backend.calls.isEmpty)
    let answer = await automatic.ask(alert)
    #expect(answer.isWorthRetrying && answer.refusal == .journal)
    scene.journal.state.withLock { $0.readError = nil }
    await look()
    #expect(automatic.holds == [] && scene.backend.calls.last == "abort \(scene.id)")
    let none = AutomaticControl(
      scene.control, journal: nil, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    #expect(none.holds == [.journal])
  }

  @Test("a restart sends nothing again")
  func restart() async throws {
    makeLate()
    await look()
    let again = Self.make(scene)
    for decision in await again.look() { await again.carryOut(decision) }
    #expect(scene.backend.calls.count == 3 && scene.journal.decisions.count == 1)
    let answer = await again.ask(alert)
    #expect(answer.refusal == .claimed)
  }

  @Test("in the shadow it is recorded and counted as such, and nothing is asked or sent")
  func shadow() async throws {
    let shadow = Self.make(scene) { $0.policies = .shadow }
    makeLate()
    for decision in await shadow.look() { await shadow.carryOut(decision) }
    #expect(scene.backend.calls.isEmpty)
    let made = try #require(scene.journal.decisions.first)
    #expect(made.kind == .shadowed && made.text.hasPrefix("would have aborted at "))
    #expect(shadow.totals.decisions == [.init(.completionTimeout, .shadowed): 1])
  }

  @Test("an alert is stored before it is answered, and answered with its record; a repeat is no new one")
  func alerts() async throws {
    let answer = await automatic.ask(alert)
    #expect(answer.status == "acted" && answer.record == DecisionID(rawValue: 1) && !answer.isWorthRetrying)
    #expect(scene.backend.calls.last == "abort \(scene.id)")
    let again = await automatic.ask(alert)
    #expect(again.status == "acted" && again.record == answer.record)
    #expect(scene.journal.decisions.count == 1)
    await scene.end(.aborted)
    #expect(scene.fleet.announced == [.alertAbort])
  }

  @Test("an alert is worth sending again where it could not be stored, or its source does not answer")
  func alertRetries() async throws {
    var forged = alert
    forged.labels["migration"] = nil
    scene.journal.state.withLock { $0.error = JournalError(.full, call: "c", cause: "full", remedy: "r") }
    #expect(await automatic.ask(forged).isWorthRetrying)
    #expect(await automatic.ask(alert).isWorthRetrying)
    scene.journal.state.withLock { $0.error = nil }
    let refused = await automatic.ask(forged)
    #expect(refused.status == "refused" && refused.refusal == .unknown && !refused.isWorthRetrying)
    scene.backend.state.withLock { $0.liveError = .sample(.unreachable) }
    let unread = await automatic.ask(alert)
    #expect(unread.status == "held" && unread.isWorthRetrying)
    scene.backend.state.withLock { $0.liveError = nil }
    #expect(await automatic.ask(alert).status == "acted")
  }

  @Test("a hold is recorded once; a person ends it, and that is recorded before it takes effect")
  func resetHold() async throws {
    let one = Self.make(scene) { $0.limits.aborts = 1 }
    makeLate()
    for decision in await one.look() { await one.carryOut(decision) }
    _ = await one.look()
    _ = await one.look()
    #expect(one.holds == [.breaker] && one.totals.holds == [.breaker])
    #expect(scene.journal.decisions.map(\.kind) == [.acted, .held])
    scene.journal.state.withLock { $0.error = JournalError(.full, call: "c", cause: "full", remedy: "r") }
    #expect(await one.resetHold(by: "uid 0").problem != nil)
    #expect(one.holds == [.breaker])
    scene.journal.state.withLock { $0.error = nil }
    #expect(await one.resetHold(by: "uid 0").ended == [.breaker])
    #expect(one.holds == [])
    #expect(
      scene.journal.decisions.last?.action == .resetHold && scene.journal.decisions.last?.result == .done)
    #expect(scene.journal.decisions[1].result == .done)
    #expect(await one.resetHold(by: "uid 0").ended == [])
    #expect(scene.journal.decisions.count == 3)
  }
}

@Suite("Migrations that are ended without a person, among several Drovers")
struct AutomaticElectionTests {
  private final class Store: ClaimStore {
    let book = Mutex(ClaimBook())
    let error = Mutex<ControlError?>(nil)
    let leads = Mutex(false)
    func claims() async throws(ControlError) -> ClaimBook {
      if let error = error.withLock(\.self) { throw error }
      return book.withLock(\.self)
    }
    func claim(_ claim: AbortClaim) async throws(ControlError) { book.withLock { _ = $0.add(claim) } }
    func share(_ holds: SharedHolds) async throws(ControlError) { book.withLock { $0.holds.merge(holds) } }
  }

  @Test("a standby decides nothing; whoever takes over knows what was claimed before, or holds")
  func takeover() async throws {
    let scene = try Scene()
    let store = Store()
    let backend = scene.backend
    let control = MigrationControl(
      fleet: scene.fleet, journal: scene.journal, clock: scene.clock,
      log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
      election: Election(
        standing: {
          Leadership(
            election: BackendName(rawValue: "prod"),
            term: LeaderTerm(
              holder: "a", heldUntil: store.leads.withLock(\.self) ? Moment(milliseconds: .max) : nil))
        }, claims: { store })
    ) { _ in backend }
    let automatic = AutomaticControl(
      control, journal: scene.journal, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    var settings = AutomaticSettings()
    settings.policies = .abort
    settings.rules = [PolicyRule(name: "r", wishes: [.completionTimeout: PolicyWish(.abort)])]
    automatic.apply(settings)
    scene.clock.advance(.seconds(800))
    var late = scene.observation(.precopy)
    late.startedAt = scene.clock.now() - .seconds(801)
    late.facts.size = .gibibytes(1)
    scene.fleet.tell(late)
    func look() async { for decision in await automatic.look() { await automatic.carryOut(decision) } }

    await look()
    #expect(scene.journal.decisions.isEmpty && scene.backend.calls.isEmpty)
    #expect(await automatic.resetHold(by: "uid 0").problem?.reason == .notLeader)
    let asked = await automatic.ask(AlertWish(labels: [:], isFiring: true))
    #expect(asked.isWorthRetrying && asked.refusal == .notLeader)

    store.leads.withLock { $0 = true }
    store.error.withLock { $0 = .sample(.unreachable) }
    await look()
    #expect(automatic.holds.contains(.takeover) && scene.backend.calls.isEmpty)
    let reset = await automatic.resetHold(by: "uid 0")
    #expect(reset.ended == [] && reset.problem?.reason == .hold)
    // One that leads no more does not wait for that any more.
    store.leads.withLock { $0 = false }
    await look()
    #expect(!automatic.holds.contains(.takeover))
    store.leads.withLock { $0 = true }
    await look()
    #expect(automatic.holds.contains(.takeover))

    store.error.withLock { $0 = nil }
    let unix = scene.clock.epochOffset().unixMilliseconds(scene.clock.now()) - 1000
    store.book.withLock {
      _ = $0.add(AbortClaim(migration: scene.id, vm: scene.vm, trigger: .progressTimeout, claimedAt: unix))
    }
    await look()
    #expect(!automatic.holds.contains(.takeover))
    #expect(scene.journal.decisions.map(\.refusal) == [.claimed] && scene.backend.calls.isEmpty)
  }

  @Test("one that led, lost that unseen and leads again reads anew what was done meanwhile")
  func terms() async throws {
    let scene = try Scene()
    let store = Store()
    let backend = scene.backend
    let standing = Mutex(Leadership(election: BackendName(rawValue: "prod")))
    func lead() {
      let now = scene.clock.now()
      standing.withLock { $0.take(LeaderTerm(holder: "a", heldUntil: now + .seconds(10)), at: now) }
    }
    let control = MigrationControl(
      fleet: scene.fleet, journal: scene.journal, clock: scene.clock,
      log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
      election: Election(standing: { standing.withLock(\.self) }, claims: { store })
    ) { _ in backend }
    let automatic = AutomaticControl(
      control, journal: scene.journal, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    var settings = AutomaticSettings()
    settings.policies = .abort
    settings.rules = [PolicyRule(name: "r", wishes: [.completionTimeout: PolicyWish(.abort)])]
    automatic.apply(settings)
    lead()
    for decision in await automatic.look() { await automatic.carryOut(decision) }
    #expect(automatic.holds == [])

    scene.clock.advance(.seconds(800))
    var late = scene.observation(.precopy)
    late.startedAt = scene.clock.now() - .seconds(801)
    late.facts.size = .gibibytes(1)
    scene.fleet.tell(late)
    let unix = scene.clock.epochOffset().unixMilliseconds(scene.clock.now()) - 1000
    store.book.withLock {
      _ = $0.add(AbortClaim(migration: scene.id, vm: scene.vm, trigger: .progressTimeout, claimedAt: unix))
    }
    lead()
    for decision in await automatic.look() { await automatic.carryOut(decision) }
    #expect(scene.journal.decisions.map(\.refusal) == [.claimed] && scene.backend.calls.isEmpty)
  }
}
