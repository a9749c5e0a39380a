import DroverCore
import Testing

@testable import KubeVirtBackend

@Suite("Eligibility: CPU models")
struct EligibilityProcessorTests {
  /// The documentation's nodes A and B: unlike processors, and one model that both offer.
  private func seed() -> TestCluster {
    var cluster = TestCluster()
    let other = [
      "host-model-cpu.node.kubevirt.io/XYZ": "", "cpu-model-migration.node.kubevirt.io/XYZ": "",
      "host-model-cpu.node.kubevirt.io/ABC": "true", "cpu-model-migration.node.kubevirt.io/ABC": "true",
    ]
    cluster.objects["nodes"] = [TestCluster.node("a"), TestCluster.node("b", labels: other)]
    return cluster
  }

  @Test("host-model does not go from A to B; model 123, which both have, is named with both ways to set it")
  func documented() async throws {
    let answer = try await seed().explained()
    #expect(answer.isMigratable == false && answer.enforced == [.cpuModel])
    #expect(answer.text("b").contains("cpu-model-migration.node.kubevirt.io/XYZ"))
    let obstacle = try #require(answer.obstacles.first)
    #expect(obstacle.text.contains("host-model, which is XYZ on a"))
    for part in [
      "every node offers 123",
      #"kubectl patch vm demo -n default --type merge -p '{"spec":{"template":{"spec":{"domain":{"cpu":{"model":"123"}}}}}}'"#,
      "virtctl restart demo -n default",
      #"kubectl patch kubevirts.kubevirt.io kubevirt -n harvester-system --type merge -p '{"spec":{"configuration":{"cpuModel":"123"}}}'"#,
      "new ones too", "only after a restart",
    ] { #expect(obstacle.remedy.contains(part), "\(part)") }
  }

  @Test("With model 123 it goes, set for the VM or for the cluster", arguments: [true, false])
  func named(ofVM: Bool) async throws {
    var cluster = seed()
    if ofVM {
      cluster.guest { $0["spec", "domain", "cpu", "model"] = "123" }
      cluster.launcher { $0["spec", "nodeSelector", "cpu-model.node.kubevirt.io/123"] = "true" }
    } else {
      cluster.guest { $0["spec", "domain", "cpu", "model"] = nil }
      cluster.kubeVirt { $0["spec", "configuration", "cpuModel"] = "123" }
    }
    let answer = try await cluster.explained()
    #expect(answer.isMigratable == true && answer.possible == ["b"])
  }

  @Test("A model by name that a node does not offer is told")
  func namedMissing() async throws {
    var cluster = seed()
    cluster.guest { $0["spec", "domain", "cpu", "model"] = "456" }
    let answer = try await cluster.explained()
    #expect(answer.enforced == [.cpuModel] && answer.text("b").contains("CPU model 456 is not offered"))
    #expect(answer.obstacles.first?.text.contains("its CPU model is 456") == true)
  }

  @Test("Where no model is common, that is said")
  func nothingCommon() async throws {
    var cluster = seed()
    cluster.label("b", "cpu-model.node.kubevirt.io/123", nil)
    cluster.label("b", "cpu-model.node.kubevirt.io/789", "true")
    let answer = try await cluster.explained()
    #expect(answer.obstacles.first?.remedy.hasPrefix("no CPU model is offered by every node") == true)
  }

  @Test("A node with another primary model that can take the source's is possible; the page's rule is told")
  func receiver() async throws {
    var cluster = seed()
    cluster.label("a", "host-model-required-features.node.kubevirt.io/vmx", "true")
    let labels = [
      "host-model-cpu.node.kubevirt.io/XYZ": "", "host-model-cpu.node.kubevirt.io/DEF": "true",
      "cpu-feature.node.kubevirt.io/vmx": "true",
    ]
    cluster.add("nodes", TestCluster.node("c", labels: labels))
    let answer = try await cluster.explained()
    #expect(answer.possible == ["c"] && answer.isMigratable == true)
    let obstacle = try #require(answer.targets.last?.obstacles.first)
    #expect(obstacle.reason == .cpuModel && !obstacle.isEnforced)
    #expect(obstacle.text.contains("its primary CPU model is DEF, not XYZ"))

    cluster.label("c", "cpu-feature.node.kubevirt.io/vmx", nil)
    let without = try await cluster.explained()
    #expect(without.possible.isEmpty && without.text("c") == "CPU features are missing: vmx")
  }

  @Test("A host-model VM that was migrated keeps the needs of the node that it first ran on")
  func inherited() async throws {
    var cluster = seed()
    // It is on `a` (XYZ) now, and first ran on a node like `b`.
    cluster.launcher {
      $0["metadata", "labels", "kubevirt.io/migrationJobUID"] = "earlier"
      $0["spec", "nodeSelector", "cpu-model-migration.node.kubevirt.io/ABC"] = "true"
      $0["spec", "nodeSelector", "cpu-feature.node.kubevirt.io/mpx"] = "true"
    }
    cluster.label("b", "cpu-feature.node.kubevirt.io/mpx", "true")
    cluster.add("nodes", TestCluster.node("c"))
    let answer = try await cluster.explained()
    #expect(answer.possible == ["b"])
    #expect(answer.text("c").contains("guest of ABC") && answer.text("c").contains("mpx"))
    #expect(
      answer.notes.contains {
        $0.contains("first ran on: CPU model ABC and 1 CPU feature, although a is XYZ")
      })
  }

  @Test("The maker of the processor counts from 1.7 on, and where the version is not known")
  func vendor() async throws {
    var cluster = seed()
    cluster.guest { $0["spec", "domain", "cpu", "model"] = "123" }
    cluster.label("a", "cpu-vendor.node.kubevirt.io/Intel", "true")
    cluster.label("b", "cpu-vendor.node.kubevirt.io/AMD", "true")
    #expect(try await cluster.explained().possible == ["b"])
    cluster.kubeVirt { $0["status", "observedKubeVirtVersion"] = "v1.8.1" }
    let answer = try await cluster.explained()
    #expect(answer.possible.isEmpty && answer.text("b").contains("not of Intel"))
    cluster.denied = ["kubevirts"]
    #expect(try await cluster.explained().possible.isEmpty)
  }

  @Test("host-passthrough is compared by nobody, and said so")
  func passthrough() async throws {
    var cluster = seed()
    cluster.guest { $0["spec", "domain", "cpu", "model"] = "host-passthrough" }
    let answer = try await cluster.explained()
    #expect(answer.possible == ["b"])
    #expect(answer.notes.contains { $0.contains("host-passthrough") && $0.contains("unlike: b") })
  }

  @Test("A source without its labels makes the processor unknown, not fine")
  func unlabelled() async throws {
    var cluster = TestCluster()
    cluster.label("a", "host-model-cpu.node.kubevirt.io/XYZ", nil)
    let answer = try await cluster.explained()
    #expect(answer.isMigratable == nil && answer.enforced == [.unknown])
  }

  @Test("A model that the cluster sets cannot be known without the KubeVirt object")
  func unknownDefault() async throws {
    var cluster = TestCluster()
    cluster.guest { $0["spec", "domain", "cpu", "model"] = nil }
    cluster.denied = ["kubevirts"]
    #expect(try await cluster.explained().isMigratable == nil)
  }
}
