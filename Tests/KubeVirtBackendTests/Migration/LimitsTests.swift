import Testing

@testable import DroverCore
@testable import KubeVirtBackend
@testable import Kubernetes

@Suite("The time-outs that KubeVirt applies")
struct LimitsTests {
  /// What is shown of a migration of `vmi`: handed over and copying where `resolved` is given, else being prepared.
  private func view(
    _ vmi: MadeVMI = MadeVMI(), kubeVirt: MadeKubeVirt? = MadeKubeVirt(), policies: [MadePolicy] = [],
    namespace: [String: String] = [:], state: MadeState? = nil, points: [CopyPoint] = []
  ) throws -> MigrationView {
    var script = ClusterScript(kubeVirt: kubeVirt, vmis: [])
    script.take(.namespace("default", labels: namespace))
    for policy in policies { script.put(policy) }
    script.advance(to: 6)
    script.put(vmi.with(state))
    script.put(state == nil ? MadeVMIM().entering("Scheduled", at: 1) : .running())
    script.advance(to: 30)
    script.take(.copy(VMName(namespace: "default", name: "vm1"), points))
    return try #require(script.view())
  }

  private static let copying = MadeState(start: 5)

  private func resolved(_ limits: JSON) -> MadeState {
    var state = Self.copying
    state.configuration = limits
    return state
  }

  // MARK: Size

  @Test(
    "The completion time-out counts whole 10^9 bytes, rounded up",
    arguments: [
      ("512Mi", 150, 800), ("1Gi", 300, 1600), ("2Gi", 450, 2400), ("4Gi", 750, 4000), ("8Gi", 1350, 7200),
      ("16Gi", 2700, 14_400), ("32Gi", 5250, 28_000), ("64Gi", 10_350, 55_200), ("1G", 150, 800),
      ("1000000001", 300, 1600), ("8G", 1200, 6400), (8_589_934_592, 1350, 7200), ("1500m", 150, 800),
    ] as [(JSON, Int, Int)])
  func units(memory: JSON, at150: Int, at800: Int) throws {
    var vmi = MadeVMI()
    vmi.memory = memory
    #expect(try view(vmi).completion?.timeout == .seconds(at150))
    let old = MadeKubeVirt(version: "1.3.1")
    let view = try view(vmi, kubeVirt: old, state: Self.copying)
    #expect(view.completion?.timeout == .seconds(at800))
    #expect(view.completionDeadline == TestTime.moment(5 + Double(at800)))
    // Start, KubeVirt's monitor and its own rounding.
    #expect(view.completion?.uncertainty == .seconds(4))
    #expect(view.completion?.enforcedBy == .kubevirt && view.completion?.setBy == .versionDefault)
  }

  @Test("Volumes that are copied to other claims count with their capacity")
  func migratedVolumes() throws {
    var vmi = MadeVMI()
    vmi.migratedVolumes = ["40Gi", "nonsense", "1"]
    // 8 GiB, 40 GiB and a byte.
    #expect(try view(vmi).completion?.timeout == .seconds(52 * 150))
    #expect(try view(vmi).facts.size == Bytes(51_539_607_553))
    #expect(try view(vmi).facts.memory == .gibibytes(8))
  }

  @Test(
    "What the disks that KubeVirt makes add is not known, and narrowed by the whole that virt-handler tells",
    arguments: [
      // Nothing told; memory and disks; the disks alone, which go first.
      (nil, 10 * 150 + 4), (8.7, 4), (9.2, 154), (0.3, 4), (0.5, 154), (30, 10 * 150 + 4),
    ] as [(Double?, Int)])
  func blockMigration(total: Double?, uncertainty: Int) throws {
    var vmi = MadeVMI(volumes: [["name": "root", "containerDisk": ["image": "x"]]], method: "BlockMigration")
    var points: [CopyPoint] = []
    if let total { points = [point(at: 20, sent: 0.1, remaining: 1, total: total)] }
    let view = try view(vmi, state: Self.copying, points: points)
    #expect(view.completion?.timeout == .seconds(1350))
    #expect(view.completion?.uncertainty == .seconds(uncertainty))
    #expect(view.completionDeadline == TestTime.moment(1355))
    vmi.method = "LiveMigration"
    #expect(try self.view(vmi, state: Self.copying).completion?.uncertainty == .seconds(4))
  }

