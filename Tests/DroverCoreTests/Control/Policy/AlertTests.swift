import Testing

@testable import DroverCore

@Suite("What alerts may ask for")
struct AlertTests {
  @Test("one that is listed, opts in and names a migration with its place ends it, once")
  func acts() {
    var scene = AutomaticScene()
    let view = scene.view()
    #expect(scene.ask(alert(), [view]) == "acted alert")
    #expect(scene.ask(alert(), [view]) == "again acted -")
    // Another alert of the same migration, with another fingerprint.
    let other = alert { $0["alertname"] = "DroverMigrationNotConverging" }
    #expect(scene.ask(other, [scene.view(1, endless)]) == "refused alert claimed")
    #expect(scene.ask(other, [scene.view(1, endless)]) == "again refused claimed")
    #expect(scene.decide([scene.stuck()]) == ["refused progress_timeout claimed"])
  }

  struct Forged: Sendable, CustomTestStringConvertible {
    var reason: RefusalReason
    var testDescription: String
    var change: @Sendable (inout [String: String]) -> Void
  }

  static let forged: [Forged] = [
    .init(reason: .notListed, testDescription: "another name") { $0["alertname"] = "Watchdog" },
    .init(reason: .notListed, testDescription: "no name") { $0["alertname"] = nil },
    .init(reason: .notOptedIn, testDescription: "no opt-in") { $0["drover_action"] = nil },
    .init(reason: .notOptedIn, testDescription: "another action") { $0["drover_action"] = "Abort" },
    .init(reason: .unknown, testDescription: "no migration") { $0["migration"] = nil },
    .init(reason: .unknown, testDescription: "no id") { $0["migration"] = "vm1'; --" },
    .init(reason: .unknown, testDescription: "part of an id") { labels in
      labels["migration"] = labels["migration"].map { String($0.dropLast()) }
    },
    .init(reason: .unknown, testDescription: "an id in capitals") { labels in
      labels["migration"] = labels["migration"]?.uppercased()
      labels["migration"]?.append("A")
    },
    .init(reason: .mismatch, testDescription: "another back end") { $0["backend"] = "rack2" },
    .init(reason: .mismatch, testDescription: "no back end") { $0["backend"] = nil },
    .init(reason: .mismatch, testDescription: "another host") { $0["host"] = "host-b" },
    .init(reason: .mismatch, testDescription: "no host") { $0["host"] = nil },
    .init(reason: .mismatch, testDescription: "a namespace for a host") { labels in
      labels["namespace"] = labels["host"]
      labels["host"] = nil
    },
  ]

