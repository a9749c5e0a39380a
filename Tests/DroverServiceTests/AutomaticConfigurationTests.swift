import Testing

@testable import DroverCore
@testable import DroverService

@Suite("Configuration of policies and alerts")
struct AutomaticConfigurationTests {
  private static let all = """
    control:
      switches: {policies: shadow, alerts: enabled}
      alerts: {names: [A, B], namespaceLabel: exported_namespace}
      limits: {aborts: 5, window: 20m, perVM: 0s, sampleAge: 20s, guard: 0s, partition: 4}
      rules:
        - name: big ones
          reason: the nightly copies of db
          match:
            backend: prod
            namespace: [shop, shop2]
            host: rack1
            vm: [db-1]
            origin: [manual, drover]
            size: {atLeast: 8GiB, atMost: 64GiB}
          when:
            completion_timeout: shadow
            progress_timeout: abort
            not_converging: {for: 60s, do: abort}
            keepalive: observe
            network_lost: {for: 5s, do: shadow}
            postcopy: observe
        - {name: rest, when: {not_converging: abort}}
    """

  @Test("a rule behind one that takes all it could match is told, with both lines")
  func unreachable() throws {
    func findings(_ rules: String) throws -> [String] {
      try Configuration.parse("control:\n  rules:\n\(rules)", file: "f").unreachableRules
    }
    let night = "    - {name: night, match: {vm: a}, when: {progress_timeout: observe}}\n"
    let day = "    - {name: day, match: {vm: a}, when: {progress_timeout: shadow}}\n"
    let all = "    - {name: all, when: {progress_timeout: observe}}\n"
    #expect(try findings(night + all).isEmpty)
    let behind = try findings(all + night)
    #expect(behind.count == 1)
    #expect(
      behind.first?.hasPrefix(
        #"rule "night" on line 4 never applies: rule "all" on line 3 comes before it and governs all"#)
        == true)
    #expect(try findings(night + day).first?.contains("has the same match") == true)
  }

