public import DroverCore
internal import FoundationEssentials
internal import Kubernetes
internal import Logging
internal import Synchronization

extension KubeVirtBackend {
  /// How long the API server has for it.
  private static let noteDeadline = Duration.seconds(5)
  /// What Kubernetes takes at most.
  private static let longestText = 1024

  /// Writes an event about the VMI; where that fails it is logged once a kind of failure, and nothing else is lost.
  public func tell(_ note: ControlNote, of vm: VMRef) async {
    guard let client = client.withLock(\.self) else { return }
    let call = "writing an event about \(vm.scope.name)/\(vm.name)"
    do throws(ControlError) {
      try await within(Self.noteDeadline, call) { () async throws(ControlError) in
        do throws(KubernetesError) {
          let vmi: Noted = try await client.get(Self.vmis.named(vm.name, in: vm.scope.name))
          try await client.create(
            Self.event(note, vmi.metadata, at: Date()), in: Resource(plural: "events").within(vm.scope.name))
        } catch {
          throw ControlError(error, call)
        }
      }
    } catch {
      guard failedNotes.withLock({ $0.insert(error.kind).inserted }) else { return }
      log.warning(
        "no events about VMs", metadata: ["error": "\(error)", "kind": "\(error.kind.rawValue)"])
    }
  }

  /// The event as it is made.
  static func event(_ note: ControlNote, _ vmi: ObjectMeta, at now: Date) -> JSONValue {
    let time = JSONValue.string(now.formatted(.iso8601))
    return [
      "apiVersion": "v1", "kind": "Event",
      "metadata": ["generateName": .string("\(vmi.name)."), "namespace": .string(vmi.namespace)],
      "involvedObject": [
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": .string(vmi.name),
        "namespace": .string(vmi.namespace), "uid": .string(vmi.uid),
      ],
      "reason": .string(note.kind.rawValue), "type": note.isWarning ? "Warning" : "Normal",
      "message": .string(cut(note.text)), "source": ["component": "drover"], "count": 1,
      "firstTimestamp": time, "lastTimestamp": time,
    ]
  }

  private static func cut(_ text: String) -> String {
    var text = text
    while text.utf8.count > longestText { text.removeLast() }
    return text
  }
}

/// An object of which it is enough to know which one it is.
private struct Noted: KubernetesObject {
  let metadata: ObjectMeta
}