  @Test("a forged one is refused for good, in one record", arguments: forged)
  func refused(row: Forged) {
    var scene = AutomaticScene()
    let wish = alert { row.change(&$0) }
    #expect(scene.ask(wish, [scene.view()]) == "refused alert \(row.reason.rawValue)")
    for _ in 0..<3 { #expect(scene.ask(wish, [scene.view()]) == "again refused \(row.reason.rawValue)") }
  }

  @Test(
    "one whose labels were put right is no repeat of the one that was refused",
    arguments: forged.filter(\.reason.isAboutLabels))
  func putRight(row: Forged) {
    var scene = AutomaticScene()
    #expect(scene.ask(alert { row.change(&$0) }, [scene.view()]) == "refused alert \(row.reason.rawValue)")
    #expect(scene.ask(alert(), [scene.view()]) == "acted alert")
  }

  @Test("a wrong one beside the right one is refused once, and changes nothing of it")
  func wrongBeside() {
    var scene = AutomaticScene()
    let wrong = alert(startedAt: 3000) { $0["host"] = "host-b" }
    let right = alert(startedAt: 2000)
    let old = scene.view { $0.sampledAt = $0.sampledAt - .seconds(11) }
    #expect(scene.ask(wrong, [old]) == "refused alert mismatch")
    #expect(scene.ask(right, [old]) == "held alert old_sample")
    #expect(scene.ask(wrong, [old]) == "again refused mismatch")
    #expect(scene.ask(right, [old]) == "again held old_sample")
    var over = wrong
    over.isFiring = false
    #expect(scene.ask(over, [old]) == "ignored")
    #expect(scene.ask(right, [scene.view()]) == "acted alert")
    #expect(scene.ask(wrong, [scene.view()]) == "again refused mismatch")
  }

  @Test("what was refused for its labels stays so while its migration is not shown, also over a restart")
  func mislabelledLater() {
    var scene = AutomaticScene()
    let wrong = alert { $0["host"] = "host-b" }
    #expect(scene.ask(wrong, [scene.view()]) == "refused alert mismatch")
    #expect(scene.ask(wrong, []) == "again refused mismatch")
    var record = Decision(
      madeAt: 9_900_000, action: .abort, trigger: .alert, kind: .refused,
      migration: scene.view().identity.id, vm: vmRef(), requester: "alert DroverMigrationStalled",
      refusal: .mismatch, text: "")
    record.evidence = [.init(FactName.alert, wrong.name)]
    scene = AutomaticScene(history: [record])
    #expect(scene.ask(wrong, [scene.view()]) == "again refused mismatch")
    // The right one is to be sent again, since nobody can say yet that it is right.
    #expect(scene.ask(alert(), [], isUp: false) == "held alert unreadable")
    #expect(scene.ask(alert(), [scene.view()]) == "acted alert")
  }

  @Test("one that is late, for what is over or gone, ends nothing")
  func late() {
    var scene = AutomaticScene()
    let now = scene.now
    let over = scene.view {
      $0.ending = Ending(outcome: .succeeded, certainty: .reported, endedAt: now)
      $0.phase = .succeeded
    }
    #expect(scene.ask(alert(), [over]) == "refused alert finished")
    // The VM's next migration is another.
    #expect(scene.ask(alert(), [over, scene.view(2, vm: "vm1")]) == "again refused finished")
    #expect(scene.ask(alert(3), []) == "refused alert unknown")
    #expect(scene.ask(alert(3), []) == "again refused unknown")
  }

  @Test("one that comes before its migration is shown is heard once it is, over a restart, too")
  func early() {
    var scene = AutomaticScene()
    #expect(scene.ask(alert(), []) == "refused alert unknown")
    let shown = scene.snapshot([scene.view()])
    guard case .decision(let decision) = scene.aborts.ask(alert(), shown, at: scene.now) else {
      Issue.record("nothing decided")
      return
    }
    #expect(decision.words == "acted alert" && decision.record == DecisionID(rawValue: 1))
    var record = Decision(
      madeAt: 9_900_000, action: .abort, trigger: .alert, kind: .refused,
      migration: scene.view().identity.id, requester: "alert GuestIsSlow", refusal: .unknown, text: "")
    record.evidence = [.init(FactName.alert, "GuestIsSlow")]
    scene = AutomaticScene(history: [record])
    #expect(scene.ask(alert(), []) == "again refused unknown")
    // What speaks against it then may pass.
    let old = scene.view { $0.sampledAt = $0.sampledAt - .seconds(11) }
    #expect(scene.ask(alert(), [old]) == "held alert old_sample")
    #expect(scene.ask(alert(), [old]) == "again held old_sample")
    #expect(scene.ask(alert(), [scene.view()]) == "acted alert")
  }

  @Test("while its back end does not answer nobody knows whether there is such a migration")
  func backendDown() {
    var scene = AutomaticScene()
    #expect(scene.ask(alert(), [], isUp: false) == "held alert unreadable")
    #expect(scene.ask(alert(), [], isUp: false) == "again held unreadable")
    #expect(scene.ask(alert(), [scene.view()]) == "acted alert")
    // That it names no back end needs no look.
    #expect(scene.ask(alert(2) { $0["backend"] = nil }, [], isUp: false) == "refused alert mismatch")
    #expect(scene.ask(alert(2), [scene.view(2)]) == "acted alert")
  }

  @Test("one about a back end that this Drover does not watch asks nothing of it, and leaves no trace")
  func foreign() {
    var scene = AutomaticScene()
    let other = alert { $0["backend"] = "host-b" }
    for views in [[], [scene.view()]] { #expect(scene.ask(other, views) == "foreign") }
    #expect(scene.ask(alert(9) { $0["backend"] = "host-b" }, [], isUp: false) == "foreign")
    // Not even that it was resolved is kept.
    var over = other
    over.isFiring = false
    #expect(scene.ask(over, [scene.view()]) == "foreign")
    #expect(scene.aborts.standings.isEmpty && scene.aborts.resolved.isEmpty)
    #expect(scene.ask(alert(), [scene.view()]) == "acted alert")
  }

  @Test("what was shadowed stays as it was shown, whatever its alert comes to later")
  func shadowStays() throws {
    var scene = AutomaticScene { $0.alerts = .shadow }
    let wish = alert { $0["verdict"] = "not_converging" }
    #expect(scene.ask(wish, [scene.view(1, endless)]) == "shadowed alert shadow")
    #expect(scene.ask(wish, [scene.view()]) == "again shadowed -")
    let now = scene.now
    let over = scene.view(1) {
      $0.ending = Ending(outcome: .succeeded, certainty: .reported, endedAt: now)
      $0.phase = .succeeded
    }
    #expect(scene.ask(wish, [over]) == "again shadowed -")
    scene.set { $0.alerts = .abort }
    guard
      case .decision(let held) = scene.aborts.ask(wish, scene.snapshot([scene.view()]), at: scene.now)
    else {
      Issue.record("nothing decided")
      return
    }
    #expect(held.kind == .held && held.record == nil)
  }

  @Test("one that is over asks for nothing, and makes an older one that comes behind it void")
  func resolved() {
    var scene = AutomaticScene()
    var over = alert(startedAt: 2000)
    over.isFiring = false
    #expect(scene.ask(over, [scene.view()]) == "ignored")
    #expect(scene.ask(alert(startedAt: 1000), [scene.view()]) == "ignored")
    #expect(scene.ask(alert(startedAt: 2000), [scene.view()]) == "ignored")
    var timeless = alert()
    timeless.startedAt = nil
    #expect(scene.ask(timeless, [scene.view()]) == "ignored")
    #expect(scene.ask(alert(startedAt: 2001), [scene.view()]) == "acted alert")
  }

  @Test("one that is over makes none void that fires with other labels")
  func resolvedSibling() {
    var scene = AutomaticScene()
    var over = alert(startedAt: 3000)
    (over.isFiring, over.fingerprint) = (false, "b")
    #expect(scene.ask(over, [scene.view()]) == "ignored")
    var late = alert(startedAt: 2000)
    late.fingerprint = "b"
    #expect(scene.ask(late, [scene.view()]) == "ignored")
    #expect(scene.ask(alert(startedAt: 2000), [scene.view()]) == "acted alert")
  }

  @Test("one that tells a verdict asks only while that holds")
  func verdict() {
    var scene = AutomaticScene()
    let wish = alert { $0["verdict"] = "not_converging" }
    #expect(scene.ask(wish, [scene.view()]) == "held alert changed")
    #expect(scene.ask(wish, [scene.view(1, endless)]) == "acted alert")
  }

  @Test("Drover's own alerts end only what they are about, as it is now")
  func own() {
    var scene = AutomaticScene()
    let endlessly = alert { $0["alertname"] = "DroverMigrationNotConverging" }
    let stalled = alert(2) { $0["alertname"] = "DroverMigrationStalled" }
    #expect(scene.ask(endlessly, [scene.view()]) == "held alert changed")
    #expect(scene.ask(endlessly, [scene.stuck()]) == "again held changed")
    #expect(scene.ask(stalled, [scene.view(2, endless)]) == "held alert changed")
    #expect(scene.ask(endlessly, [scene.view(1, endless)]) == "acted alert")
    #expect(scene.ask(stalled, [scene.stuck(2)]) == "acted alert")
    #expect(
      scene.ask(alert(3) { $0["alertname"] = "DroverMigrationStalled" }, [scene.view(3, lost)])
        == "acted alert")
  }

  @Test("a refusal that may pass is looked at again at each repeat, in the same record")
  func passing() {
    var scene = AutomaticScene()
    let old = scene.view { $0.sampledAt = $0.sampledAt - .seconds(11) }
    #expect(scene.ask(alert(), [old]) == "held alert old_sample")
    #expect(scene.ask(alert(), [old]) == "again held old_sample")
    guard
      case .decision(let decision) = scene.aborts.ask(alert(), scene.snapshot([scene.view()]), at: scene.now)
    else {
      Issue.record("nothing decided")
      return
    }
    #expect(decision.kind == .acted && decision.record == DecisionID(rawValue: 1))
    // The same at this moment from another Alertmanager of a cluster.
    #expect(scene.ask(alert(), [scene.view()]) == "under way")
  }

  @Test("one that passes into a final refusal stays there, in the same record")
  func becomesFinal() {
    var scene = AutomaticScene()
    #expect(scene.ask(alert(), [scene.view { $0.phase = .guestSuspended }]) == "held alert suspended")
    #expect(scene.ask(alert(), [scene.view { $0.phase = .postcopy }]) == "refused alert postcopy")
    #expect(scene.ask(alert(), [scene.view()]) == "again refused postcopy")
  }

  @Test("what could not be stored is decided anew")
  func unstored() {
    var scene = AutomaticScene()
    let wish = alert { $0["drover_action"] = nil }
    for _ in 0..<2 {
      guard
        case .decision(let decision) = scene.aborts.ask(wish, scene.snapshot([scene.view()]), at: scene.now)
      else {
        Issue.record("nothing decided")
        return
      }
      scene.aborts.settle(decision, .noted(nil), at: scene.now)
    }
  }

  @Test("right before it is sent an alert must still be one that may ask, and fire")
  func recheck() {
    var scene = AutomaticScene()
    let wish = alert { $0["verdict"] = "not_converging" }
    guard
      case .decision(let decision) = scene.aborts.ask(
        wish, scene.snapshot([scene.view(1, endless)]), at: scene.now)
    else {
      Issue.record("nothing decided")
      return
    }
    func again(_ view: MigrationView) -> RefusalReason? {
      scene.aborts.recheck(decision, view, at: scene.now)?.reason
    }
    #expect(again(scene.view(1, endless)) == nil)
    #expect(again(scene.view()) == .changed)
    let armed = scene.aborts.settings
    var settings = armed
    settings.alerts = .shadow
    scene.aborts.apply(settings)
    #expect(again(scene.view(1, endless)) == .disabled)
    settings = armed
    settings.alertNames = []
    scene.aborts.apply(settings)
    #expect(again(scene.view(1, endless)) == .notListed)
    scene.aborts.apply(armed)
    var over = wish
    over.isFiring = false
    #expect(scene.ask(over, []) == "ignored")
    #expect(again(scene.view(1, endless)) == .changed)
  }

  @Test("a list that has changed is asked again; the fleet's bounds are the same as for policies")
  func lists() {
    var scene = AutomaticScene { $0.alertNames = [] }
    #expect(scene.ask(alert(), [scene.view()]) == "refused alert not_listed")
    var settings = scene.aborts.settings
    settings.alertNames = ["GuestIsSlow"]
    scene.aborts.apply(settings)
    #expect(scene.ask(alert(), [scene.view()]) == "acted alert")
    _ = scene.decide((2...3).map { scene.stuck($0) })
    #expect(scene.ask(alert(4), [scene.view(4)]) == "held alert hold")
  }

  @Test("the shadow of alerts is apart from that of policies")
  func shadow() {
    var scene = AutomaticScene { $0.alerts = .shadow }
    #expect(scene.ask(alert(), [scene.view()]) == "shadowed alert shadow")
    #expect(scene.ask(alert(), [scene.view()]) == "again shadowed -")
    // Each alert is shown on its own, and the migration counts once.
    let other = alert { $0["alertname"] = "DroverMigrationNotConverging" }
    #expect(scene.ask(other, [scene.view(1, endless)]) == "shadowed alert shadow")
    #expect(scene.decide([scene.stuck()]) == ["acted progress_timeout"])
    let third = alert { $0["alertname"] = "DroverMigrationStalled" }
    #expect(scene.ask(third, [scene.stuck()]) == "refused alert claimed shadow")
    scene = AutomaticScene { $0.alerts = nil }
    #expect(scene.ask(alert(), [scene.view()]) == "held alert disabled")
  }

  @Test("in a cluster the namespace counts, under the label that Prometheus gives it")
  func namespaces() {
    var told = observation(id: id(1), vm: clusterVM(), at: 10_000)
    told.startedAt = seconds(9_000)
    var view = MigrationView(first: told)
    view.sample.data = StreamCounters(transferred: 1)
    func wish(_ label: String) -> AlertWish {
      alert { labels in
        labels["host"] = nil
        labels["backend"] = prod.rawValue
        labels["namespace"] = "monitoring"
        labels[label] = "shop"
      }
    }
    var scene = AutomaticScene()
    #expect(scene.ask(wish("exported_namespace"), [view]) == "refused alert mismatch")
    scene = AutomaticScene { $0.namespaceLabel = "exported_namespace" }
    #expect(scene.ask(wish("exported_namespace"), [view]) == "acted alert")
    scene = AutomaticScene()
    #expect(scene.ask(wish("namespace"), [view]) == "acted alert")
  }

  @Test("any order of duplicates, resolved, forged and late ones ends no more than it should")
  func storms() {
    for seed in 1...50 {
      var random = SplitMix(state: UInt64(seed))
      var scene = AutomaticScene { $0.limits.aborts = 1000 }
      var ended: [String: Int] = [:]
      for _ in 0..<200 {
        let n = 1 + random.below(8)
        var wish = alert(n, startedAt: Int64(random.below(5)))
        // Those with an even number are never asked for rightly.
        if n.isMultiple(of: 2), let row = Self.forged.randomElement(using: &random) {
          row.change(&wish.labels)
        }
        wish.isFiring = random.below(4) > 0
        if random.below(3) == 0 { wish.fingerprint = "\(random.next())" }
        let views = (1...8).map { scene.view($0) }
        if case .decision(let decision) = scene.aborts.ask(wish, scene.snapshot(views), at: scene.now) {
          scene.settle(decision)
          if decision.kind == .acted { ended[decision.key.migration, default: 0] += 1 }
        }
      }
      #expect(ended.values.allSatisfy { $0 == 1 }, "seed \(seed)")
      let forged = Set([2, 4, 6, 8].map { id($0).description })
      #expect(forged.isDisjoint(with: ended.keys), "seed \(seed)")
    }
  }
}

extension SplitMix: RandomNumberGenerator {}
