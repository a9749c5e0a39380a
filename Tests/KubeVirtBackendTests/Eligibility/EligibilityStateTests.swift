import DroverCore
import Testing

@testable import KubeVirtBackend

@Suite("Eligibility: the VM's state, its template, slots, and reading it all")
struct EligibilityStateTests {
  @Test("A VM against which nothing speaks can go to every other node")
  func fine() async throws {
    let answer = try await TestCluster().explained()
    #expect(answer.isMigratable == true && answer.obstacles.isEmpty && answer.possible == ["b", "c"])
    #expect(answer.node == "a" && answer.vm == TestCluster.vm)
    #expect(answer.notes == ["Migrations that may begin now: 5 of 5 in the cluster, 2 of 2 from a"])
  }

  @Test(
    "KubeVirt's own judgement is taken over",
    arguments: [
      ("InterfaceNotLiveMigratable", .networkInterface), ("CPUModeLiveMigratable", .cpuModel),
      ("NoTSCFrequencyNotLiveMigratable", .cpuModel), ("HostDeviceNotLiveMigratable", .hostDevice),
      ("SEVNotLiveMigratable", .confidential), ("TDXNotLiveMigratable", .confidential),
      ("SecureExecutionNotLiveMigratable", .confidential), ("DisksNotLiveMigratable", .accessMode),
      ("HypervPassthroughNotLiveMigratable", .other), ("SomethingNew", .other),
    ] as [(JSON, NotMigratableReason)])
  func judgement(word: JSON, reason: NotMigratableReason) async throws {
    var cluster = TestCluster()
    cluster.guest {
      $0["status", "conditions"] = [
        ["type": "LiveMigratable", "status": "False", "reason": word, "message": "because"]
      ]
    }
    let answer = try await cluster.explained()
    #expect(answer.enforced == [reason] && answer.obstacles.first?.text == "KubeVirt: because")
    #expect(answer.obstacles.first?.remedy.isEmpty == false)
  }

  @Test("A reason of KubeVirt's stands beside another one that is found here")
  func all() async throws {
    var cluster = TestCluster()
    cluster.addDisk(modes: ["ReadWriteOnce"])
    cluster.guest {
      $0["spec", "domain", "devices", "hostDevices"] = [["name": "nic0"]]
      $0["status", "conditions"] = [
        ["type": "LiveMigratable", "status": "False", "reason": "InterfaceNotLiveMigratable", "message": "m"]
      ]
    }
    #expect(try await Set(cluster.explained().enforced) == [.accessMode, .hostDevice, .networkInterface])
  }

  @Test("A judgement that is not there, or unknown, is unknown", arguments: [nil, "Unknown"] as [JSON?])
  func noJudgement(status: JSON?) async throws {
    var cluster = TestCluster()
    cluster.guest {
      $0["status", "conditions"] = status.map { [["type": "LiveMigratable", "status": $0]] } ?? []
    }
    let answer = try await cluster.explained()
    #expect(answer.isMigratable == nil && answer.enforced == [.unknown])
  }

  @Test("A VM that does not run, or is being shut down, cannot be migrated")
  func notRunning() async throws {
    var cluster = TestCluster()
    cluster.guest { $0["metadata", "deletionTimestamp"] = "2026-03-02T10:00:00Z" }
    #expect(try await cluster.explained().enforced == [.other])
    cluster.guest { $0["status", "phase"] = "Scheduling" }
    #expect(try await cluster.explained().obstacles.first?.text == "it does not run (phase Scheduling)")
  }

  // MARK: template

