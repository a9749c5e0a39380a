import DroverCore
import Testing

@testable import KubeVirtBackend
@testable import Kubernetes

extension TestCluster {
  /// What a survey of the whole cluster says of `demo`.
  func surveyed() async throws -> VMJudgement? {
    let reader = SurveyReader(self)
    var judge = SurveyJudge(await reader.facts())
    var answer: VMJudgement?
    try await reader.guests { page in
      for guest in page where guest.metadata.name == "demo" { answer = judge.judge(guest) }
    }
    return answer
  }
}

@Suite("Eligibility: of all VMs at once")
struct SurveyTests {
  /// What `drover explain` says, in the same words.
  private func explained(_ cluster: TestCluster) async throws -> VMJudgement {
    let answer = try await cluster.explained()
    let reasons = ReasonSet(answer.obstacles)
    let against = answer.targets.map { ReasonSet($0.obstacles) }
    let sure = against.count { $0.isEmpty }
    guard reasons.known.isEmpty else { return VMJudgement(reasons: reasons, targets: 0) }
    return VMJudgement(
      reasons: reasons, targets: against.count(where: \.known.isEmpty) == sure ? UInt32(sure) : nil)
  }

  private static let changes: [(String, @Sendable (inout TestCluster) -> Void)] = [
    ("nothing", { _ in }),
    ("a disk", { $0.addDisk() }),
    ("a disk for one node at a time", { $0.addDisk(modes: ["ReadWriteOnce"]) }),
    ("a CD-ROM", { $0.addDisk("cd", asCDROM: true) }),
    ("one copy", { $0.addDisk("one", replicas: 1, classReplicas: "1") }),
    (
      "a volume of one node",
      {
        $0.addDisk(
          affinity: [
            [
              "matchExpressions": [
                ["key": "kubernetes.io/hostname", "operator": "In", "values": ["a"]]
              ]
            ]
          ])
      }
    ),
    (
      "a device",
      { $0.guest { $0["spec", "domain", "devices", "hostDevices"] = [["name": "d", "deviceName": "x/y"]] } }
    ),
    ("a cordoned node", { $0.node("b") { $0["spec", "unschedulable"] = true } }),
    ("no other node", { $0.objects["nodes"] = [TestCluster.node("a")] }),
    (
      "nodes of another processor",
      { cluster in
        for node in ["b", "c"] {
          cluster.label(node, "cpu-model-migration.node.kubevirt.io/XYZ", .null)
        }
      }
    ),
    (
      "nodes out of reach, each for its own reason",
      {
        $0.node("b") { $0["spec", "unschedulable"] = true }
        $0.label("c", "cpu-model-migration.node.kubevirt.io/XYZ", .null)
      }
    ),
    ("full nodes", { cluster in for node in ["b", "c"] { cluster.fill(node) } }),
    ("one full node", { $0.fill("b") }),
    (
      "pods to be apart from",
      {
        $0.launcher {
          $0["spec", "affinity", "podAntiAffinity", "requiredDuringSchedulingIgnoredDuringExecution"] = [
            [
              "topologyKey": "kubernetes.io/hostname",
              "labelSelector": ["matchLabels": ["app": "rival"]],
            ]
          ]
        }
        $0.add("pods", TestCluster.other("rival", on: "b", labels: ["app": "rival"]))
      }
    ),
    (
      "a limit of volumes",
      {
        $0.addDisk()
        for node in ["a", "b", "c"] {
          $0.add(
            "csinodes",
            [
              "metadata": ["name": .string(node), "uid": .string("csi-\(node)")],
              "spec": [
                "drivers": [["name": "driver.longhorn.io", "allocatable": ["count": node == "b" ? 0 : 5]]]
              ],
            ])
        }
      }
    ),
    ("a network that is gone", { $0.attach("default/gone") }),
    ("KubeVirt's word", { $0.guest { $0["status", "conditions"] = TestCluster.refusal } }),
    ("no word of KubeVirt's", { $0.guest { $0["status", "conditions"] = [] } }),
    ("no nodes to be read", { $0.denied = ["nodes"] }),
    ("no pods to be read", { $0.denied = ["pods"] }),
    (
      "no claims to be read",
      {
        $0.addDisk()
        $0.denied = ["persistentvolumeclaims"]
      }
    ),
    (
      "no volumes to be read",
      {
        $0.addDisk()
        $0.denied = ["persistentvolumes"]
      }
    ),
    ("no KubeVirt object to be read", { $0.denied = ["kubevirts"] }),
    (
      "no limits of volumes to be read",
      {
        $0.addDisk()
        $0.denied = ["csinodes"]
      }
    ),
  ]

  @Test("says of each the same as the question about it alone", arguments: changes.indices)
  func agrees(index: Int) async throws {
    var cluster = TestCluster()
    Self.changes[index].1(&cluster)
    let expected = try await explained(cluster)
    let found = try await cluster.surveyed()
    var unread = expected
    // Without the list of nodes nobody knows how many there are.
    if cluster.denied.contains("nodes") { unread.targets = nil }
    #expect(found == unread, "\(Self.changes[index].0): \(found?.reasons.reasons ?? [])")
  }

