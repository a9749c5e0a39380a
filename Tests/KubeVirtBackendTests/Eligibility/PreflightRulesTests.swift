import DroverCore
import Synchronization
import Testing

@testable import KubeVirtBackend
@testable import Kubernetes

@Suite("What a drain would do, by lists of everything")
struct PreflightRulesTests {
  /// The cluster of one VM that may go to `b` and `c`, with a strategy.
  private func cluster(
    strategy: String? = "LiveMigrate", _ edit: (inout TestCluster) -> Void = { _ in }
  ) -> TestCluster {
    var cluster = TestCluster()
    cluster.guest { $0["spec", "evictionStrategy"] = strategy.map { .string($0) } ?? .null }
    edit(&cluster)
    return cluster
  }

  private func preflight(
    _ cluster: TestCluster, node: String? = nil, namespaces: [String] = []
  ) async throws -> Preflight {
    let facts = try await PreflightReader(source: cluster, namespaces: namespaces, limit: .seconds(3600))
      .facts()
    return PreflightRules(PreflightIndex(facts), backend: TestCluster.vm.backend).preflight(node: node)
  }

  private func only(_ preflight: Preflight) throws -> Preflight.VM {
    #expect(preflight.vms.count == 1)
    return try #require(preflight.vms.first)
  }

  @Test("A VM that may go, with room elsewhere: nothing is said of it")
  func fine() async throws {
    let preflight = try await preflight(cluster())
    let vm = try only(preflight)
    #expect(vm.outcome == .migrates && vm.causes == [] && !vm.isOpen && vm.node == "a")
    #expect(preflight.nodes.map(\.node) == ["a"] && preflight.nodes[0].withoutRoom == [])
    #expect(preflight.nodes[0].guests == 1 && preflight.notes == [])
  }

  @Test("Where there is no other node there is no room, whatever becomes of the guests")
  func alone() async throws {
    let preflight = try await preflight(cluster { $0.objects["nodes"]?.removeLast(2) })
    #expect(preflight.nodes.map(\.withoutRoom) == [[TestCluster.vm]])
    #expect(preflight.nodes.map(\.text) == ["there is no other node"])
  }

  @Test(
    "What becomes of it, by its own strategy or else the cluster's, and whether it can migrate",
    arguments: [
      ("LiveMigrate", "", true, .migrates), ("LiveMigrate", "", false, .blocks),
      ("LiveMigrateIfPossible", "", true, .migrates), ("LiveMigrateIfPossible", "", false, .willBeShutDown),
      ("External", "", true, .blocks), ("None", "LiveMigrate", true, .willBeShutDown),
      ("", "LiveMigrate", true, .migrates), ("", "LiveMigrate", false, .blocks),
      ("", "", true, .willBeShutDown),
    ] as [(String, String, Bool, DrainOutcome)])
  func strategies(own: String, ofCluster: String, isMigratable: Bool, outcome: DrainOutcome) async throws {
    let vm = try await only(
      preflight(
        cluster(strategy: own.isEmpty ? nil : own) { cluster in
          if !ofCluster.isEmpty {
            cluster.kubeVirt { $0["spec", "configuration", "evictionStrategy"] = .string(ofCluster) }
          }
          if !isMigratable {
            cluster.guest {
              $0["status", "conditions"] = [["type": "LiveMigratable", "status": "False", "reason": "X"]]
            }
          }
        }))
    #expect(vm.outcome == outcome)
    #expect(vm.causes.isEmpty == (outcome == .migrates), "\(vm.causes)")
    #expect(vm.causes.allSatisfy { !$0.remedy.isEmpty })
  }

  @Test(
    "Where the KubeVirt object cannot be read, nobody knows what becomes of a VM that says nothing itself")
  func unreadableStrategy() async throws {
    let silent = try await only(preflight(cluster(strategy: nil) { $0.denied = ["kubevirts"] }))
    #expect(silent.isOpen)
    let own = try await only(preflight(cluster(strategy: "External") { $0.denied = ["kubevirts"] }))
    #expect(own.outcome == .blocks)
  }

  @Test("Maintenance mode shuts down what carries its label, and what cannot migrate once it is forced")
  func maintenance() async throws {
    let labelled = try await only(
      preflight(
        cluster {
          $0.guest { $0["metadata", "labels", "harvesterhci.io/maintain-mode-strategy"] = "Shutdown" }
        }))
    #expect(labelled.outcome == .willBeShutDown && labelled.causes[0].text.contains("maintain-mode-strategy"))
    let forced = try await only(
      preflight(
        cluster { cluster in
          cluster.guest {
            $0["status", "conditions"] = [["type": "LiveMigratable", "status": "False", "reason": "X"]]
          }
          cluster.node("a") {
            $0["metadata", "annotations"] = [
              "harvesterhci.io/drain-requested": "true", "harvesterhci.io/drain-forced": "true",
            ]
          }
        }))
    #expect(forced.outcome == .willBeShutDown && forced.causes.contains { $0.text.contains("forced") })
  }

