internal import DroverCore
internal import Kubernetes

/// What ending an evacuation takes of a cluster.
protocol EvacuationCluster: Sendable {
  /// Reads everything anew.
  func look() async throws(ControlError) -> EvacuationLook
  /// Takes the taints of that key and effect from the node that was looked at.
  func removeTaint(_ taint: Node.Taint, from node: Node) async throws(ControlError)
  /// Takes back that a VM is to leave its node.
  func takeBack(_ vmi: VMI) async throws(ControlError)
  /// Looks at a migration at this moment: why it must not be ended; nil where it may be.
  func refusal(of vmim: VMIM) async throws(ControlError) -> Refusal?
  /// Deletes exactly that migration.
  func delete(_ vmim: VMIM) async throws(ControlError)
  /// Waits until KubeVirt has done what it was about to do.
  func pause() async
  /// Whether no more is to be begun.
  var isLate: Bool { get }
}

/// Ends an evacuation: the taint first, then the marks, then the migrations, each looked for anew before its turn, since
/// KubeVirt makes more as long as their cause is there.
///
/// A VM that fails does not keep the others: its own migration then stays, as another would follow.
struct EvacuationStop<Cluster: EvacuationCluster>: Sendable {
  let call: String
  let cluster: Cluster

  /// What was done, step by step; throws where anything was not, and says both.
  func run() async throws(ControlError) -> [String] {
    var report = Report(call: call)
    var look = try await cluster.look()
    if let refusal = look.refusals.first { throw report.refused(refusal, look) }
    if case .node = look.subject, let node = look.node, let taint = look.taint {
      do throws(ControlError) {
        try await cluster.removeTaint(taint, from: node)
      } catch {
        report.fail("take the taint \(taint.words) from node \(node.metadata.name)", error)
        report.left += look.steps.dropFirst()
        throw report.error
      }
      report.done.append("took the taint \(taint.words) from node \(node.metadata.name)")
      look = try await again(report, look)
    }
    for vmi in look.marked { await takeBack(vmi, &report) }
    look = try await again(report, look)
    refuse(look.marked, &report)
    for vmim in look.repeated { await end(vmim, &report) }
    if !look.repeated.isEmpty, !cluster.isLate {
      await cluster.pause()
      let ended = Set(look.repeated.map(\.metadata.uid))
      let last = try await again(report, look)
      refuse(last.marked, &report)
      for vmim in last.repeated where !ended.contains(vmim.metadata.uid) {
        await end(vmim, &report)
      }
    }
    guard report.isWhole else { throw report.error }
    return report.done
  }

  private func refuse(_ marked: [VMI], _ report: inout Report) {
    for vmi in marked where report.stuck.insert(VMName(vmi)).inserted {
      report.fail("keep \(VMName(vmi).text) where it is", Self.evictedAgain(call))
    }
  }

  private static func evictedAgain(_ call: String) -> ControlError {
    ControlError(
      .refused, call: call, cause: "it was evicted again at once",
      remedy: "end what evicts it, as kubectl drain")
  }

  /// Reads everything once more; what cannot be read or must not go on ends it in the middle.
  private func again(_ report: Report, _ before: EvacuationLook) async throws(ControlError) -> EvacuationLook
  {
    var report = report
    let look: EvacuationLook
    do throws(ControlError) { look = try await cluster.look() } catch {
      report.fail("look at what is left", error)
      report.left += before.marked.map { "\(VMName($0).text)" }
      throw report.error
    }
    if let refusal = look.refusals.first { throw report.refused(refusal, look) }
    if let taint = look.taint {
      let error = ControlError(
        .refused, call: call, cause: "the taint \(taint.words) is there again: somebody drains the node",
        remedy: "find out who")
      report.fail("keep the taint away", error)
      report.left += look.steps
      throw report.error
    }
    return look
  }

  private func takeBack(_ vmi: VMI, _ report: inout Report) async {
    let name = VMName(vmi)
    let step = "take back that \(name.text) is to leave node \(vmi.node)"
    guard !cluster.isLate else { return report.leave(step, name) }
    do throws(ControlError) {
      try await cluster.takeBack(vmi)
      report.done.append("took back that \(name.text) is to leave node \(vmi.node)")
    } catch {
      report.fail(step, error)
      report.stuck.insert(name)
    }
  }

  private func end(_ vmim: VMIM, _ report: inout Report) async {
    let name = VMName(vmim)
    let step = "delete VMIM \(vmim.key)"
    guard !cluster.isLate, !report.stuck.contains(name) else { return report.leave(step, name) }
    do throws(ControlError) {
      if let refusal = try await cluster.refusal(of: vmim) {
        if refusal.reason.endsWithoutUs {
          report.done.append("left VMIM \(vmim.key): \(refusal.text)")
        } else {
          report.fail(
            step, ControlError(.refused, call: step, cause: refusal.text, remedy: "look at it, and try again")
          )
        }
        return
      }
      try await cluster.delete(vmim)
      report.done.append("deleted VMIM \(vmim.key): \(name.text) stays where it is")
    } catch {
      // Somebody else was faster: it is not there any more.
      if error.kind == .gone {
        report.done.append("left VMIM \(vmim.key): it is not there any more")
      } else {
        report.fail(step, error)
      }
    }
  }

  /// What was done and what was not.
  struct Report: Sendable {
    let call: String
    var done: [String] = []
    /// What was not tried.
    var left: [String] = []
    /// VMs that stay marked.
    var stuck: Set<VMName> = []
    private var failures: [(step: String, error: ControlError)] = []

    init(call: String) { self.call = call }

    var isWhole: Bool { failures.isEmpty && left.isEmpty }

    mutating func fail(_ step: String, _ error: ControlError) { failures.append((step, error)) }

    mutating func leave(_ step: String, _ name: VMName) {
      stuck.insert(name)
      left.append(step)
    }

    func refused(_ refusal: Refusal, _ look: EvacuationLook) -> ControlError {
      ControlError(
        .refused, call: call, cause: refusal.text + said, remedy: "do what that says", mayBeDone: false)
    }

    /// All of it in one error, of the kind of the first failure.
    var error: ControlError {
      let first = failures.first?.error
      var parts = failures.map { "not done: \($0.step) (\($0.error))" }
      if !left.isEmpty { parts.append("not tried: \(listed(left, most: 20))") }
      return ControlError(
        first?.kind ?? .timeout, call: call, cause: parts.joined(separator: "; ") + said,
        remedy: "mend that, and ask again: what is done already stays done",
        mayBeDone: failures.contains { $0.error.mayBeDone })
    }

    private var said: String {
      done.isEmpty ? "; nothing was changed" : "; done before: \(listed(done, most: 20))"
    }
  }
}

extension RefusalReason {
  /// Whether the migration that it is about is over, or ends soon whatever is done.
  fileprivate var endsWithoutUs: Bool {
    switch self {
    case .finished, .aborting, .postcopy, .switchover: true
    default: false
    }
  }
}
