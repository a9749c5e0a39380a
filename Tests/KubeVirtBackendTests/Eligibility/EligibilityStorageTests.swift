import DroverCore
import Testing

@testable import KubeVirtBackend

@Suite("Eligibility: storage and resources")
struct EligibilityStorageTests {
  @Test(
    "One copy of a volume is shown: the volume's own number counts before its class's",
    arguments: [
      (1, "3", [.singleReplica]), (3, "1", []), (3, "3", []), (nil, "1", [.singleReplica]),
      (nil, "3", [.unknown]), (1, nil, [.singleReplica]),
    ] as [(Int?, String?, [NotMigratableReason])])
  func copies(own: Int?, ofClass: String?, shown: [NotMigratableReason]) async throws {
    var cluster = TestCluster()
    cluster.addDisk(replicas: own, classReplicas: ofClass)
    let answer = try await cluster.explained()
    #expect(answer.shown == shown && answer.isMigratable == true)
  }

  @Test(
    "What tells the copies and may not be read makes them unknown, never fine",
    arguments: [
      ("volumes", 3, "3"), ("persistentvolumes", 3, "3"), ("persistentvolumeclaims", 3, "3"),
    ])
  func unread(plural: String, own: Int, ofClass: String) async throws {
    var cluster = TestCluster()
    cluster.addDisk(replicas: own, classReplicas: ofClass)
    cluster.denied = [plural]
    let answer = try await cluster.explained()
    #expect(answer.shown == [.unknown])
    #expect(
      answer.obstacles.contains {
        $0.text.contains("how many copies") && $0.remedy == "grant get on \(plural)"
      })
  }

  @Test("A claim that is not bound yet goes by its class; one that may not be read is unknown")
  func unbound() async throws {
    var cluster = TestCluster()
    cluster.addDisk(classReplicas: "1")
    cluster.objects["persistentvolumeclaims"] = cluster.objects["persistentvolumeclaims"]?.map { claim in
      var claim = claim
      claim["spec", "volumeName"] = nil
      return claim
    }
    #expect(try await cluster.explained().shown == [.singleReplica])
    cluster.denied = ["storageclasses"]
    #expect(try await cluster.explained().shown == [.unknown])
  }

  @Test("Storage of another kind has no such number")
  func otherStorage() async throws {
    var cluster = TestCluster()
    cluster.addDisk(replicas: nil, classReplicas: "1")
    cluster.objects["persistentvolumes"] = [
      ["metadata": ["name": "pv-root", "uid": "pv"], "spec": ["nfs": ["path": "/"]]]
    ]
    cluster.absent = ["volumes"]
    #expect(try await cluster.explained().shown.isEmpty)
  }

  @Test("A volume that some nodes cannot use keeps the VM off them")
  func volumeAffinity() async throws {
    var cluster = TestCluster()
    let term: JSON = [["matchExpressions": [["key": "rack", "operator": "In", "values": ["1"]]]]]
    cluster.addDisk(affinity: term)
    #expect(try await cluster.explained().enforced == [.singleNodeRule])
    cluster.label("b", "rack", "1")
    var answer = try await cluster.explained()
    #expect(answer.possible == ["b"] && answer.text("c").contains("volume pv-root of claim claim-root"))
    #expect(answer.text("c").contains("rack=1"))
    cluster.denied = ["persistentvolumes"]
    answer = try await cluster.explained()
    #expect(answer.isMigratable == nil)
    #expect(answer.obstacles.contains { $0.isEnforced && $0.text.contains("which nodes can use the volume") })
  }

  @Test("A node attaches only so many volumes, and none of a driver that does not run there")
  func attachLimit() async throws {
    var cluster = TestCluster()
    cluster.addDisk()
    cluster.addDisk("data")
    func csi(_ name: JSON, _ drivers: JSON) -> JSON {
      ["metadata": ["name": name, "uid": name], "spec": ["drivers": drivers]]
    }
    cluster.objects["csinodes"] = [
      csi("b", [["name": "driver.longhorn.io", "allocatable": ["count": 3]]]), csi("c", []),
    ]
    func attach(_ volume: JSON, _ driver: JSON = "driver.longhorn.io") -> JSON {
      [
        "metadata": ["name": volume, "uid": volume],
        "spec": ["nodeName": "b", "attacher": driver, "source": ["persistentVolumeName": volume]],
      ]
    }
    cluster.objects["volumeattachments"] = [
      attach("one"), attach("other", "another.driver"), attach("pv-root"),
    ]
    var answer = try await cluster.explained()
    #expect(answer.possible == ["b"] && answer.text("c").contains("driver.longhorn.io does not run there"))
    cluster.add("volumeattachments", attach("two"))
    answer = try await cluster.explained()
    #expect(
      answer.reasons("b") == [.noResources]
        && answer.text("b").contains("at most 3 volumes there, and would need 4"))
    cluster.denied = ["volumeattachments"]
    #expect(try await cluster.explained().reasons("b") == [.unknown])
    cluster.denied = ["csinodes"]
    answer = try await cluster.explained()
    #expect(answer.reasons("b") == [.unknown] && answer.isMigratable == nil)
  }

  // MARK: resources

  private func pod(_ name: String, _ requests: JSON, phase: JSON = "Running", node: JSON = "b") -> JSON {
    [
      "metadata": ["name": .string(name), "namespace": "other", "uid": .string(name)],
      "spec": ["nodeName": node, "containers": [["resources": ["requests": requests]]]],
      "status": ["phase": phase],
    ]
  }

  @Test(
    "What is not free keeps the VM off a node, to the last thousandth",
    arguments: [
      ("cpu", "14", "14001m", "cores of CPU"), ("memory", "56Gi", "57344.5Mi", "GiB of memory"),
      ("ephemeral-storage", "2Gi", "2147483649", "ephemeral storage"),
      ("hugepages-2Mi", "2Gi", "2050Mi", "hugepages-2Mi"), ("example.com/nic", "1", "2", "example.com/nic"),
    ])
  func free(resource: String, fits: String, tooMuch: String, words: String) async throws {
    var cluster = TestCluster()
    let need = ["cpu": "2", "memory": "8Gi"][resource] ?? (resource == "example.com/nic" ? "1" : "2Gi")
    let all = ["cpu": "16", "memory": "64Gi"][resource] ?? (resource == "example.com/nic" ? "2" : "4Gi")
    cluster.launcher { $0["spec", "containers"] = [["resources": ["requests": [resource: .string(need)]]]] }
    for node in ["b", "c"] { cluster.node(node) { $0["status", "allocatable", resource] = .string(all) } }
    cluster.add("pods", pod("fits", [resource: .string(fits)]))
    cluster.add("pods", pod("large", [resource: .string(tooMuch)], node: "c"))
    let answer = try await cluster.explained()
    #expect(answer.possible == ["b"] && answer.reasons("c") == [.noResources])
    #expect(answer.text("c").contains(words), "\(answer.text("c"))")
  }

  @Test("A device that a node does not have at all is named")
  func noDevice() async throws {
    var cluster = TestCluster()
    cluster.node("b") { $0["status", "allocatable", "devices.kubevirt.io/kvm"] = nil }
    #expect(try await cluster.explained().text("b") == "it has no devices.kubevirt.io/kvm")
  }

  @Test("A node that has all its pods takes no more; what is over counts no more")
  func podSlots() async throws {
    var cluster = TestCluster()
    cluster.node("b") { $0["status", "allocatable", "pods"] = "2" }
    cluster.add("pods", pod("one", [:]))
    cluster.add("pods", pod("over", ["cpu": "16"], phase: "Succeeded"))
    #expect(try await cluster.explained().possible == ["b", "c"])
    cluster.add("pods", pod("two", [:]))
    let answer = try await cluster.explained()
    #expect(answer.text("b") == "it takes no more than 2 pods, and has them")
  }

  @Test("No node with room for it is told as that")
  func nowhere() async throws {
    var cluster = TestCluster()
    for node in ["b", "c"] { cluster.add("pods", pod("big-\(node)", ["cpu": "15"], node: .string(node))) }
    let answer = try await cluster.explained()
    #expect(answer.enforced == [.noResources])
    #expect(answer.obstacles.first?.text.contains("1 core of CPU free, and the VM needs 2 cores") == true)
  }

  @Test("Requests are summed as the scheduler does: containers that come first and stay, limits, overhead")
  func sums() throws {
    let pod: JSON = [
      "metadata": ["name": "p", "uid": "p"],
      "spec": [
        "containers": [
          ["resources": ["requests": ["cpu": "1"], "limits": ["cpu": "4", "memory": "1Gi"]]],
          ["resources": ["requests": ["cpu": "500m"]]],
        ],
        "initContainers": [
          ["restartPolicy": "Always", "resources": ["requests": ["cpu": "250m"]]],
          ["resources": ["requests": ["cpu": "1", "memory": "3Gi"]]],
        ], "overhead": ["cpu": "100m", "memory": "1Mi"],
      ],
    ]
    let requests = try pod.decoded(as: PlacementPod.self).requests
    #expect(requests["cpu"] == Quantity.amount("1850m"))
    #expect(requests["memory"] == Quantity.amount("3073Mi"))
  }

  @Test("Pods that may not be listed make a node unknown, and the VM too where no other is left")
  func podsDenied() async throws {
    var cluster = TestCluster()
    cluster.launcher { $0["metadata", "labels", "kubevirt.io/created-by"] = "vmi-uid" }
    let facts = try await EligibilityReader(cluster, limit: .seconds(3600)).facts(of: "demo", in: "default")
    var partly = facts
    partly.pods["b"] = .denied(right: "list on pods")
    var answer = EligibilityRules.evaluate(partly, as: TestCluster.vm)
    #expect(answer.reasons("b") == [.unknown] && answer.isMigratable == true)
    partly.pods["c"] = .denied(right: "list on pods")
    answer = EligibilityRules.evaluate(partly, as: TestCluster.vm)
    #expect(answer.isMigratable == nil && answer.enforced == [.unknown])
    #expect(answer.obstacles.first?.text.contains("whether any node can take it is not known") == true)
    partly.pods = [:]
    #expect(EligibilityRules.evaluate(partly, as: TestCluster.vm).isMigratable == nil)
  }

  @Test("Pods that it is kept apart from, or near to, decide; rules over zones are not looked at, and said")
  func neighbours() async throws {
    func rule(_ app: JSON, _ key: JSON = "kubernetes.io/hostname") -> JSON {
      ["labelSelector": ["matchLabels": ["app": app]], "topologyKey": key, "namespaces": ["other"]]
    }
    func affinity(_ kind: String, _ rule: JSON) -> JSON {
      [kind: ["requiredDuringSchedulingIgnoredDuringExecution": [rule]]]
    }
    var cluster = TestCluster()
    var db = pod("db", [:])
    db["metadata", "labels"] = ["app": "db"]
    cluster.add("pods", db)
    cluster.launcher { $0["spec", "affinity"] = affinity("podAntiAffinity", rule("db")) }
    #expect(try await cluster.explained().possible == ["c"])
    cluster.launcher { $0["spec", "affinity"] = affinity("podAffinity", rule("db")) }
    #expect(try await cluster.explained().possible == ["b"])
    cluster.launcher { $0["spec", "affinity"] = affinity("podAntiAffinity", rule("db", "zone")) }
    let answer = try await cluster.explained()
    #expect(answer.reasons("b") == [.unknown] && answer.isMigratable == nil)
    // The one by which KubeVirt keeps the two pods of one VM apart says nothing of other nodes.
    let own: JSON = [
      "labelSelector": ["matchLabels": ["kubevirt.io/created-by": "vmi-uid"]], "topologyKey": "zone",
    ]
    cluster.launcher { $0["spec", "affinity"] = affinity("podAntiAffinity", own) }
    #expect(try await cluster.explained().isMigratable == true)
  }
}

