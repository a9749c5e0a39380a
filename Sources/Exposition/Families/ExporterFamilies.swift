internal import DroverCore

extension FleetFamilies {
  /// The exporter itself.
  static let exporter: [Family<Fleet>] = [
    Family(
      "drover_build_info", .info, part: .exporter, labels: ["version", "revision"], filledBy: [.drover],
      "Which Drover this is."
    ) { fleet, sink in
      sink.label("version", fleet.context.build.version)
      sink.label("revision", fleet.context.build.revision)
      sink.sample(.one)
    },
    .one(
      "drover_tracked_migrations", .gauge,
      "Migrations that have series of their own, running and lately ended."
    ) { UInt64(clamping: $0.snapshot.trackedCount) },
    .one(
      "drover_dropped_migrations_total", .counter,
      "Migrations that got no series because there were too many (metrics.maxMigrations)."
    ) { $0.snapshot.droppedCount },
    .one(
      "drover_config_last_reload_successful", .gauge,
      "Whether the last reading of the configuration succeeded."
    ) { $0.context.configuration.isValid },
    .one(
      "drover_config_last_reload_success_timestamp_seconds", .gauge, unit: .seconds,
      "When the configuration in force was read."
    ) { $0.context.configuration.loadedAt },
  ]

  /// The process, under the names that every exporter uses.
  static let process: [Family<Fleet>] = [
    .one(
      "process_cpu_seconds_total", .counter, unit: .seconds, "User and system CPU time spent."
    ) { $0.context.process?.cpuSeconds },
    .one("process_open_fds", .gauge, "Open file descriptors.") { $0.context.process?.openDescriptors },
    .one(
      "process_max_fds", .gauge, "Most file descriptors that may be open."
    ) { $0.context.process?.maximumDescriptors },
    .one(
      "process_virtual_memory_bytes", .gauge, unit: .bytes, "Virtual memory."
    ) { $0.context.process?.virtualMemory },
    .one(
      "process_virtual_memory_max_bytes", .gauge, unit: .bytes, "Most virtual memory that there may be."
    ) { $0.context.process?.maximumVirtualMemory },
    .one(
      "process_resident_memory_bytes", .gauge, unit: .bytes, "Resident memory."
    ) { $0.context.process?.residentMemory },
    .one(
      "process_start_time_seconds", .gauge, unit: .seconds, "Start of the process in Unix seconds."
    ) { $0.context.process?.startUnixSeconds },
    .one(
      "process_network_receive_bytes_total", .counter, unit: .bytes,
      "Bytes received by the network namespace of the process."
    ) { $0.context.process?.networkReceived },
    .one(
      "process_network_transmit_bytes_total", .counter, unit: .bytes,
      "Bytes sent by the network namespace of the process."
    ) { $0.context.process?.networkSent },
  ]
}