  @Test("what only Harvester's page says keeps no VM from migrating; what cannot be read is never fine")
  func pageAndUnknown() async throws {
    var cluster = TestCluster()
    cluster.addDisk("cd", asCDROM: true)
    #expect(try await cluster.surveyed() == VMJudgement(reasons: [], targets: 2))
    cluster.denied = ["pods"]
    let blind = try #require(try await cluster.surveyed())
    #expect(blind.reasons == .unknown && blind.targets == nil)
    #expect(await SurveyReader(cluster).facts().missingRights == ["get on pods"])
  }

  @Test("a VM that does not run is not judged")
  func off() async throws {
    var cluster = TestCluster()
    cluster.guest { $0["status", "phase"] = "Scheduling" }
    #expect(try await cluster.surveyed() == nil)
  }

  @Test("takes as many requests for a hundred VMs as for one, and compares alike ones with each node once")
  func scales() async throws {
    var cluster = TestCluster()
    for number in 1...100 { cluster.add("virtualmachineinstances", TestCluster.clone(number)) }
    for number in 1...100 { cluster.add("pods", TestCluster.clonedPod(number)) }
    let reader = SurveyReader(cluster)
    var judge = SurveyJudge(await reader.facts())
    var judged = 0
    try await reader.guests { page in judged += page.count { judge.judge($0)?.targets == 2 } }
    #expect(judged == 101)
    #expect(judge.comparisons == 3)
    #expect(cluster.asked.all.count == 8, "\(cluster.asked.all)")
  }
}

@Suite("Eligibility: when all VMs are judged")
struct SurveyScheduleTests {
  private func second(_ second: Double) -> Moment { Moment(milliseconds: Int64(second * 1000)) }

  @Test("at once, then a minute after something has happened, or ten without")
  func pace() {
    var schedule = SurveySchedule()
    #expect(schedule.isDue(isOutdated: true, at: second(0)))
    schedule.ended(from: second(0), at: second(1), isWhole: true)
    #expect(!schedule.isDue(isOutdated: true, at: second(60)))
    #expect(schedule.isDue(isOutdated: true, at: second(61)))
    #expect(!schedule.isDue(isOutdated: false, at: second(600)))
    #expect(schedule.isDue(isOutdated: false, at: second(601)))
  }

  @Test("never more than one part in fifty of the time")
  func share() {
    var schedule = SurveySchedule()
    schedule.ended(from: second(0), at: second(20), isWhole: true)
    #expect(!schedule.isDue(isOutdated: true, at: second(1019)))
    #expect(schedule.isDue(isOutdated: true, at: second(1020)))
  }

  @Test("again soon after a failure, and what was known is told until the third")
  func failures() {
    var schedule = SurveySchedule()
    for failure in 1...3 {
      #expect(schedule.isPatient)
      schedule.ended(from: second(0), at: second(1), isWhole: false)
      #expect(schedule.isDue(isOutdated: false, at: second(61)))
      #expect(schedule.failures == failure)
    }
    #expect(!schedule.isPatient)
    schedule.ended(from: second(0), at: second(1), isWhole: true)
    #expect(schedule.isPatient)
  }
}

extension TestCluster {
  static let refusal: JSON = [
    ["type": "LiveMigratable", "status": "False", "reason": "InterfaceNotLiveMigratable", "message": "no"]
  ]

  static func other(_ name: String, on node: String, labels: [String: String] = [:], memory: String = "1Gi")
    -> JSON
  {
    [
      "metadata": [
        "name": .string(name), "namespace": "default", "uid": .string("pod-\(name)"),
        "labels": .strings(labels),
      ],
      "spec": [
        "nodeName": .string(node),
        "containers": [["resources": ["requests": ["memory": .string(memory)]]]],
      ], "status": ["phase": "Running"],
    ]
  }

  static func clone(_ number: Int) -> JSON {
    var guest = guest
    guest["metadata", "name"] = .string("clone-\(number)")
    guest["metadata", "uid"] = .string("clone-\(number)")
    guest["status", "activePods"] = [:]
    return guest
  }

  static func clonedPod(_ number: Int) -> JSON {
    var pod = pod
    pod["metadata", "name"] = .string("launcher-\(number)")
    pod["metadata", "uid"] = .string("launcher-\(number)")
    pod["metadata", "labels", "kubevirt.io/created-by"] = .string("clone-\(number)")
    return pod
  }

  mutating func fill(_ node: String) {
    add("pods", Self.other("big-\(node)", on: node, memory: "60Gi"))
  }

  mutating func attach(_ network: String) {
    guest {
      $0["spec", "networks"] = [["name": "net", "multus": ["networkName": .string(network)]]]
    }
  }
}
