import DroverCore
import Testing

@testable import KubeVirtBackend

@Suite("Eligibility: labels that a node must have")
struct EligibilitySelectorTests {
  typealias Requirement = NodeSelector.Requirement

  @Test(
    "Operators compare as Kubernetes does",
    arguments: [
      (Requirement("k", "In", ["a", "b"]), "a", true), (Requirement("k", "In", ["a", "b"]), "c", false),
      (Requirement("k", "In", ["a"]), nil, false), (Requirement("k", "NotIn", ["a"]), "a", false),
      (Requirement("k", "NotIn", ["a"]), "b", true), (Requirement("k", "NotIn", ["a"]), nil, true),
      (Requirement("k", "Exists"), "", true), (Requirement("k", "Exists"), nil, false),
      (Requirement("k", "DoesNotExist"), nil, true), (Requirement("k", "DoesNotExist"), "", false),
      (Requirement("k", "Gt", ["8"]), "16", true), (Requirement("k", "Gt", ["8"]), "8", false),
      (Requirement("k", "Gt", ["8"]), "x", false), (Requirement("k", "Gt", ["8"]), nil, false),
      (Requirement("k", "Gt", ["8", "9"]), "16", false), (Requirement("k", "Gt", ["x"]), "16", false),
      (Requirement("k", "Lt", ["8"]), "-3", true), (Requirement("k", "Lt", ["8"]), "8", false),
      (Requirement("k", "Lt", ["8"]), "10", false), (Requirement("k", "Near", ["8"]), "8", false),
    ] as [(Requirement, String?, Bool)])
  func operators(requirement: Requirement, value: String?, matches: Bool) {
    #expect(requirement.matches(value) == matches)
  }

  private func affinity(_ terms: JSON) -> JSON {
    ["nodeAffinity": ["requiredDuringSchedulingIgnoredDuringExecution": ["nodeSelectorTerms": terms]]]
  }

  private func expression(_ key: JSON, _ comparison: JSON, _ values: JSON) -> JSON {
    ["key": key, "operator": comparison, "values": values]
  }

  @Test("Terms are alternatives, and within a term everything must hold")
  func terms() async throws {
    var cluster = TestCluster()
    cluster.label("b", "zone", "one")
    cluster.label("b", "disk", "ssd")
    cluster.label("c", "zone", "one")
    let zoneAndDisk: JSON = [
      "matchExpressions": [expression("zone", "In", ["one"]), expression("disk", "Exists", [])]
    ]
    let nodeC: JSON = ["matchFields": [expression("metadata.name", "In", ["c"])]]
    cluster.launcher { $0["spec", "affinity"] = affinity([zoneAndDisk]) }
    var answer = try await cluster.explained()
    #expect(answer.possible == ["b"] && answer.reasons("c") == [.singleNodeRule])
    #expect(answer.text("c").contains("asks for disk"))
    #expect(answer.isMigratable == true)

    cluster.launcher { $0["spec", "affinity"] = affinity([zoneAndDisk, nodeC]) }
    answer = try await cluster.explained()
    #expect(answer.possible == ["b", "c"])
    #expect(answer.notes.contains { $0.contains("2 alternatives") })
  }

  @Test(
    "A field is the node's name, and nothing else",
    arguments: [
      (["metadata.name", "In", "b"], ["b"]), (["metadata.name", "NotIn", "b"], ["c"]),
      (["metadata.uid", "In", "node-b"], []),
    ] as [([String], [String])])
  func fields(field: [String], possible: [String]) async throws {
    var cluster = TestCluster()
    let term: JSON = ["matchFields": [expression(.string(field[0]), .string(field[1]), [.string(field[2])])]]
    cluster.launcher { $0["spec", "affinity"] = affinity([term]) }
    #expect(try await cluster.explained().possible == possible)
  }

  @Test(
    "An empty or unreadable rule fits no node",
    arguments: [
      [], [[:]], [["matchExpressions": "nonsense"]], "nonsense", [["matchExpressions": [["key": 1]]]],
    ] as [JSON])
  func nothing(terms: JSON) async throws {
    var cluster = TestCluster()
    cluster.launcher { $0["spec", "affinity"] = affinity(terms) }
    let answer = try await cluster.explained()
    #expect(answer.possible.isEmpty && answer.enforced == [.singleNodeRule])
  }

  @Test("A null affinity is none")
  func noAffinity() async throws {
    var cluster = TestCluster()
    cluster.objects["pods"] = [
      TestCluster.pod.replacingAffinity([
        "nodeAffinity": ["requiredDuringSchedulingIgnoredDuringExecution": .null]
      ])
    ]
    #expect(try await cluster.explained().possible == ["b", "c"])
  }