  @Test("A disk whose size is told adds no more than that")
  func knownDisks() throws {
    var vmi = MadeVMI(method: "BlockMigration", volumeStatus: [["name": "cloudinitdisk", "size": 1_048_576]])
    #expect(try view(vmi).completion?.uncertainty == .seconds(4))
    vmi.volumes = [["name": "scratch", "emptyDisk": ["capacity": "1Gi"]]]
    #expect(try view(vmi).completion?.uncertainty == .seconds(154))
    vmi.volumes = [["name": "scratch", "ephemeral": ["persistentVolumeClaim": ["claimName": "c"]]]]
    vmi.volumeStatus.append([
      "name": "scratch", "persistentVolumeClaimInfo": ["capacity": ["storage": "2G"]],
    ])
    #expect(try view(vmi).completion?.uncertainty == .seconds(2 * 150 + 4))
    // Even a disk of a few bytes may be one unit more.
    vmi = MadeVMI(memory: "9G", method: "BlockMigration")
    #expect(try view(vmi).completion?.uncertainty == .seconds(154))
  }

  // MARK: Who set it

  @Test(
    "A default is that of the version",
    arguments: [
      ("1.3.1", 800), ("v1.0.0", 800), ("0.59.0", 800), ("1.4.0", 150), ("v1.9.0-alpha.1", 150),
      ("2.0.0", 150),
      ("", 150), ("devel", 150),
    ] as [(String, Int)])
  func versions(version: String, seconds: Int) throws {
    let view = try view(kubeVirt: MadeKubeVirt(version: version))
    #expect(view.completion?.timeout == .seconds(9 * seconds) && view.completion?.setBy == .versionDefault)
    #expect(view.progressBudget?.timeout == .seconds(150) && view.progressBudget?.setBy == .versionDefault)
  }

  @Test("Without KubeVirt's own object nothing is claimed until the VMI tells")
  func unknown() throws {
    let blind = try view(kubeVirt: nil)
    #expect(blind.completion == nil && blind.progressBudget == nil && blind.facts.network.isEmpty)
    let told = try view(
      kubeVirt: nil, state: resolved(["completionTimeoutPerGiB": 200, "progressTimeout": 60]))
    #expect(told.completion?.timeout == .seconds(1800) && told.completion?.setBy == .vmi)
    #expect(told.progressBudget?.timeout == .seconds(60) && told.progressBudget?.setBy == .vmi)
  }