  @Test("One that KubeVirt calls migratable and no node would take blocks, with every cause")
  func noTarget() async throws {
    let vm = try await only(
      preflight(
        cluster { cluster in
          for node in ["b", "c"] { cluster.node(node) { $0["spec", "unschedulable"] = true } }
          cluster.guest {
            $0["spec", "domain", "devices", "hostDevices"] = [["name": "x", "deviceName": "y"]]
          }
        }))
    #expect(vm.outcome == .blocks && Set(vm.causes.map(\.reason)) == [.hostDevice, .noTargetNode])
  }

  @Test("One that no node has room for blocks, and its node says what is short")
  func noRoom() async throws {
    let preflight = try await preflight(
      cluster { cluster in
        for node in ["b", "c"] { cluster.node(node) { $0["status", "allocatable", "memory"] = "4Gi" } }
      })
    #expect(try only(preflight).outcome == .blocks)
    // More than a whole node has: it would not even begin to move.
    #expect(try only(preflight).causes.map(\.reason) == [.noResources])
    let full = try await self.preflight(
      cluster { cluster in
        for node in ["b", "c"] {
          var pod = TestCluster.pod
          pod["metadata"] = ["name": .string("big-\(node)"), "namespace": "x", "uid": .string("big-\(node)")]
          pod["spec", "nodeName"] = .string(node)
          pod["spec", "containers"] = [["resources": ["requests": ["memory": "60Gi"]]]]
          cluster.add("pods", pod)
        }
      })
    #expect(try only(full).outcome == .blocks && full.vms[0].causes.map(\.reason) == [.noResources])
    #expect(
      full.nodes[0].withoutRoom?.map(\.name) == ["demo"] && full.nodes[0].text.contains("8 GiB of memory"))
  }

  /// More VMs like the first, each with its launcher.
  private func copies(_ count: Int, on node: String, in cluster: inout TestCluster) {
    for number in 1...count {
      var guest = cluster.objects["virtualmachineinstances"]?.first ?? .null
      guest["metadata", "name"] = .string("vm-\(number)")
      guest["metadata", "uid"] = .string("uid-\(number)")
      guest["status", "nodeName"] = .string(node)
      guest["status", "activePods"] = [.init("pod-\(number)"): .string(node)]
      cluster.add("virtualmachineinstances", guest)
      var pod = TestCluster.pod
      pod["metadata", "name"] = .string("launcher-\(number)")
      pod["metadata", "uid"] = .string("pod-\(number)")
      pod["metadata", "labels"] = ["kubevirt.io/created-by": .string("uid-\(number)")]
      pod["spec", "nodeName"] = .string(node)
      cluster.add("pods", pod)
    }
  }

  @Test("Each finds room alone, and together they do not: the VMs migrate, the node has no room")
  func together() async throws {
    // 64 GiB each: 17 guests of 8 GiB are one too many for two nodes.
    let preflight = try await preflight(cluster { copies(16, on: "a", in: &$0) })
    #expect(preflight.vms.count == 17 && preflight.vms.allSatisfy { $0.outcome == .migrates })
    #expect(preflight.nodes.map(\.guests) == [17] && preflight.nodes[0].withoutRoom?.count == 1)
    // By cores: 16 each, 2 for each guest.
    let fits = try await self.preflight(cluster { copies(13, on: "a", in: &$0) })
    #expect(fits.nodes[0].withoutRoom == [])
  }

  @Test("Node by node; one node alone; and one that carries nothing")
  func nodes() async throws {
    let cluster = cluster { copies(2, on: "b", in: &$0) }
    let all = try await preflight(cluster)
    #expect(all.nodes.map(\.node) == ["a", "b"] && all.nodes.map(\.guests) == [1, 2])
    let one = try await preflight(cluster, node: "b")
    #expect(one.vms.map(\.vm.name) == ["vm-1", "vm-2"] && one.nodes.map(\.node) == ["b"])
    let empty = try await preflight(cluster, node: "c")
    #expect(empty.vms == [] && empty.nodes.map(\.withoutRoom) == [[]])
  }

  @Test(
    "What may not be listed is unknown, never fine",
    arguments: ["pods", "nodes", "persistentvolumeclaims", "persistentvolumes", "kubevirts"])
  func denied(plural: String) async throws {
    let preflight = try await preflight(
      cluster {
        $0.addDisk()
        $0.guest { $0["spec", "domain", "cpu"] = [:] }
        $0.denied = [plural]
      })
    let vm = try only(preflight)
    #expect(vm.isOpen || preflight.nodes.contains { $0.withoutRoom == nil }, "\(vm)")
    #expect(vm.outcome == .migrates)
    // Where nobody knows what is free, nobody says that there is none either.
    if ["pods", "nodes"].contains(plural) {
      #expect(preflight.nodes.allSatisfy { $0.withoutRoom == nil }, "\(preflight.nodes)")
    }
  }

  @Test("Without the VMIs there is no answer")
  func noGuests() async throws {
    let cluster = cluster { $0.denied = ["virtualmachineinstances"] }
    let error = await #expect(throws: ControlError.self) { try await preflight(cluster) }
    #expect(error?.kind == .denied)
  }

  @Test("What is not known in time is a fact of its own; the VMIs have to come")
  func silence() async throws {
    let slow = cluster { $0.silent = ["pods"] }
    // What is not silent is told at once, but on a busy machine.
    var facts: PreflightFacts?
    for limit in [200, 2000, 20_000] where facts == nil {
      facts = try? await PreflightReader(source: slow, limit: .milliseconds(limit)).facts()
    }
    #expect(facts?.pods.value == nil && facts?.guests.count == 1)
    let mute = cluster { $0.silent = ["virtualmachineinstances"] }
    let error = await #expect(throws: ControlError.self) {
      try await PreflightReader(source: mute, limit: .milliseconds(200)).facts()
    }
    #expect(error?.kind == .timeout)
  }

  @Test("Only some namespaces: what else is on a node is not known, and its room therefore not")
  func namespaces() async throws {
    let preflight = try await preflight(cluster(), namespaces: ["default"])
    #expect(try only(preflight).outcome == .migrates)
    #expect(
      preflight.nodes[0].withoutRoom == nil
        && preflight.notes.contains { $0.hasPrefix("Only the VMs of default") })
  }

  @Test("Lists only, whatever the number of VMs")
  func requests() async throws {
    var few = cluster { $0.addDisk() }
    _ = try await preflight(few)
    let asked = few.asked.all
    #expect(asked.allSatisfy { $0.hasPrefix("list ") })
    copies(20, on: "b", in: &few)
    _ = try await preflight(few)
    #expect(few.asked.all.count == 2 * asked.count)
  }

  @Test("Unlike processors: a model that all offer, set before VMs exist, spares the restart")
  func processors() async throws {
    let mixed = cluster { cluster in
      cluster.label("b", "host-model-cpu.node.kubevirt.io/XYZ", .null)
      cluster.label("b", "host-model-cpu.node.kubevirt.io/ABC", "true")
      cluster.label("b", "cpu-model-migration.node.kubevirt.io/XYZ", .null)
    }
    let note = try await preflight(mixed).notes.first { $0.contains("unlike processors") }
    #expect(
      note?.contains("ABC on b; XYZ on a, c") == true || note?.contains("ABC on b, XYZ on a, c") == true,
      "\(note ?? "")")
    #expect(
      note?.contains(#""cpuModel":"123""#) == true && note?.contains("default/demo") == true, "\(note ?? "")")
    var set = mixed
    set.kubeVirt { $0["spec", "configuration", "cpuModel"] = "123" }
    #expect(try await preflight(set).notes == [])
    #expect(try await preflight(cluster()).notes == [])
  }

  @Test("On Harvester: what its upgrade and its maintenance mode do beyond a drain")
  func harvester() async throws {
    let cluster = cluster { cluster in
      cluster.label("a", "harvesterhci.io/managed", "true")
      cluster.guest { $0["spec", "nodeSelector"] = ["kubernetes.io/arch": "amd64"] }
      cluster.addDisk(replicas: 1)
    }
    let notes = try await preflight(cluster).notes
    #expect(notes.contains { $0.contains("upgrade shuts down what has a node selector") }, "\(notes)")
    #expect(notes.contains { $0.contains("one copy") }, "\(notes)")
  }

  @Test(
    "Several who ask at a time share one look, and one who asks right after takes it over; later it is made anew"
  )
  func shared() async throws {
    let desk = PreflightDesk()
    let reads = Mutex(0)
    let cluster = cluster()
    let read: @Sendable () async throws(ControlError) -> PreflightFacts = { () async throws(ControlError) in
      reads.withLock { $0 += 1 }
      return try await PreflightReader(source: cluster).facts()
    }
    let start = ContinuousClock.now
    async let one = desk.index(now: start, read: read)
    async let two = desk.index(now: start, read: read)
    _ = try await (one, two)
    _ = try await desk.index(now: start + .seconds(9), read: read)
    #expect(reads.withLock(\.self) == 1)
    _ = try await desk.index(now: start + .seconds(11), read: read)
    #expect(reads.withLock(\.self) == 2)
  }

  @Test("What was read is let go once it is too old, also where nobody asks again")
  func released() async throws {
    let desk = PreflightDesk(lasting: .milliseconds(1))
    let cluster = cluster()
    _ = try await desk.index { () async throws(ControlError) in
      try await PreflightReader(source: cluster).facts()
    }
    for _ in 1...500 where desk.isKeeping { try await Task.sleep(for: .milliseconds(10)) }
    #expect(!desk.isKeeping)
  }

  @Test("A look that failed is not kept")
  func failed() async throws {
    let desk = PreflightDesk()
    let cluster = cluster()
    await #expect(throws: ControlError.self) {
      _ = try await desk.index { () async throws(ControlError) in
        throw ControlError(.timeout, call: "", cause: "", remedy: "")
      }
    }
    let index = try await desk.index { () async throws(ControlError) in
      try await PreflightReader(source: cluster).facts()
    }
    #expect(index.facts.guests.count == 1)
  }
}
