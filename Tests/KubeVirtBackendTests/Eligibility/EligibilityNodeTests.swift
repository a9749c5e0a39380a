import DroverCore
import Testing

@testable import KubeVirtBackend

@Suite("Eligibility: the state of nodes")
struct EligibilityNodeTests {
  @Test("A node that is not ready is none, and the kubelet's word is told")
  func notReady() async throws {
    var cluster = TestCluster()
    cluster.node("b") {
      $0["status", "conditions"] = [
        ["type": "Ready", "status": "False", "message": "container runtime is down"]
      ]
      $0["spec", "taints"] = [["key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"]]
    }
    cluster.node("c") { $0["status", "conditions"] = [] }
    let answer = try await cluster.explained()
    #expect(answer.reasons("b") == [.noTargetNode] && answer.reasons("c") == [.noTargetNode])
    #expect(answer.text("b").contains("container runtime is down"))
    #expect(answer.enforced == [.noTargetNode])
  }

  @Test("A cordoned node is none, unless the VM bears that")
  func cordoned() async throws {
    var cluster = TestCluster()
    cluster.node("b") {
      $0["spec", "unschedulable"] = true
      $0["spec", "taints"] = [["key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"]]
    }
    let answer = try await cluster.explained()
    #expect(answer.reasons("b") == [.noTargetNode] && answer.text("b") == "it is cordoned")
    #expect(answer.targets.first?.obstacles.first?.remedy == "kubectl uncordon b")
    cluster.launcher {
      $0["spec", "tolerations"] = [["key": "node.kubernetes.io/unschedulable", "operator": "Exists"]]
    }
    #expect(try await cluster.explained().possible == ["b", "c"])
  }

  @Test(
    "A node in Harvester's maintenance is none",
    arguments: ["harvesterhci.io/maintain-status", "harvesterhci.io/drain-requested"])
  func maintenance(key: String) async throws {
    var cluster = TestCluster()
    cluster.node("b") { $0["metadata", "annotations", key] = "completed" }
    let answer = try await cluster.explained()
    #expect(answer.reasons("b") == [.noTargetNode] && answer.text("b").contains("maintenance mode"))
  }

  @Test(
    "Taints keep out what does not tolerate them",
    arguments: [
      ("NoSchedule", nil, false), ("NoExecute", nil, false), ("PreferNoSchedule", nil, true),
      ("NoSchedule", ["key": "k", "operator": "Exists"], true),
      ("NoSchedule", ["key": "k", "value": "v"], true),
      ("NoSchedule", ["key": "k", "value": "w"], false),
      ("NoSchedule", ["key": "k", "value": "v", "effect": "NoExecute"], false),
      ("NoSchedule", ["key": "k", "operator": "Exists", "effect": "NoSchedule"], true),
      ("NoSchedule", ["operator": "Exists"], true), ("NoSchedule", ["value": "v"], false),
      ("NoSchedule", ["key": "other", "operator": "Exists"], false),
    ] as [(JSON, JSON?, Bool)])
  func taints(effect: JSON, toleration: JSON?, isPossible: Bool) async throws {
    var cluster = TestCluster()
    cluster.node("b") { $0["spec", "taints"] = [["key": "k", "value": "v", "effect": effect]] }
    if let toleration { cluster.launcher { $0["spec", "tolerations"] = [toleration] } }
    let answer = try await cluster.explained()
    #expect(answer.possible.contains("b") == isPossible)
    if !isPossible { #expect(answer.text("b").contains("taint k=v:")) }
  }

  @Test("The only node of a cluster can send its VMs nowhere")
  func alone() async throws {
    var cluster = TestCluster()
    cluster.objects["nodes"] = [TestCluster.node("a")]
    let answer = try await cluster.explained()
    #expect(answer.enforced == [.noTargetNode] && answer.targets.isEmpty)
  }

  @Test("Nodes that may not be read are unknown")
  func unreadable() async throws {
    var cluster = TestCluster()
    cluster.denied = ["nodes"]
    let answer = try await cluster.explained()
    #expect(answer.isMigratable == nil && answer.enforced == [.unknown])
    #expect(answer.obstacles.first?.remedy == "grant get on nodes")
  }

  @Test("The VM's own node is no target")
  func own() async throws { #expect(try await TestCluster().explained().targets.map(\.node) == ["b", "c"]) }
}