  @Test("VMI stands before policy, policy before KubeVirt, KubeVirt before the default")
  func order() throws {
    let kubeVirt = MadeKubeVirt(migrations: ["completionTimeoutPerGiB": 300, "progressTimeout": 90])
    let policy = MadePolicy(limits: ["completionTimeoutPerGiB": 400, "progressTimeout": 7])
    let state = resolved(["completionTimeoutPerGiB": 500, "progressTimeout": 80])
    let steps: [(MigrationView, Int, TimeoutOrigin, Int, TimeoutOrigin)] = [
      (try view(kubeVirt: kubeVirt), 300, .kubevirt, 90, .kubevirt),
      // A policy has no say in the time-out without progress.
      (try view(kubeVirt: kubeVirt, policies: [policy]), 400, .policy, 90, .kubevirt),
      (try view(policies: [policy]), 400, .policy, 150, .versionDefault),
      (try view(kubeVirt: kubeVirt, policies: [policy], state: state), 500, .vmi, 80, .vmi),
      (try view(kubeVirt: kubeVirt, policies: [policy], state: Self.copying), 400, .policy, 90, .kubevirt),
    ]
    for (view, completion, setBy, progress, progressSetBy) in steps {
      #expect(view.completion?.timeout == .seconds(9 * completion) && view.completion?.setBy == setBy)
      #expect(
        view.progressBudget?.timeout == .seconds(progress) && view.progressBudget?.setBy == progressSetBy)
      #expect(view.progressBudget?.enforcedBy == .kubevirt && view.progressBudget?.countsSent == true)
    }
  }

  @Test("The policy that is named is the one that the VMI names")
  func policyName() throws {
    let policy = MadePolicy(name: "slow")
    #expect(try view(policies: [policy]).facts.policy == "slow")
    var state = resolved(["completionTimeoutPerGiB": 500])
    state.policyName = "taken"
    #expect(try view(policies: [policy], state: state).facts.policy == "taken")
    state.policyName = ""
    #expect(try view(policies: [policy], state: state).facts.policy.isEmpty)
  }

  @Test(
    "0 is none, and so is what is below it or beyond a century",
    arguments: [0, -5, 1_000_000_000_000] as [Int64])
  func none(seconds: Int64) throws {
    let kubeVirt = MadeKubeVirt(migrations: [
      "completionTimeoutPerGiB": .int(seconds), "progressTimeout": .int(seconds),
    ])
    let view = try view(kubeVirt: kubeVirt, state: Self.copying)
    #expect(view.completion == nil && view.completionDeadline == nil)
    if seconds <= 0 { #expect(view.progressBudget == nil && view.progressDeadline == nil) }
  }

  @Test("Other settings are taken into use at once")
  func changes() throws {
    var script = ClusterScript()
    script.put(MadeVMIM().entering("Scheduled", at: 1))
    script.put(MadeKubeVirt(migrations: ["completionTimeoutPerGiB": 10]))
    #expect(script.view()?.completion?.timeout == .seconds(90))
    script.put(MadePolicy(name: "p", namespace: ["env": "prod"], limits: ["completionTimeoutPerGiB": 20]))
    #expect(script.view()?.completion?.timeout == .seconds(90))
    script.take(.namespace("default", labels: ["env": "prod"]))
    #expect(script.view()?.completion?.timeout == .seconds(180))
    script.take(.policyGone("p"))
    #expect(script.view()?.completion?.timeout == .seconds(90))
    // What changes nothing tells nothing.
    let before = script.messages.count
    script.put(MadeKubeVirt(migrations: ["completionTimeoutPerGiB": 10]))
    script.take(.namespace("default", labels: ["env": "prod"]))
    #expect(script.messages.count == before)
  }

  // MARK: What happens then

  struct Allowed: Sendable {
    var postCopy: JSON
    var disruption: JSON
    var action: DeadlineAction
    var withVFIO: DeadlineAction
  }

  @Test(
    "The action is what is allowed",
    arguments: [
      Allowed(postCopy: nil, disruption: nil, action: .abort, withVFIO: .abort),
      Allowed(postCopy: true, disruption: nil, action: .postcopy, withVFIO: .pause),
      Allowed(postCopy: true, disruption: true, action: .postcopy, withVFIO: .pause),
      Allowed(postCopy: true, disruption: false, action: .abort, withVFIO: .abort),
      Allowed(postCopy: false, disruption: nil, action: .abort, withVFIO: .abort),
      Allowed(postCopy: false, disruption: true, action: .pause, withVFIO: .pause),
      Allowed(postCopy: nil, disruption: true, action: .pause, withVFIO: .pause),
      Allowed(postCopy: nil, disruption: false, action: .abort, withVFIO: .abort),
    ])
  func action(allowed: Allowed) throws {
    let limits = JSON.present([
      "allowPostCopy": allowed.postCopy, "allowWorkloadDisruption": allowed.disruption,
    ])
    var members: [String: JSON] = [:]
    if case .object(let given) = limits { members = given }
    for (devices, action) in [(0, allowed.action), (1, allowed.withVFIO)] {
      let vmi = MadeVMI(hostDevices: devices)
      #expect(try view(vmi, kubeVirt: MadeKubeVirt(migrations: limits)).completion?.action == action)
      #expect(try view(vmi, policies: [MadePolicy(limits: members)]).completion?.action == action)
      var state = resolved(limits)
      #expect(try view(vmi, state: state).completion?.action == action)
      // What has been suspended already can only be aborted.
      state.mode = "Paused"
      #expect(try view(vmi, state: state).completion?.action == .abort)
    }
    #expect(
      try view(MadeVMI(gpus: 1), kubeVirt: MadeKubeVirt(migrations: limits)).completion?.action
        == allowed.withVFIO)
  }

  @Test("A policy that allows post-copy, or forbids it, does so against KubeVirt's own settings")
  func policyAgainstKubeVirt() throws {
    let both: JSON = ["allowPostCopy": true, "allowWorkloadDisruption": true]
    let neither: JSON = ["allowPostCopy": false, "allowWorkloadDisruption": false]
    let cases: [(JSON, [String: JSON], DeadlineAction)] = [
      (neither, ["allowPostCopy": true], .postcopy), (both, ["allowPostCopy": false], .abort),
      (both, ["allowWorkloadDisruption": false], .abort),
      (neither, ["allowWorkloadDisruption": true], .pause),
      (both, ["completionTimeoutPerGiB": 7], .postcopy),
      (["allowPostCopy": true], ["bandwidthPerMigration": "1Mi"], .postcopy),
    ]
    for (kubeVirt, policy, action) in cases {
      let view = try view(
        kubeVirt: MadeKubeVirt(migrations: kubeVirt), policies: [MadePolicy(limits: policy)])
      #expect(view.completion?.action == action)
    }
  }

  @Test("The time is doubled while the guest is suspended, and there is none in post-copy")
  func modes() throws {
    var state = resolved([
      "completionTimeoutPerGiB": 150, "progressTimeout": 150, "allowWorkloadDisruption": true,
    ])
    state.mode = "Paused"
    let paused = try view(state: state)
    #expect(paused.phase == .guestSuspended && paused.completion?.timeout == .seconds(2700))
    #expect(paused.completionDeadline == TestTime.moment(2705))
    state.mode = "PostCopy"
    let postcopy = try view(state: state)
    #expect(postcopy.phase == .postcopy && postcopy.completion == nil && postcopy.completionDeadline == nil)
    #expect(postcopy.progressBudget == nil && postcopy.progressDeadline == nil)
  }

  @Test(
    "KubeVirt's stall detector takes the place of the time-out without progress, and may wait twice as long")
  func stallDetector() throws {
    let gated = MadeKubeVirt(version: "1.9.0", featureGates: ["MigrationStallDetection"])
    let detector: [String: JSON] = ["experimental": ["stallDetector": ["completionTimeoutFactor": 2.5]]]
    let cases: [(MigrationView, Double)] = [
      (try view(kubeVirt: gated), 2),
      (try view(kubeVirt: gated, policies: [MadePolicy(limits: detector)]), 2.5),
      (try view(policies: [MadePolicy(limits: ["experimental": ["stallDetector": [:]]])]), 2),
      (
        try view(policies: [
          MadePolicy(limits: ["experimental": ["stallDetector": ["completionTimeoutFactor": "x"]]])
        ]), 2
      ),
      (try view(state: resolved(.object(detector.merging(["completionTimeoutPerGiB": 150]) { $1 }))), 2.5),
    ]
    for (view, factor) in cases {
      #expect(view.progressBudget == nil)
      #expect(view.completion?.timeout == .seconds(1350))
      #expect(view.completion?.uncertainty == .seconds(1350 * (factor - 1) + 4))
    }
    let tuned = try view(policies: [MadePolicy(limits: ["experimental": ["downtimeTuning": ["steps": 7]]])])
    #expect(tuned.progressBudget != nil && tuned.completion?.uncertainty == .seconds(4))
  }

  @Test("Limits of bandwidth and downtime are those in force, with the samples")
  func otherLimits() throws {
    let points = [point(at: 20, sent: 1, remaining: 7)]
    let policy = MadePolicy(limits: ["bandwidthPerMigration": "512Mi", "maxDowntimeMs": 900])
    let limited = try view(policies: [policy], state: Self.copying, points: points).sample
    #expect(limited.bandwidthLimit == 536_870_912 && limited.downtimeLimit == .milliseconds(900))
    for nothing in ["0", "0Mi", 0, "nonsense", "-1"] as [JSON] {
      let state = resolved(["bandwidthPerMigration": nothing, "maxDowntimeMs": -1])
      let sample = try view(policies: [policy], state: state, points: points).sample
      #expect(sample.bandwidthLimit == nil && sample.downtimeLimit == nil)
    }
  }
}