  @Test("every key is read")
  func keys() throws {
    let automatic = try Configuration.parse(Self.all, file: "f").automatic
    #expect(automatic.policies == .shadow && automatic.alerts == .abort)
    #expect(automatic.alertNames == ["A", "B"] && automatic.namespaceLabel == "exported_namespace")
    var limits = AutomaticLimits()
    limits.aborts = 5
    limits.window = .seconds(1200)
    limits.perVM = .zero
    limits.sampleAge = .seconds(20)
    limits.guardTime = .zero
    limits.partition = 4
    #expect(automatic.limits == limits)
    let rule = try #require(automatic.rules.first)
    #expect(rule.name == "big ones" && rule.reason == "the nightly copies of db")
    #expect(rule.match.backends == ["prod"] && rule.match.namespaces == ["shop", "shop2"])
    #expect(
      rule.match.hosts == ["rack1"] && rule.match.vms == ["db-1"] && rule.match.origins == [.manual, .drover])
    #expect(rule.match.atLeast == .gibibytes(8) && rule.match.atMost == .gibibytes(64))
    #expect(
      rule.wishes == [
        .completionTimeout: PolicyWish(.shadow), .progressTimeout: PolicyWish(.abort),
        .notConverging: PolicyWish(.abort, after: .seconds(60)), .keepalive: PolicyWish(.observe),
        .networkLost: PolicyWish(.shadow, after: .seconds(5)), .postcopy: PolicyWish(.observe),
      ])
    #expect(automatic.rules.map(\.name) == ["big ones", "rest"])
  }

  @Test("nothing is armed by default, and both time-outs are noted")
  func defaults() throws {
    for text in ["", "control: {}", "control: {rules: ~}"] {
      let automatic = try Configuration.parse(text, file: "f").automatic
      #expect(automatic == AutomaticSettings())
      #expect(automatic.policies == .observe && automatic.alerts == nil && automatic.rules == [.standard])
    }
    #expect(try Configuration.parse("control: {rules: []}", file: "f").automatic.rules == [])
  }

  @Test("what check-config shows means the same")
  func effective() throws {
    let configuration = try Configuration.parse(Self.all, file: "f")
    let shown = EffectiveConfiguration(configuration).description
    #expect(try Configuration.parse(shown, file: "g").automatic == configuration.automatic, "\(shown)")
  }

  @Test(
    "abort is refused where it must never be, with the reason",
    arguments: [
      ("postcopy", "would be lost"), ("keepalive", "libvirt itself ends a migration"),
      ("network_lost", "where bytes stay away, progress_timeout applies"),
    ])
  func neverAborts(trigger: String, reason: String) {
    for wish in ["abort", "{for: 60s, do: abort}"] {
      let told = errors("control: {rules: [{name: a, when: {\(trigger): \(wish)}}]}")
      #expect(told.count == 1, "\(told)")
      #expect(told.first?.contains("control.rules.when.\(trigger) must not be abort: ") == true, "\(told)")
      #expect(told.first?.contains(reason) == true, "\(told)")
    }
    #expect(errors("control: {rules: [{name: a, when: {\(trigger): shadow}}]}") == [])
  }

  @Test(
    "what is wrong is told with its place",
    arguments: [
      ("rules: [{when: {postcopy: observe}}]", "f:1:19: an entry of control.rules has no name"),
      ("rules: [{name: a}]", "looks out for nothing"),
      ("rules: [{name: a, when: {}}]", "looks out for nothing"),
      ("rules: [~]", "an entry of control.rules is empty"), ("rules: {}", "control.rules must be a list"),
      (
        "rules: [{name: a, when: {postcopy: observe}}, {name: a, when: {postcopy: observe}}]",
        #"two rules called "a", on lines 1 and 1"#
      ),
      ("rules: [{name: a, when: {progress: abort}}]", #"unknown key "progress" in control.rules.when"#),
      (
        "rules: [{name: a, when: {progress_timeout: kill}}]",
        #"must be one of observe, shadow, abort, not "kill""#
      ),
      ("rules: [{name: a, when: {progress_timeout: {for: 60s}}}]", "says not what to do; such as"),
      (
        "rules: [{name: a, when: {progress_timeout: {for: soon, do: abort}}}]",
        "control.rules.when.progress_timeout.for"
      ),
      (
        "rules: [{name: a, match: {size: {atLeast: 2GiB, atMost: 1GiB}}, when: {postcopy: observe}}]",
        "atLeast is more than atMost"
      ),
      (
        "rules: [{name: a, match: {origin: nobody}, when: {postcopy: observe}}]",
        "control.rules.match.origin must be one of"
      ),
      ("limits: {aborts: 0}", "control.limits.aborts must be a whole number from 1 to 1000"),
      ("limits: {window: 1s}", "control.limits.window must be from 1m to 1d"),
      ("limits: {perVM: 8d}", "control.limits.perVM must be from 1s to 1w"),
      ("limits: {partition: 1}", "control.limits.partition"),
      ("alerts: {namespaceLabel: \"a-b\"}", "is no name of a label"),
      ("alerts: {name: [a]}", #"did you mean "names"?"#),
    ])
  func wrong(control: String, error: String) {
    let told = errors("control: {\(control)}")
    #expect(told.count == 1 && told.first?.contains(error) == true, "\(told)")
  }

  @Test("which rule would govern which migration is told from what a running drover answers")
  func governing() throws {
    let rules = GoverningRules(
      try Configuration.parse(
        """
        control:
          switches: {policies: enabled}
          rules:
            - {name: one, match: {vm: web}, when: {progress_timeout: abort, not_converging: observe}}
            - {name: cluster, match: {namespace: shop}, when: {progress_timeout: abort}}
        """, file: "f"))
    func item(_ view: MigrationView) -> MigrationItem {
      MigrationItem(view, epochOffset: sampleOffset, now: noon)
    }
    let web = item(sampleView())
    let lines = rules.lines([
      web, item(sampleView(scope: .namespace("shop"), vm: "db")), item(sampleView(vm: "other")),
      item(sampleView { $0.ending = Ending(outcome: .succeeded, certainty: .reported, endedAt: noon) }),
    ])
    #expect(
      lines == [
        "Of the migrations that run now:",
        "  rack1/web, \(web.id): rule one: progress_timeout abort, not_converging observe",
        "  shop/db, \(web.id): rule cluster: progress_timeout observe (KubeVirt enforces it)",
        "  rack1/other, \(web.id): no rule",
      ])
    #expect(rules.lines([]) == ["No migration runs that a rule could govern."])
  }

  @Test("the exported budget says who enforces it")
  func enforcedBy() throws {
    func enforcers(_ control: String) throws -> [Enforcer?] {
      let configuration = try Configuration.parse("control: \(control)", file: "f")
      var tracker = MigrationTracker(settings: configuration.tracker, startedAt: noon)
      let backend = BackendName(rawValue: "rack1")
      tracker.register(
        BackendDescriptor(
          name: backend, type: "qemu", endpoint: "x", node: "a", origins: [.unknown], causes: [],
          errorKinds: [], budget: BudgetSettings()))
      let domain = DomainKey(backend: backend, socketPath: "/a")
      var sample = Sample()
      sample.memory = StreamCounters(transferred: 1, remaining: 1)
      var facts = MigrationFacts()
      facts.size = .gibibytes(1)
      let told = MigrationObservation(
        id: MigrationID(domain: domain, startedUnixMilliseconds: 1),
        vm: VMRef(backend: backend, scope: .host("a"), name: "web"), domain: domain, takenAt: noon,
        startedAt: noon, phase: .precopy, sample: sample, facts: facts)
      _ = tracker.receive(.migration(told), at: noon)
      let view = tracker.snapshot().migrations.first { _ in true }
      return [view?.completion?.enforcedBy, view?.progressBudget?.enforcedBy]
    }
    let rule =
      "rules: [{name: a, match: {vm: web}, when: {completion_timeout: abort, progress_timeout: abort}}]"
    #expect(try enforcers("{switches: {policies: enabled}, \(rule)}") == [.drover, .drover])
    #expect(try enforcers("{switches: {policies: shadow}, \(rule)}") == [Enforcer.none, Enforcer.none])
    #expect(try enforcers("{\(rule)}") == [Enforcer.none, Enforcer.none])
    let other = rule.replacing("web", with: "db")
    #expect(try enforcers("{switches: {policies: enabled}, \(other)}") == [Enforcer.none, Enforcer.none])
    let half = rule.replacing("completion_timeout: abort", with: "completion_timeout: shadow")
    #expect(try enforcers("{switches: {policies: enabled}, \(half)}") == [Enforcer.none, .drover])
  }
}
