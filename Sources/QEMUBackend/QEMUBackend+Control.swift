public import DroverCore
internal import Synchronization

extension QEMUBackend: ControllableBackend {
  /// Asks the QEMU itself, over the connection that it is watched by: it serves one client at a time.
  public func live(_ migration: MigrationTarget) async throws(ControlError) -> LiveMigration {
    try await order(.look, migration)
  }

  /// Sends `migrate_cancel` right after a look that showed exactly this migration.
  public func abort(_ migration: MigrationTarget) async throws(ControlError) {
    _ = try await order(.cancel, migration)
  }

  /// A bare QEMU is told nowhere where to its guest could go.
  public func plan(_ order: StartOrder) async throws(ControlError) -> StartPlan {
    StartPlan(
      refusals: [
        Refusal(
          .unsupported,
          "Drover does not know where a QEMU without libvirt could go: whoever starts its destination starts it"
        )
      ])
  }

  /// A QEMU knows what it is made of, and nothing of where it could go.
  public func eligibility(of vm: VMRef) async throws(ControlError) -> Eligibility {
    throw ControlError(
      .unsupported, call: "eligibility of \(vm.scope.name)/\(vm.name)",
      cause: "a QEMU without libvirt does not know where it could go",
      remedy:
        "drover why \(vm.scope.name)/\(vm.name) says whether QEMU itself holds something against a migration (its "
        + "blocked-reasons); compare machine type, CPU and storage of the destination by hand")
  }

  /// Never called: ``plan(_:)`` refuses.
  public func start(_ order: StartOrder) async throws(ControlError) -> StartReceipt {
    throw ControlError(
      .unsupported, call: "migrating \(order.vm.name)",
      cause: "a QEMU without libvirt has no peer that is known",
      remedy: "start it over its monitor")
  }

  private func order(_ kind: QMPOrder.Kind, _ target: MigrationTarget) async throws(ControlError)
    -> LiveMigration
  {
    let result = await withCheckedContinuation { continuation in
      let order = QMPOrder(kind: kind, target: target, takenAt: clock.now()) {
        continuation.resume(returning: $0)
      }
      if let mail = mail.withLock(\.self) { mail.send(order) } else { LoopMail.refuse(order) }
    }
    return try result.get()
  }
}