@Suite("Which policy applies")
struct PolicyTests {
  private func chosen(_ policies: [MadePolicy], vmi: [String: String], namespace: [String: String]) throws
    -> String?
  {
    var names: Set<String?> = []
    // The order in which they are told does not matter.
    for order in [policies, policies.reversed()] {
      var book = PolicyBook()
      for policy in order { book.set(try policy.decoded()) }
      names.insert(book.policy(vmi: vmi, namespace: namespace)?.metadata.name)
    }
    #expect(names.count == 1)
    return names.first ?? nil
  }

  private static let vmi = ["app": "db", "tier": "1", "zone": "a"]
  private static let namespace = ["env": "prod", "team": "x"]

  @Test("Every label has to match")
  func match() throws {
    #expect(try chosen([MadePolicy(name: "a", vmi: ["app": "db"])], vmi: Self.vmi, namespace: [:]) == "a")
    #expect(try chosen([MadePolicy(name: "a", vmi: ["app": "web"])], vmi: Self.vmi, namespace: [:]) == nil)
    #expect(
      try chosen([MadePolicy(name: "a", vmi: ["app": "db", "tier": "2"])], vmi: Self.vmi, namespace: [:])
        == nil)
    #expect(
      try chosen(
        [MadePolicy(name: "a", vmi: ["app": "db"], namespace: ["env": "test"])], vmi: Self.vmi,
        namespace: Self.namespace) == nil)
    #expect(try chosen([], vmi: Self.vmi, namespace: Self.namespace) == nil)
  }

  @Test("The most labels win, of the VMI's first, then the first name")
  func best() throws {
    let all = [
      MadePolicy(name: "one", vmi: ["app": "db"]),
      MadePolicy(name: "three", vmi: ["app": "db"], namespace: ["env": "prod", "team": "x"]),
      MadePolicy(name: "three-of-vmi", vmi: ["app": "db", "tier": "1"], namespace: ["env": "prod"]),
      MadePolicy(name: "three-z", vmi: ["app": "db", "zone": "a"], namespace: ["env": "prod"]),
      MadePolicy(name: "two", namespace: ["env": "prod", "team": "x"]),
      MadePolicy(
        name: "unmatched", vmi: ["app": "db", "tier": "1", "zone": "b"], namespace: ["env": "prod"]),
    ]
    #expect(try chosen(all, vmi: Self.vmi, namespace: Self.namespace) == "three-of-vmi")
    #expect(try chosen(Array(all.prefix(2)), vmi: Self.vmi, namespace: Self.namespace) == "three")
    #expect(try chosen([all[0], all[4]], vmi: Self.vmi, namespace: Self.namespace) == "two")
    #expect(
      try chosen(
        [MadePolicy(name: "b", vmi: ["app": "db"]), MadePolicy(name: "a", namespace: ["env": "prod"])],
        vmi: Self.vmi, namespace: Self.namespace) == "b")
    #expect(
      try chosen(
        [MadePolicy(name: "b", vmi: ["app": "db"]), MadePolicy(name: "a", vmi: ["tier": "1"])], vmi: Self.vmi,
        namespace: [:]) == "a")
  }

  @Test("One that selects nothing applies to everybody, one without selectors to nobody")
  func empty() throws {
    let everybody = MadePolicy(name: "everybody")
    #expect(try chosen([everybody], vmi: [:], namespace: [:]) == "everybody")
    #expect(
      try chosen([everybody, MadePolicy(name: "z", vmi: ["app": "db"])], vmi: Self.vmi, namespace: [:]) == "z"
    )
    var json = everybody.json
    json["spec", "selectors"] = nil
    var book = PolicyBook()
    book.set(try json.decoded())
    #expect(book.policy(vmi: Self.vmi, namespace: [:]) == nil)
  }
}
