/// What a metric of virt-handler tells of a guest.
enum HandlerField: Hashable, Sendable, CaseIterable {
  /// Bytes in all, memory and disks.
  case total
  /// Bytes sent, repeats included.
  case processed
  /// Bytes still to be sent.
  case remaining
  /// Bytes of memory dirtied in a second.
  case dirtyRate
  /// Bytes of memory sent in a second.
  case memoryRate
  /// Bytes of memory dirtied in a second, measured for the scrape itself, mostly of guests that do not migrate.
  case guestDirtyRate
}

/// The name of a metric, of whatever version of KubeVirt.
struct HandlerFamily: Hashable, Sendable {
  let field: HandlerField
  /// 0 for the newest name of the field: where two tell the same moment, the newer one counts.
  let age: Int

  /// The names of all versions.
  ///
  /// Version 1.0 also told a disk rate, under `kubevirt_migrate_vmi_disk_transfer_rate_bytes`; the later metric of
  /// nearly this name holds the memory's rate from 1.2 to 1.6, and 1.1 has both, which is why its age is 1.
  private static let families: [String: HandlerFamily] = [
    "kubevirt_vmi_migration_data_bytes_total": HandlerFamily(field: .total, age: 0),
    "kubevirt_vmi_migration_data_total_bytes": HandlerFamily(field: .total, age: 1),
    "kubevirt_vmi_migration_data_processed_bytes": HandlerFamily(field: .processed, age: 0),
    "kubevirt_migrate_vmi_data_processed_bytes": HandlerFamily(field: .processed, age: 1),
    "kubevirt_vmi_migration_data_remaining_bytes": HandlerFamily(field: .remaining, age: 0),
    "kubevirt_migrate_vmi_data_remaining_bytes": HandlerFamily(field: .remaining, age: 1),
    "kubevirt_vmi_migration_dirty_memory_rate_bytes": HandlerFamily(field: .dirtyRate, age: 0),
    "kubevirt_migrate_vmi_dirty_memory_rate_bytes": HandlerFamily(field: .dirtyRate, age: 1),
    "kubevirt_vmi_migration_memory_transfer_rate_bytes": HandlerFamily(field: .memoryRate, age: 0),
    "kubevirt_vmi_migration_disk_transfer_rate_bytes": HandlerFamily(field: .memoryRate, age: 1),
    "kubevirt_migrate_vmi_memory_transfer_rate_bytes": HandlerFamily(field: .memoryRate, age: 2),
    guestDirtyRateName: HandlerFamily(field: .guestDirtyRate, age: 0),
  ]

  private static let guestDirtyRateName = "kubevirt_vmi_dirty_rate_bytes_per_second"

  /// What the names of all families begin with.
  static let prefixes = [
    "kubevirt_vmi_migration_d", "kubevirt_vmi_migration_memory_", "kubevirt_migrate_vmi_", guestDirtyRateName,
  ]

  /// The family of a metric; nil for one that tells nothing here.
  init?(_ name: String) {
    guard let family = Self.families[name] else { return nil }
    self = family
  }

  private init(field: HandlerField, age: Int) {
    self.field = field
    self.age = age
  }
}