  @Test(
    "A template that was changed and not restarted is told",
    arguments: [
      (["domain", "cpu", "model"], "123", "CPU model 123, runs with host-model"),
      (["nodeSelector"], ["gold": "yes"], "node selector differs"),
      (["domain", "cpu", "dedicatedCpuPlacement"], true, "CPU pinning differs"),
      (["domain", "devices", "gpus"], [["name": "g"]], "list of passed-through devices differs"),
      (["volumes"], [["name": "new", "emptyDisk": [:]]], "list of volumes differs"),
    ] as [([String], JSON, String)])
  func template(path: [String], value: JSON, text: String) async throws {
    var cluster = TestCluster()
    cluster.addMachine()
    #expect(try await cluster.explained().notes.count == 1)
    cluster.objects["virtualmachines"] = []
    cluster.addMachine { machine in
      var spec = machine["spec", "template", "spec"]
      switch path.count {
      case 1: spec[path[0]] = value
      default: spec[path[0], path[1], path[2]] = value
      }
      machine["spec", "template", "spec"] = spec
    }
    let notes = try await cluster.explained().notes
    #expect(notes.first?.contains(text) == true && notes.first?.contains("not yet restarted") == true)
    #expect(notes.first?.contains("virtctl restart demo -n default") == true)
  }

  @Test("What KubeVirt fills in when it starts a VM is no change")
  func filledIn() async throws {
    var cluster = TestCluster()
    cluster.addMachine {
      $0["spec", "template", "spec", "domain", "cpu", "model"] = nil
      $0["spec", "template", "spec", "networks"] = []
    }
    cluster.guest { $0["spec", "networks"] = [["name": "default", "pod": [:]]] }
    #expect(try await cluster.explained().notes.count == 1)
    // A model of an instance type is none of the template's.
    cluster.guest { $0["spec", "domain", "cpu", "model"] = "123" }
    #expect(try await cluster.explained().notes.count == 2)
    cluster.objects["virtualmachines"] = []
    cluster.addMachine {
      $0["spec", "template", "spec", "domain", "cpu", "model"] = nil
      $0["spec", "instancetype"] = ["name": "u1.small"]
    }
    #expect(try await cluster.explained().notes.count == 1)
  }

