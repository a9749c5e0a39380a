internal import DroverCore

extension FleetFamilies {
  /// VMs, whether or not they migrate.
  static let vms: [Family<Fleet>] = [
    each(
      "drover_vm_migratable", by: .qemu(since: "6.0"),
      "Whether nothing speaks against migrating the VM; absent where that is not told (QEMU blocked-reasons)."
    ) { fleet, vm, sink in
      guard let blockers = vm.blockers, fleet.showsMigratability(of: vm) else { return }
      sink.labels(vm.vm)
      sink.sample(blockers.isEmpty)
    },
    each(
      "drover_vm_not_migratable", labels: ["reason"], by: .qemu(since: "6.0"),
      "Why the VM cannot be migrated, 1 for each reason (QEMU blocked-reasons)."
    ) { fleet, vm, sink in
      guard fleet.showsMigratability(of: vm) else { return }
      for reason in vm.blockers ?? [] {
        sink.labels(vm.vm)
        sink.label("reason", reason.rawValue)
        sink.sample(.one)
      }
    },
    each(
      "drover_vm_consecutive_failed_migrations", by: .qemu,
      "Migrations of the VM that failed one after the other since the last that succeeded; absent at 0."
    ) { _, vm, sink in
      guard vm.consecutiveFailures > 0 else { return }
      sink.labels(vm.vm)
      sink.sample(vm.consecutiveFailures)
    },
  ]

  private static func each(
    _ name: String, labels: [String] = [], by filler: Filler, _ help: String,
    emit: @escaping @Sendable (Fleet, VMView, inout SampleSink) -> Void
  ) -> Family<Fleet> {
    Family(
      name, .gauge, part: .vms, labels: ["backend", "namespace", "host", "vm"] + labels, filledBy: [filler],
      help
    ) { fleet, sink in
      for vm in fleet.vms { emit(fleet, vm, &sink) }
    }
  }
}
