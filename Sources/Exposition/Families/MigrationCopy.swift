internal import DroverCore

extension MigrationFamilies {
  /// What the copy has done and has still to do.
  static let copy: [Family<MigrationView>] = [
    .counter(
      "drover_migration_transferred_bytes_total", unit: .bytes, stays: true,
      "Bytes sent, repeats included (QEMU ram + disk.transferred; libvirt data_processed; KubeVirt data_processed_bytes)."
    ) { $0.sample.transferred },
    .counter(
      "drover_migration_memory_transferred_bytes_total", unit: .bytes, by: .hosts, stays: true,
      "Bytes of guest memory sent, repeats included (QEMU ram.transferred; libvirt memory_processed)."
    ) { $0.sample.memory?.transferred },
    .counter(
      "drover_migration_disk_transferred_bytes_total", unit: .bytes, by: .hosts, stays: true,
      "Bytes of disks sent, repeats included (QEMU disk.transferred; libvirt disk_processed)."
    ) { $0.sample.disk?.transferred },
    .gauge(
      "drover_migration_size_bytes", unit: .bytes,
      "Configured guest memory plus the capacity of each disk that is copied: what the completion budget counts."
    ) { $0.facts.size },
    .gauge(
      "drover_migration_remaining_bytes", unit: .bytes,
      "Bytes still to be sent (QEMU ram + disk.remaining; libvirt data_remaining; KubeVirt data_remaining_bytes)."
    ) { $0.sample.remaining },
    .gauge(
      "drover_migration_memory_remaining_bytes", unit: .bytes, by: .hosts,
      "Bytes of guest memory still to be sent (QEMU ram.remaining; libvirt memory_remaining)."
    ) { $0.sample.memory?.remaining },
    .gauge(
      "drover_migration_disk_remaining_bytes", unit: .bytes, by: .hosts,
      "Bytes of disks still to be sent (QEMU disk.remaining; libvirt disk_remaining)."
    ) { $0.sample.disk?.remaining },
    .gauge(
      "drover_migration_best_remaining_bytes", unit: .bytes, "The smallest remaining bytes seen so far."
    ) { $0.progress?.best },
    .gauge(
      "drover_migration_dirty_bytes_per_second", unit: .bytesPerSecond,
      by: [.qemu(since: "2.10"), .libvirt(since: "3.9"), .kubevirt],
      "Memory dirtied, measured once a pass (QEMU dirty-pages-rate; libvirt, KubeVirt dirty_memory_rate; * page size)."
    ) { $0.sample.dirtyRate },
    .gauge(
      "drover_migration_transfer_bytes_per_second", unit: .bytesPerSecond,
      "Throughput derived from the bytes sent; falls to 0 when nothing moves."
    ) { $0.transferRate },
    .gauge(
      "drover_migration_progress_ratio", unit: .ratio, "1 - remaining / size."
    ) { $0.progressRatio.map(Ratio.init) },
    .gauge(
      "drover_migration_cpu_throttle_ratio", unit: .ratio, by: [.qemu(since: "2.7"), .libvirt],
      "Part of the guest's CPU time that auto-converge takes (QEMU cpu-throttle-percentage; libvirt auto_converge_throttle)."
    ) { $0.sample.cpuThrottle.map(Ratio.init) },
    .counter(
      "drover_migration_iterations_total", by: [.qemu(since: "2.1"), .libvirt],
      "Passes over the memory, 1 during the first (QEMU ram.dirty-sync-count; libvirt memory_iteration)."
    ) { $0.sample.iterations },
    .counter(
      "drover_migration_postcopy_requests_total", by: [.qemu(since: "2.7"), .libvirt(since: "5.0")],
      "Page faults that the destination sent in post-copy (QEMU ram.postcopy-requests; libvirt memory_postcopy_requests)."
    ) { $0.sample.postcopyRequests },
  ]

  /// How long the guest stands still, and the limits that were set.
  static let downtime: [Family<MigrationView>] = [
    .gauge(
      "drover_migration_expected_downtime_seconds", unit: .seconds, by: .hosts,
      "Downtime that the source expects now (QEMU expected-downtime; libvirt downtime of the running job)."
    ) { $0.sample.expectedDowntime },
    .gauge(
      "drover_migration_downtime_seconds", unit: .seconds, by: .hosts, stays: true,
      "Downtime that was measured when the migration ended (QEMU downtime; libvirt downtime of the completed job)."
    ) { $0.sample.downtime },
    .gauge(
      "drover_migration_downtime_limit_seconds", unit: .seconds,
      by: [.qemu(since: "2.8"), .libvirt(since: "3.7")], stays: true,
      "Configured longest downtime (QEMU downtime-limit; libvirt virDomainMigrateGetMaxDowntime)."
    ) { $0.sample.downtimeLimit },
    .gauge(
      "drover_migration_bandwidth_limit_bytes_per_second", unit: .bytesPerSecond,
      by: [.qemu(since: "2.8"), .libvirt],
      "Bandwidth cap; absent where there is none (QEMU max-bandwidth; libvirt only over a connection that may write)."
    ) { $0.sample.bandwidthLimit },
  ]
}