  @Test("A model that the cluster was given meanwhile comes with the restart; KubeVirt's own word counts too")
  func restartRequired() async throws {
    var cluster = TestCluster()
    cluster.addMachine { $0["spec", "template", "spec", "domain", "cpu", "model"] = nil }
    cluster.kubeVirt { $0["spec", "configuration", "cpuModel"] = "123" }
    #expect(
      try await cluster.explained().notes.first?.contains("CPU model 123, runs with host-model") == true)
    cluster.kubeVirt { $0["spec", "configuration", "cpuModel"] = nil }
    cluster.objects["virtualmachines"] = []
    cluster.addMachine {
      $0["status"] = [
        "conditions": [["type": "RestartRequired", "status": "True", "message": "memory changed"]]
      ]
    }
    #expect(try await cluster.explained().notes.first?.contains("memory changed") == true)
    cluster.denied = ["virtualmachines"]
    #expect(try await cluster.explained().notes.first?.contains("is not known") == true)
  }

  // MARK: slots

  private func migration(_ name: JSON, of vm: JSON, phase: JSON) -> JSON {
    [
      "metadata": ["name": name, "namespace": "default", "uid": name], "spec": ["vmiName": vm],
      "status": ["phase": phase],
    ]
  }

  @Test("Slots that are taken are counted, in the cluster and at the node")
  func slots() async throws {
    var cluster = TestCluster()
    cluster.guest { $0["metadata", "labels", "kubevirt.io/nodeName"] = "a" }
    cluster.objects["virtualmachineinstancemigrations"] = [
      migration("one", of: "demo", phase: "Running"), migration("two", of: "elsewhere", phase: "Scheduling"),
      migration("three", of: "demo", phase: "Pending"), migration("four", of: "demo", phase: "Succeeded"),
    ]
    var notes = try await cluster.explained().notes
    #expect(notes == ["Migrations that may begin now: 3 of 5 in the cluster, 1 of 2 from a"])
    cluster.kubeVirt {
      $0["spec", "configuration", "migrations"] = [
        "parallelMigrationsPerCluster": 2, "parallelOutboundMigrationsPerNode": 4,
      ]
    }
    notes = try await cluster.explained().notes
    #expect(
      notes == ["Migrations that may begin now: 0 of 2 in the cluster, 3 of 4 from a; this one would wait"])
    cluster.denied = ["virtualmachineinstancemigrations"]
    #expect(try await cluster.explained().notes.last?.contains("is not known") == true)
  }

  @Test("A migration that is under way is told")
  func migrating() async throws {
    var cluster = TestCluster()
    cluster.guest { $0["status", "migrationState"] = ["startTimestamp": "2026-03-02T10:00:13Z"] }
    #expect(try await cluster.explained().notes.first?.contains("under way") == true)
  }

  // MARK: reading

  @Test("Pods are asked for only of nodes that are possible otherwise")
  func pods() async throws {
    var cluster = TestCluster()
    cluster.node("b") { $0["spec", "unschedulable"] = true }
    _ = try await cluster.explained()
    let asked = cluster.asked.all.filter { $0.contains("spec.nodeName") }
    #expect(asked.count == 1 && asked[0].contains("spec.nodeName=c,status.phase!=Succeeded"))
  }

  @Test("Of several pods the one that the guest runs in counts")
  func launcher() async throws {
    var cluster = TestCluster()
    var target = TestCluster.pod
    target["metadata", "uid"] = "target"
    target["spec", "nodeName"] = "b"
    target["spec", "nodeSelector", "gold"] = "yes"
    var over = TestCluster.pod
    over["metadata", "uid"] = "over"
    over["status", "phase"] = "Succeeded"
    over["spec", "nodeSelector", "gold"] = "yes"
    var other = over
    other["metadata", "uid"] = "other"
    other["status", "phase"] = "Running"
    cluster.objects["pods"] = [target, over, TestCluster.pod, other]
    #expect(try await cluster.explained().possible == ["b", "c"])
    cluster.objects["pods"] = [target]
    let answer = try await cluster.explained()
    #expect(answer.isMigratable == nil)
    #expect(answer.obstacles.contains { $0.text.contains("its pod is not there") })
  }

  @Test("What does not come in time is unknown, and the rest is told", .timeLimit(.minutes(5)))
  func deadline() async throws {
    var cluster = TestCluster()
    cluster.addDisk()
    cluster.silent = ["persistentvolumeclaims"]
    let answer = try await cluster.explained(within: .milliseconds(200))
    #expect(answer.isMigratable == nil)
    #expect(answer.obstacles.contains { $0.reason == .unknown && $0.text.contains("timeout") })
  }

  @Test(
    "A VM that is not there, is off, or may not be read is an error with its kind",
    arguments: [
      ("none", ControlError.Kind.gone, "no VM is called so"), ("off", .gone, "the VM does not run"),
      ("denied", .denied, "may not be read"), ("absent", .gone, "the cluster has no KubeVirt"),
      ("silent", .timeout, "no answer"),
    ], )
  func errors(what: String, kind: ControlError.Kind, text: String) async throws {
    var cluster = TestCluster()
    if what == "off" { cluster.addMachine() }
    if ["none", "off"].contains(what) { cluster.objects["virtualmachineinstances"] = [] }
    if what == "denied" { cluster.denied = ["virtualmachineinstances"] }
    if what == "absent" { cluster.absent = ["virtualmachineinstances"] }
    if what == "silent" { cluster.silent = ["virtualmachineinstances"] }
    do {
      _ = try await cluster.explained(within: what == "silent" ? .milliseconds(100) : .seconds(3600))
      Issue.record("no error")
    } catch let error as ControlError {
      #expect(error.kind == kind && error.cause.contains(text))
    }
  }
}

