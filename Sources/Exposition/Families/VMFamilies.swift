internal import DroverCore

extension FleetFamilies {
  /// VMs, whether or not they migrate.
  static let vms: [Family<Fleet>] = [
    each(
      "drover_vm_migratable", by: [.qemu(since: "6.0"), .libvirt, .kubevirt],
      "Whether nothing speaks against migrating the VM (KubeVirt: LiveMigratable, once surveyed all rules); absent if unknown."
    ) { vms, index, sink in
      sink.sample(vms[index].isMigratable)
    },
    each(
      "drover_vm_not_migratable", labels: ["reason"], by: [.qemu(since: "6.0"), .libvirt, .kubevirt],
      "Why the VM cannot be migrated, 1 for each reason; unknown: something that decides cannot be read."
    ) { vms, index, sink in
      for reason in vms[index].blockers ?? [] {
        sink.label("reason", reason.rawValue)
        sink.sample(.one)
      }
    },
    each(
      "drover_vm_migration_targets", by: [.libvirt, .kubevirt],
      "Nodes that can take the VM now, its own not counted (judged within ten minutes of a change; libvirt: of the peers)."
    ) { vms, index, sink in
      sink.sample(vms[index].targets)
    },
    each(
      "drover_vm_drain_outcome", labels: ["outcome"], by: [.kubevirt],
      "What a drain of its node does to the VM, 1 for what holds (KubeVirt evictionStrategy, LiveMigratable; Harvester)."
    ) { vms, index, sink in
      guard let outcome = vms[index].drainOutcome else { return }
      sink.label("outcome", outcome.rawValue)
      sink.sample(.one)
    },
    each(
      "drover_vm_consecutive_failed_migrations", by: .all, isMigratability: false,
      "Migrations of the VM that failed one after the other since the last that succeeded; absent at 0."
    ) { vms, index, sink in
      guard vms[index].consecutiveFailures > 0 else { return }
      sink.sample(vms[index].consecutiveFailures)
    },
    family(
      "drover_vm_dirty_bytes_per_second", unit: .bytesPerSecond, by: [.libvirt(since: "7.2")],
      "Memory that the guest dirties while it does not migrate, where that is measured (libvirt dirtyrate statistics)."
    ) { fleet, sink in
      // Measuring is switched on for each back end by itself, so that what VMs are shown besides does not matter.
      let rates = fleet.snapshot.dirtyRates
      guard fleet.context.vms != .none, !rates.isEmpty else { return }
      for vm in fleet.snapshot.vms {
        guard let rate = rates[vm.vm] else { continue }
        sink.labels(vm.vm)
        sink.sample(rate)
      }
    },
  ]

  /// A series for each VM, its labels included.
  ///
  /// - Parameters:
  ///   - isMigratability: Whether it tells what speaks against migrating the VM.
  ///   - emit: Reads what it shows of a VM in the snapshot.
  private static func each(
    _ name: String, labels: [String] = [], by fillers: [Filler], isMigratability: Bool = true, _ help: String,
    emit: @escaping @Sendable ([VMView], Int, inout SampleSink) -> Void
  ) -> Family<Fleet> {
    family(name, labels: labels, by: fillers, help) { fleet, sink in
      let labels = sink.labelSets(of: fleet)
      for (shown, labels) in zip(fleet.shown, labels) where shown.showsMigratability || !isMigratability {
        sink.share(labels)
        emit(fleet.snapshot.vms, shown.index, &sink)
      }
      sink.share(0..<0)
    }
  }

  private static func family(
    _ name: String, unit: FamilyUnit? = nil, labels: [String] = [], by fillers: [Filler], _ help: String,
    emit: @escaping @Sendable (Fleet, inout SampleSink) -> Void
  ) -> Family<Fleet> {
    Family(
      name, .gauge, unit: unit, part: .vms, labels: ["backend", "namespace", "host", "vm"] + labels,
      filledBy: fillers, help, emit: emit)
  }
}
