internal import DroverCore
internal import Kubernetes

/// What was read of a migration right before it is to be ended.
struct LiveReading: Sendable {
  /// The object of that name; nil where there is none.
  var vmim: VMIM?
  /// Its VMI; nil where there is none.
  var vmi: VMI?
  /// The node that it empties; nil where it empties none, or that node is not there any more.
  var node: Node?
  /// KubeVirt's own object; nil where there is none.
  var kubeVirt: KubeVirtCR?

  /// How the migration is, by these objects alone.
  func migration(_ id: MigrationID, at instant: Instant) -> LiveMigration {
    guard let vmim else { return LiveMigration(.gone, word: "no such VMIM") }
    guard let found = MigrationID(vmim.metadata.uid), found == id else {
      return LiveMigration(.replaced(MigrationID(vmim.metadata.uid)), word: "VMIM of another uid")
    }
    guard var record = MigrationRecord(vmim, isInitial: true, at: instant) else {
      return LiveMigration(.gone, word: "VMIM without a uid")
    }
    if let vmi { record.take(VMRecord(vmi), at: instant) }
    if vmim.phase == "Running", record.state == nil {
      // Only the VMI tells whether that is post-copy.
      return vmi == nil
        ? LiveMigration(.gone, word: "VMIM Running, and its VMI is gone")
        : LiveMigration(.unclear, word: "VMIM Running, of which the VMI says nothing")
    }
    guard let phase = record.phase else {
      return LiveMigration(.unclear, word: "VMIM \(vmim.phase)")
    }
    let mode = record.state?.mode ?? ""
    let word = "VMIM \(vmim.phase.isEmpty ? "unset" : vmim.phase)\(mode.isEmpty ? "" : ", mode \(mode)")"
    if let outcome = phase.outcome { return LiveMigration(.finished(outcome), word: word) }
    return LiveMigration(
      .running(phase), word: word, comesBack: comesBack(vmim), isEnding: record.isAbortRequested,
      consequence: Self.consequence(in: phase, record))
  }

  /// Who makes another VMIM once this one is deleted.
  private func comesBack(_ vmim: VMIM) -> ComesBack? {
    switch vmim.origin {
    case .evacuation, .descheduler:
      let name = vmim.evacuatedNode ?? vmi?.node ?? ""
      let key = kubeVirt?.drainTaintKey ?? KubeVirtCR.usualDrainTaintKey
      switch node.flatMap({ DrainSigns($0, taintKey: key).drainedBy }) {
      case .harvesterUpgrade: return .harvesterUpgrade(node: name)
      case .harvesterMaintenance: return .harvesterMaintenance(node: name)
      case .taint: return .drainTaint(node: name)
      case nil: break
      }
      // Nobody wants it away any more: KubeVirt makes no other.
      if let vmi, vmi.evacuationNode.isEmpty { return nil }
      return vmim.origin == .descheduler ? .descheduler : .evacuation(node: name)
    case .workloadUpdate:
      return kubeVirt?.updatesByMigration == false ? nil : .workloadUpdate
    case .manual, .decentralized, .drover, .unknown:
      return nil
    }
  }

  private static func consequence(in phase: Phase, _ record: MigrationRecord) -> String {
    let node = record.sourceNode.isEmpty ? "its node" : record.sourceNode
    switch phase {
    case .pending, .scheduling:
      return "KubeVirt deletes the target's pod; the guest runs on at \(node), undisturbed"
    case .preparing:
      return
        "KubeVirt takes it up only when the copy begins, and ends that at once; the guest runs on at \(node)"
    case .guestSuspended:
      return "libvirt ends the copy; the guest, which KubeVirt holds paused, runs on at \(node)"
    default:
      return "libvirt ends the copy; the guest runs on at \(node), undisturbed"
    }
  }
}