@Suite("Eligibility: the samples")
struct EligibilitySampleTests {
  /// The sample of a VMI with the pod, the nodes and the KubeVirt object of the same cluster.
  private func cluster(_ name: String) throws -> TestCluster {
    var cluster = TestCluster()
    let guest = try Fixture.json(name)
    cluster.objects["virtualmachineinstances"] = [guest]
    cluster.objects["pods"] = try ["pod-virt-launcher-source.json", "pod-virt-launcher-target.json"].map(
      Fixture.json)
    cluster.objects["nodes"] = try [
      "node-source.json", "node-target-compatible.json", "node-target-incompatible-cpu.json",
    ].map(Fixture.json)
    cluster.objects["kubevirts"] = [try Fixture.json("kubevirt-cr-harvester.json")]
    cluster.objects["virtualmachines"] = [try Fixture.json("vm-migrating.json")]
    cluster.objects["persistentvolumeclaims"] = [
      [
        "metadata": ["name": "demo-root", "namespace": "default", "uid": "claim"],
        "spec": [
          "volumeName": "pv",
          "accessModes": name.contains("disks") ? ["ReadWriteOnce"] : ["ReadWriteMany"],
        ],
      ]
    ]
    cluster.objects["persistentvolumes"] = [
      [
        "metadata": ["name": "pv", "uid": "pv"],
        "spec": ["csi": ["driver": "driver.longhorn.io", "volumeHandle": "v"]],
      ]
    ]
    cluster.objects["volumes"] = [
      [
        "metadata": ["name": "v", "namespace": "longhorn-system", "uid": "v"],
        "spec": ["numberOfReplicas": 3],
      ]
    ]
    cluster.objects["network-attachment-definitions"] = [
      [
        "metadata": [
          "name": "vlan100", "namespace": "default", "uid": "nad",
          "labels": ["network.harvesterhci.io/clusternetwork": "mgmt"],
        ]
      ]
    ]
    return cluster
  }

  private func explained(_ name: String) async throws -> Eligibility {
    let facts = try await EligibilityReader(try cluster(name), limit: .seconds(3600)).facts(
      of: "demo", in: "default")
    return EligibilityRules.evaluate(facts, as: TestCluster.vm)
  }

  @Test(
    "Every VMI is explained: the two that cannot go, by their reason; all others can, but to the unlike node")
  func all() async throws {
    let names = Fixture.names.filter { $0.hasPrefix("vmi-") }
    #expect(names.count >= 16)
    for name in names {
      let answer = try await explained(name)
      switch name {
      case "vmi-not-migratable-disks.json": #expect(answer.enforced == [.accessMode])
      case "vmi-not-migratable-hostdevice.json": #expect(answer.enforced == [.hostDevice])
      default: #expect(answer.isMigratable == true, "\(name): \(answer.obstacles)")
      }
      #expect(!answer.possible.contains("harvester-node-2"), "\(name)")
      #expect(answer.reasons("harvester-node-2") == [.cpuModel], "\(name)")
      #expect(
        answer.possible == [answer.node == "harvester-node-0" ? "harvester-node-1" : "harvester-node-0"],
        "\(name)")
    }
  }

  @Test("The remedy names the models that all three nodes offer")
  func models() async throws {
    var cluster = try self.cluster("vmi-running.json")
    cluster.objects["nodes"]?.remove(at: 1)
    let answer = try await cluster.explained()
    let remedy = try #require(answer.obstacles.first { $0.reason == .cpuModel }).remedy
    #expect(remedy.contains(#""model":"Broadwell-noTSX""#))
    for model in ["Broadwell-noTSX", "Haswell-noTSX", "Westmere"] { #expect(remedy.contains(model)) }
    #expect(!remedy.contains("Skylake"))
  }

  @Test("After a migration its host name binds nothing, and the needs are those of the first node")
  func completed() async throws {
    let answer = try await explained("vmi-completed.json")
    #expect(answer.node == "harvester-node-1" && answer.possible == ["harvester-node-0"])
    #expect(answer.notes.contains { $0.contains("still needs what the node had that it first ran on") })
  }
}