  @Test("A selector that binds to one node is told with the key, and how to take it out")
  func hostname() async throws {
    var cluster = TestCluster()
    cluster.guest { $0["spec", "nodeSelector"] = ["kubernetes.io/hostname": "a"] }
    cluster.launcher { $0["spec", "nodeSelector", "kubernetes.io/hostname"] = "a" }
    let answer = try await cluster.explained()
    #expect(answer.enforced == [.nodeSelector] && answer.isMigratable == false)
    let obstacle = try #require(answer.obstacles.first)
    #expect(obstacle.text.contains("kubernetes.io/hostname=a"))
    #expect(obstacle.remedy.contains("spec.template.spec.nodeSelector"))
    #expect(obstacle.remedy.contains("kubectl edit vm demo -n default"))
  }

  @Test("A host name that an earlier migration added does not bind the next one")
  func added() async throws {
    var cluster = TestCluster()
    cluster.launcher {
      $0["metadata", "labels", "kubevirt.io/migrationJobUID"] = "earlier"
      $0["spec", "nodeSelector", "kubernetes.io/hostname"] = "a"
      $0["spec", "nodeSelector", "rack"] = "7"
    }
    #expect(try await cluster.explained().possible == ["b", "c"])
    cluster.kubeVirt { $0["spec", "configuration", "developerConfiguration", "nodeSelectors", "rack"] = "7" }
    #expect(try await cluster.explained().possible.isEmpty)
    cluster.denied = ["kubevirts"]
    #expect(try await cluster.explained().text("b").contains("rack=7"))
    #expect(try await !cluster.explained().text("b").contains("hostname"))
  }

  @Test("A pod that no migration made keeps its host name")
  func first() async throws {
    var cluster = TestCluster()
    cluster.launcher { $0["spec", "nodeSelector", "kubernetes.io/hostname"] = "a" }
    #expect(try await cluster.explained().enforced == [.nodeSelector])
  }

  @Test("A label that no other node has is a selector that binds to one node")
  func label() async throws {
    var cluster = TestCluster()
    cluster.label("a", "gold", "yes")
    cluster.launcher { $0["spec", "nodeSelector", "gold"] = "yes" }
    let answer = try await cluster.explained()
    #expect(answer.enforced == [.nodeSelector])
    #expect(answer.text("b").contains("gold=yes") && answer.text("b").contains("no label gold"))
  }

  @Test("Rules that match one node only are told as such")
  func singleNode() async throws {
    var cluster = TestCluster()
    cluster.label("a", "zone", "one")
    cluster.launcher {
      $0["spec", "affinity"] = affinity([["matchExpressions": [expression("zone", "In", ["one"])]]])
    }
    let answer = try await cluster.explained()
    #expect(answer.enforced == [.singleNodeRule])
    #expect(answer.obstacles.first?.text.contains("zone=one") == true)
  }

  @Test("Pinned CPUs need a node with the CPU Manager, whether the pod says so or not")
  func cpuManager() async throws {
    var cluster = TestCluster()
    cluster.guest { $0["spec", "domain", "cpu", "dedicatedCpuPlacement"] = true }
    cluster.label("a", "kubevirt.io/cpumanager", "true")
    cluster.label("b", "kubevirt.io/cpumanager", "false")
    #expect(try await cluster.explained().enforced == [.cpuManager])
    cluster.label("b", "kubevirt.io/cpumanager", "true")
    let answer = try await cluster.explained()
    #expect(answer.possible == ["b"] && answer.reasons("c") == [.cpuManager])
  }

  @Test("A node where KubeVirt runs no VMs, and one of another kind of machine, are none")
  func unschedulable() async throws {
    var cluster = TestCluster()
    cluster.label("b", "kubevirt.io/schedulable", "false")
    cluster.label("c", "kubernetes.io/arch", "arm64")
    let answer = try await cluster.explained()
    #expect(answer.reasons("b") == [.noTargetNode] && answer.reasons("c") == [.other])
    #expect(answer.enforced == [.noTargetNode])
    #expect(answer.obstacles.first?.text.contains("each for its own reason") == true)
  }

  @Test("Without its pod the VMI's own rules count, and the rest is unknown")
  func noPod() async throws {
    var cluster = TestCluster()
    cluster.guest { $0["spec", "nodeSelector"] = ["gold": "yes"] }
    cluster.label("b", "gold", "yes")
    cluster.denied = ["pods"]
    let answer = try await cluster.explained()
    #expect(answer.reasons("c") == [.nodeSelector])
    #expect(answer.enforced.allSatisfy { $0 == .unknown } && answer.isMigratable == nil)
    #expect(answer.obstacles.contains { $0.remedy == "grant get on pods" })
  }
}

extension JSON {
  fileprivate func replacingAffinity(_ affinity: JSON) -> JSON {
    var json = self
    json["spec", "affinity"] = affinity
    return json
  }
}
