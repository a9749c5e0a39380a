internal import DroverCore

extension MigrationFamilies {
  /// What the copy has done and has still to do.
  static let copy: [Family<MigrationView>] = [
    .counter(
      "drover_migration_transferred_bytes_total", unit: .bytes, stays: true,
      "Bytes sent, repeats included (QEMU ram.transferred + disk.transferred)."
    ) { $0.sample.transferred },
    .counter(
      "drover_migration_memory_transferred_bytes_total", unit: .bytes, stays: true,
      "Bytes of guest memory sent, repeats included (QEMU ram.transferred)."
    ) { $0.sample.memory?.transferred },
    .counter(
      "drover_migration_disk_transferred_bytes_total", unit: .bytes, stays: true,
      "Bytes of disks sent, repeats included (QEMU disk.transferred)."
    ) { $0.sample.disk?.transferred },
    .gauge(
      "drover_migration_size_bytes", unit: .bytes,
      "Configured guest memory plus the capacity of each disk that is copied: what the completion budget counts."
    ) { $0.facts.size },
    .gauge(
      "drover_migration_remaining_bytes", unit: .bytes,
      "Bytes still to be sent (QEMU ram.remaining + disk.remaining)."
    ) { $0.sample.remaining },
    .gauge(
      "drover_migration_memory_remaining_bytes", unit: .bytes,
      "Bytes of guest memory still to be sent (QEMU ram.remaining)."
    ) { $0.sample.memory?.remaining },
    .gauge(
      "drover_migration_disk_remaining_bytes", unit: .bytes,
      "Bytes of disks still to be sent (QEMU disk.remaining)."
    ) { $0.sample.disk?.remaining },
    .gauge(
      "drover_migration_best_remaining_bytes", unit: .bytes, "The smallest remaining bytes seen so far."
    ) { $0.progress?.best },
    .gauge(
      "drover_migration_dirty_bytes_per_second", unit: .bytesPerSecond, by: [.qemu(since: "2.10")],
      "Rate at which the guest dirties memory, measured once a pass (QEMU ram.dirty-pages-rate * ram.page-size)."
    ) { $0.sample.dirtyRate },
    .gauge(
      "drover_migration_transfer_bytes_per_second", unit: .bytesPerSecond,
      "Throughput derived from the bytes sent; falls to 0 when nothing moves."
    ) { $0.transferRate },
    .gauge(
      "drover_migration_progress_ratio", unit: .ratio, "1 - remaining / size."
    ) { $0.progressRatio.map(Ratio.init) },
    .gauge(
      "drover_migration_cpu_throttle_ratio", unit: .ratio, by: [.qemu(since: "2.7")],
      "Part of the CPU time that auto-converge takes from the guest (QEMU cpu-throttle-percentage)."
    ) { $0.sample.cpuThrottle.map(Ratio.init) },
    .counter(
      "drover_migration_iterations_total", by: [.qemu(since: "2.1")],
      "Passes over the memory, 1 during the first (QEMU ram.dirty-sync-count)."
    ) { $0.sample.iterations },
    .counter(
      "drover_migration_postcopy_requests_total", by: [.qemu(since: "2.7")],
      "Page faults that the destination sent in post-copy (QEMU ram.postcopy-requests)."
    ) { $0.sample.postcopyRequests },
  ]

  /// How long the guest stands still, and the limits that QEMU was given.
  static let downtime: [Family<MigrationView>] = [
    .gauge(
      "drover_migration_expected_downtime_seconds", unit: .seconds,
      "Downtime that the source expects now (QEMU expected-downtime)."
    ) { $0.sample.expectedDowntime },
    .gauge(
      "drover_migration_downtime_seconds", unit: .seconds, stays: true,
      "Downtime that was measured when the migration ended (QEMU downtime)."
    ) { $0.sample.downtime },
    .gauge(
      "drover_migration_downtime_limit_seconds", unit: .seconds, by: [.qemu(since: "2.8")], stays: true,
      "Configured longest downtime (QEMU downtime-limit)."
    ) { $0.sample.downtimeLimit },
    .gauge(
      "drover_migration_bandwidth_limit_bytes_per_second", unit: .bytesPerSecond, by: [.qemu(since: "2.8")],
      "Configured bandwidth cap; absent where there is none (QEMU max-bandwidth)."
    ) { $0.sample.bandwidthLimit },
  ]
}
