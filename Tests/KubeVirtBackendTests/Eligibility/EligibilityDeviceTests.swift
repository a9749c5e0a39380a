import DroverCore
import Testing

@testable import KubeVirtBackend

@Suite("Eligibility: devices, disks and networks of a VM")
struct EligibilityDeviceTests {
  @Test(
    "A device that is passed through is named, with how to take it out; KubeVirt's own word is not repeated")
  func hostDevice() async throws {
    var cluster = TestCluster()
    cluster.guest {
      $0["spec", "domain", "devices", "hostDevices"] = [["name": "nic0", "deviceName": "intel.com/nic"]]
      $0["status", "conditions"] = [
        [
          "type": "LiveMigratable", "status": "False", "reason": "HostDeviceNotLiveMigratable",
          "message": "no",
        ]
      ]
    }
    let answer = try await cluster.explained()
    #expect(answer.enforced == [.hostDevice] && answer.isMigratable == false)
    #expect(answer.obstacles.first?.text == "device nic0 (intel.com/nic) of the node is passed through to it")
    #expect(answer.obstacles.first?.remedy.contains("hostDevices") == true)
    #expect(answer.possible == ["b", "c"])
  }

  @Test("A GPU is an obstacle, but for one vGPU whose gate is open and that KubeVirt calls migratable")
  func gpu() async throws {
    var cluster = TestCluster()
    cluster.guest {
      $0["spec", "domain", "devices", "gpus"] = [["name": "g", "deviceName": "nvidia.com/A10"]]
    }
    #expect(try await cluster.explained().enforced == [.gpu])
    cluster.kubeVirt {
      $0["spec", "configuration", "developerConfiguration", "featureGates"] = ["VGPULiveMigration"]
    }
    var answer = try await cluster.explained()
    #expect(answer.enforced.isEmpty && answer.shown == [.gpu] && answer.isMigratable == true)
    cluster.guest {
      $0["spec", "domain", "devices", "gpus"] = [["name": "g"], ["name": "h"]]
    }
    answer = try await cluster.explained()
    #expect(answer.enforced == [.gpu, .gpu])
  }

  @Test("Encrypted memory and Hyper-V passthrough stay where they are")
  func confidential() async throws {
    var cluster = TestCluster()
    cluster.guest { $0["spec", "domain", "launchSecurity"] = ["sev": [:]] }
    #expect(try await cluster.explained().enforced == [.confidential])
    cluster.guest {
      $0["spec", "domain", "launchSecurity"] = nil
      $0["spec", "domain", "features"] = ["hypervPassthrough": ["enabled": true]]
    }
    #expect(try await cluster.explained().enforced == [.other])
  }

  @Test(
    "A claim that one node at a time may use is an obstacle",
    arguments: [
      (["ReadWriteOnce"], false), (["ReadWriteOncePod"], false), (["ReadOnlyMany"], false),
      (["ReadWriteMany"], true), (["ReadWriteOnce", "ReadWriteMany"], true),
    ])
  func accessModes(modes: [String], isMigratable: Bool) async throws {
    var cluster = TestCluster()
    cluster.addDisk(modes: modes)
    let answer = try await cluster.explained()
    #expect(answer.isMigratable == isMigratable)
    guard !isMigratable else { return }
    #expect(answer.enforced == [.accessMode])
    #expect(answer.obstacles.first?.text.contains("claim claim-root of disk root is \(modes[0])") == true)
  }

  @Test("A volume that is being copied to another claim is none")
  func copied() async throws {
    var cluster = TestCluster()
    cluster.addDisk(modes: ["ReadWriteOnce"])
    cluster.guest { $0["status", "migratedVolumes"] = [["volumeName": "root"]] }
    #expect(try await cluster.explained().isMigratable == true)
  }

  @Test("A claim that is gone, and a file of the node, are obstacles; a shared file is none")
  func goneAndHost() async throws {
    var cluster = TestCluster()
    cluster.guest {
      $0["spec", "volumes"] = [
        ["name": "d", "dataVolume": ["name": "gone"]], ["name": "h", "hostDisk": ["path": "/disk.img"]],
        ["name": "s", "hostDisk": ["path": "/shared.img", "shared": true]],
      ]
    }
    let answer = try await cluster.explained()
    #expect(answer.enforced == [.accessMode, .accessMode])
    #expect(answer.obstacles.map(\.text).contains("claim gone of disk d does not exist"))
    #expect(answer.obstacles.map(\.text).contains("disk h is the file /disk.img of the node"))
  }

