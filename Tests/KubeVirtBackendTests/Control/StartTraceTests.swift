import DroverCore
import Foundation
import Testing

@testable import KubeVirtBackend
@testable import Kubernetes

@Suite("What is found and told of a start")
struct StartTraceTests {
  private func vmim(_ mark: String?) throws -> VMIM {
    var json: JSON = [
      "metadata": ["name": "vm1-abcde", "namespace": "default", "uid": "u-1"], "spec": ["vmiName": "vm1"],
      "status": ["phase": "Pending"],
    ]
    if let mark { json["metadata", "annotations"] = ["drover.io/decision": .string(mark)] }
    return try json.decoded()
  }

  @Test("A VMIM is found by the mark of the decision that made it, and by nothing else")
  func mark() throws {
    let all = [try vmim(nil), try vmim("16-1"), try vmim("17-1")]
    #expect(StartTrace.find("17-1", among: all)?.metadata.annotations["drover.io/decision"] == "17-1")
    #expect(StartTrace.find("17-2", among: all) == nil)
    #expect(StartTrace.find("", among: all) == nil)
    let order = MigrationOrder(name: VMName(namespace: "default", name: "vm1"), node: nil, mark: "17-1")
    #expect(
      order.text.contains(#""annotations":{"drover.io/decision":"17-1","drover.io/reason":"requested"}"#))
  }

  @Test("CD-ROMs and container disks are warned of, and nothing else")
  func warnings() async throws {
    var cluster = TestCluster()
    cluster.addDisk()
    cluster.addDisk("cd", asCDROM: true)
    cluster.guest {
      $0["spec", "volumes"] = $0["spec", "volumes"].appending([
        "name": "image", "containerDisk": ["image": "registry/image"],
      ])
    }
    let guest: Guest = try await cluster.object(
      Resource(group: "kubevirt.io", plural: "virtualmachineinstances").named("demo", in: "default"))
    let warnings = StartWarnings.of(guest)
    #expect(warnings.count == 2)
    #expect(warnings[0].hasPrefix("disk cd is a CD-ROM"))
    #expect(warnings[1].contains("container disk registry/image"))
  }

  @Test("An event names the VMI by its uid, and is no longer than Kubernetes takes")
  func event() throws {
    var vmi = ObjectMeta(name: "vm1", namespace: "default", uid: "u-9")
    vmi.labels = ["a": "b"]
    let long = String(repeating: "ä", count: 1000)
    let event = KubeVirtBackend.event(
      ControlNote(.abortRefused, long), vmi, at: Date(timeIntervalSince1970: 0))
    let text = String(decoding: try JSONEncoder().encode(event), as: UTF8.self)
    #expect(text.contains(#""uid":"u-9""#) && text.contains(#""reason":"DroverAbortRefused""#))
    #expect(text.contains(#""type":"Warning""#) && text.contains("1970-01-01T00:00:00Z"))
    guard case .object(let members) = event, case .string(let message) = members["message"] else {
      Issue.record("no message")
      return
    }
    #expect(message.utf8.count == 1024)
  }
}