@Suite("Eligibility: amounts of resources")
struct EligibilityAmountTests {
  @Test(
    "Any quantity is exact to the billionth, and rounded up below that",
    arguments: [
      ("1", 1_000_000_000), ("250m", 250_000_000), ("1n", 1), ("1u", 1000), ("0.1n", 1),
      ("1.5", 1_500_000_000),
      ("1k", 1_000_000_000_000), ("1Ki", 1_024_000_000_000), ("0.5Ki", 512_000_000_000),
      ("1e3", 1_000_000_000_000), ("1E3", 1_000_000_000_000), ("1e-3", 1_000_000), ("12e-1", 1_200_000_000),
      ("-1", -1_000_000_000), ("+2", 2_000_000_000), (".5", 500_000_000), ("5.", 5_000_000_000), ("0", 0),
      ("1E", 1_000_000_000_000_000_000_000_000_000),
    ] as [(String, Int128)])
  func good(text: String, nanos: Int128) { #expect(Quantity.amount(text)?.nanos == nanos) }

  @Test(
    "Anything else is none",
    arguments: ["", "m", "1mm", "1.2.3", "1 Gi", "abc", "1e", "e3", "-", ".", "1e99", "٣", "1Zi"])
  func bad(text: String) { #expect(Quantity.amount(text) == nil) }

  @Test("Amounts are shown in the unit of their resource")
  func words() throws {
    let cases = [
      ("cpu", "1500m", "1.5 cores"), ("cpu", "1", "1 core"), ("cpu", "1001u", "0.001 cores"),
      ("memory", "8Gi", "8 GiB"), ("memory", "1536Mi", "1.5 GiB"), ("memory", "100", "100 B"),
      ("hugepages-1Gi", "2Gi", "2 GiB"), ("example.com/nic", "2", "2"), ("memory", "-1Gi", "-1 GiB"),
    ]
    for (resource, text, words) in cases {
      #expect(try #require(Quantity.amount(text)).words(of: resource) == words)
    }
  }

  @Test("The scheduler counts thousandths of cores and whole bytes")
  func counted() throws {
    #expect(try #require(Quantity.amount("1u")).counted(as: "cpu") == Quantity.amount("1m"))
    #expect(try #require(Quantity.amount("1500m")).counted(as: "memory") == Quantity.amount("2"))
  }
}