  @Test("A claim that may not be read: KubeVirt's word counts where it gave one, else it is unknown")
  func unreadableClaim() async throws {
    var cluster = TestCluster()
    cluster.addDisk(modes: ["ReadWriteMany"])
    cluster.denied = ["persistentvolumeclaims"]
    var answer = try await cluster.explained()
    #expect(answer.isMigratable == nil && answer.enforced.allSatisfy { $0 == .unknown })
    #expect(answer.obstacles.contains { $0.text.contains("whether disk root can be at two nodes at once") })
    cluster.guest {
      $0["status", "volumeStatus"] = [
        ["name": "root", "persistentVolumeClaimInfo": ["accessModes": ["ReadWriteOnce"]]]
      ]
    }
    answer = try await cluster.explained()
    #expect(answer.enforced.contains(.accessMode) && answer.isMigratable == false)
  }

  @Test("A CD-ROM and a container disk are shown, and prevent nothing")
  func page() async throws {
    var cluster = TestCluster()
    cluster.addDisk("iso", asCDROM: true)
    cluster.guest { guest in
      guest["spec", "volumes"] = guest["spec", "volumes"].appending([
        "name": "tools", "containerDisk": ["image": "example.test/tools:1"],
      ])
    }
    let answer = try await cluster.explained()
    #expect(answer.isMigratable == true && answer.shown == [.cdrom, .containerDisk])
    #expect(answer.obstacles.allSatisfy { $0.text.contains("KubeVirt migrates with it") })
    #expect(answer.obstacles.last?.text.contains("the target pulls the image") == true)
  }

  @Test("A CD-ROM on a claim for one node is an obstacle for the claim's sake")
  func cdromOnce() async throws {
    var cluster = TestCluster()
    cluster.addDisk("iso", modes: ["ReadWriteOnce"], asCDROM: true)
    let answer = try await cluster.explained()
    #expect(answer.enforced == [.accessMode] && answer.shown == [.cdrom])
  }

  @Test("A bridge to the pod's network is an obstacle, unless it is allowed")
  func podBridge() async throws {
    var cluster = TestCluster()
    cluster.guest {
      $0["spec", "networks"] = [["name": "default", "pod": [:]]]
      $0["spec", "domain", "devices", "interfaces"] = [["name": "default", "bridge": [:]]]
    }
    #expect(try await cluster.explained().enforced == [.networkInterface])
    cluster.guest {
      $0["metadata", "annotations", "kubevirt.io/allow-pod-bridge-network-live-migration"] = ""
    }
    #expect(try await cluster.explained().isMigratable == true)
    cluster.guest {
      $0["metadata", "annotations"] = nil
      $0["spec", "domain", "devices", "interfaces"] = [["name": "default", "masquerade": [:]]]
    }
    #expect(try await cluster.explained().isMigratable == true)
  }

  private func networked(_ labels: JSON = ["network.harvesterhci.io/clusternetwork": "vlan"]) -> TestCluster {
    var cluster = TestCluster()
    cluster.guest {
      $0["spec", "networks"] = [["name": "n", "multus": ["networkName": "vlan100"]]]
      $0["spec", "domain", "devices", "interfaces"] = [["name": "n", "bridge": [:]]]
    }
    cluster.add(
      "network-attachment-definitions",
      ["metadata": ["name": "vlan100", "namespace": "default", "uid": "nad", "labels": labels]])
    cluster.label("a", "network.harvesterhci.io/vlan", "true")
    return cluster
  }

  @Test("A cluster network that reaches one node only is an obstacle, told of every other node")
  func clusterNetwork() async throws {
    var cluster = networked()
    var answer = try await cluster.explained()
    #expect(answer.enforced == [.clusterNetwork])
    #expect(answer.text("b").contains("cluster network vlan does not reach it"))
    cluster.label("b", "network.harvesterhci.io/vlan", "true")
    answer = try await cluster.explained()
    #expect(answer.possible == ["b"] && answer.reasons("c") == [.clusterNetwork])
    // Harvester writes the same into the affinity: it is told once.
    cluster.launcher {
      $0["spec", "affinity"] = [
        "nodeAffinity": [
          "requiredDuringSchedulingIgnoredDuringExecution": [
            "nodeSelectorTerms": [
              [
                "matchExpressions": [
                  ["key": "network.harvesterhci.io/vlan", "operator": "In", "values": ["true"]]
                ]
              ]
            ]
          ]
        ]
      ]
    }
    #expect(try await cluster.explained().reasons("c") == [.clusterNetwork])
  }

  @Test(
    "A network of no cluster network goes everywhere; one that is gone goes nowhere; one unread is unknown")
  func attachments() async throws {
    #expect(try await networked([:]).explained().isMigratable == true)
    var cluster = networked()
    cluster.denied = ["network-attachment-definitions"]
    var answer = try await cluster.explained()
    #expect(answer.enforced == [.unknown] && answer.isMigratable == nil)
    cluster.denied = []
    cluster.absent = ["network-attachment-definitions"]
    #expect(try await cluster.explained().enforced == [.networkInterface])
    cluster.absent = []
    cluster.objects["network-attachment-definitions"] = []
    answer = try await cluster.explained()
    #expect(answer.enforced == [.networkInterface])
    #expect(cluster.asked.all.contains { $0.contains("'vlan100' in namespace 'default'") })
  }
}
