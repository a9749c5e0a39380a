public import FoundationEssentials
public import QEMURig
import Synchronization

/// A migration that the test plays: a VirtualMachineInstanceMigration, and what it does to its guest's
/// objects.
///
/// ``advance(to:on:)`` goes through the phases in KubeVirt's order, or each step is taken by its own method.
public final class Migration: Sendable {
  /// The phases of a VirtualMachineInstanceMigration, in the order of an ordinary one.
  public enum Phase: String, Comparable, CaseIterable, Sendable {
    case unset = ""
    case waitingForSync = "WaitingForSync"
    case synchronizing = "Synchronizing"
    case pending = "Pending"
    case scheduling = "Scheduling"
    case scheduled = "Scheduled"
    case preparingTarget = "PreparingTarget"
    case targetReady = "TargetReady"
    case running = "Running"
    case succeeded = "Succeeded"
    case failed = "Failed"

    private var order: Int { Self.allCases.firstIndex(of: self) ?? 0 }
    /// Whether it comes earlier.
    public static func < (a: Phase, b: Phase) -> Bool { a.order < b.order }
  }

  struct State {
    var phase = Phase.unset
    var source = ""
    var sourcePod = ""
    var target: String?
    var targetPod: (name: String, uid: String)?
    /// Whether the VMI's migrationState is this migration's.
    var isHandedOver = false
  }

  let cluster: Cluster
  /// The guest.
  public let vm: VM
  /// The name of the VirtualMachineInstanceMigration.
  public let name: String
  /// Its uid, by which Drover knows the migration.
  public let uid: String
  let state: Mutex<State>

  init(cluster: Cluster, vm: VM, name: String, uid: String, source: String, sourcePod: String) {
    (self.cluster, self.vm, self.name, self.uid) = (cluster, vm, name, uid)
    state = Mutex(State(source: source, sourcePod: sourcePod))
  }

  /// Its namespace.
  public var namespace: String { vm.namespace }
  /// The phase that was written last.
  public var phase: Phase { state.withLock { $0.phase } }
  /// The node that the guest leaves.
  public var source: String { state.withLock { $0.source } }
  /// The node that it goes to, once that is known.
  public var target: String? { state.withLock { $0.target } }
  /// The pod that was made for it at the target.
  public var targetPod: String? { state.withLock { $0.targetPod?.name } }
  /// What virt-handler on the source node serves of its bytes.
  public var copy: VirtHandlerStandIn.CopyName { vm.copy(from: source) }

  /// The VirtualMachineInstanceMigration as it is now; nil when it is gone.
  public func object() async throws -> JSONValue? { try await cluster.api.find(.vmims, name, in: namespace) }

  // MARK: Writing

  /// Writes a phase, with the moment that it begins, the first time only, and further changes of the status.
  func enter(
    _ phase: Phase, at: Date? = nil, _ change: (inout JSONValue) -> Void = { _ in }
  ) async throws {
    let time = cluster.stamp(at)
    let sourcePod = state.withLock { $0.sourcePod }
    try await edit { object in
      object[path: "status", "phase"] = .string(phase.rawValue)
      var entered = object[path: "status", "phaseTransitionTimestamps"]?.array ?? []
      if !entered.contains(where: { $0["phase"] == .string(phase.rawValue) }) {
        entered.append(["phase": .string(phase.rawValue), "phaseTransitionTimestamp": time])
      }
      object[path: "status", "phaseTransitionTimestamps"] = .array(entered)
      if object[path: "status", "migrationState"] == nil, phase >= .pending {
        object[path: "status", "migrationState"] = ["sourcePod": .string(sourcePod)]
      }
      change(&object)
    }
    state.withLock { $0.phase = phase }
    if cluster.isHarvester { try await annotateForHarvester(phase) }
  }

  /// Changes the status of the VirtualMachineInstanceMigration.
  public func edit(_ change: (inout JSONValue) -> Void) async throws {
    try await cluster.edit(.vmims, name, in: namespace, subresource: "status", change)
  }

  /// Changes the VMI's migrationState.
  public func editState(_ change: (inout JSONValue) -> Void) async throws {
    try await vm.edit { object in
      var state = object[path: "status", "migrationState"] ?? [:]
      change(&state)
      object[path: "status", "migrationState"] = state
    }
  }

  /// Harvester's controller says on the VMI what a migration is about.
  private func annotateForHarvester(_ phase: Phase) async throws {
    let word: JSONValue =
      switch phase {
      case .succeeded, .failed: .null
      case .scheduling...Phase.running: "Migrating"
      default: "Pending migration"
      }
    var annotations: [String: JSONValue] = [
      "harvesterhci.io/migrationUID": word == .null ? .null : .string(uid),
      "harvesterhci.io/migrationState": word,
    ]
    if word == .null { annotations["harvesterhci.io/migrationTargetNodeName"] = .null }
    try await vm.annotate(annotations)
  }

  /// Writes an event about the VirtualMachineInstanceMigration.
  public func addEvent(
    _ reason: String, _ message: String, isWarning: Bool = false, at: Date? = nil
  ) async throws {
    try await cluster.addEvent(
      reason, message, isWarning: isWarning, about: .vmims, name, in: namespace, uid: uid, at: at)
  }

  /// Writes an event about the guest, as a virt-handler does.
  public func addGuestEvent(
    _ reason: String, _ message: String, isWarning: Bool = false, at: Date? = nil
  ) async throws {
    try await cluster.addEvent(
      reason, message, isWarning: isWarning, about: .vmis, vm.name, in: namespace, uid: vm.uid,
      from: "virt-handler", at: at)
  }
}
