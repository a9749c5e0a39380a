import DroverCore
import FoundationEssentials
import QEMUBackend
import QEMURig

extension GuestSpec {
  /// A guest that dirties `rate` MiB/s over `workingSet` MiB.
  static func dirtying(
    _ rate: Double, workingSet: UInt32 = 16, memory: Int = 64, name: String? = "g",
    uuid: String? = UUID().uuidString
  ) -> GuestSpec {
    GuestSpec(
      name: name, uuid: uuid, memoryMebibytes: memory,
      software: DirtierGuest(
        rate: DirtyRate(atLeastMebibytesPerSecond: rate), workingSet: WorkingSet(atLeastMebibytes: workingSet)
      ))
  }
}

extension MigrationOptions {
  /// Slow enough to be met under way, for a guest that has dirtied its 16 MiB.
  static let slow = MigrationOptions(bandwidth: 2 << 20, downtimeLimit: .milliseconds(50))
}

extension QEMUConfiguration {
  /// Watches these sockets often, so that little is missed of a short migration.
  static func watching(sockets: [String]) -> QEMUConfiguration {
    QEMUConfiguration(
      name: BackendName(rawValue: "rack1"), sockets: sockets, host: "here",
      activeInterval: .milliseconds(200), idleInterval: .milliseconds(200))
  }

  /// Watches both ends of these pairs.
  static func watching(_ pairs: GuestPair...) async -> QEMUConfiguration {
    var sockets: [String] = []
    for pair in pairs { sockets.append(await pair.socketDirectory + "/*.qmp") }
    return watching(sockets: sockets)
  }
}

extension GuestPair {
  /// Where the pair has its sockets.
  var socketDirectory: String { URL(filePath: source.monitorSocket).deletingLastPathComponent().path }

  /// Waits until the guest has dirtied its working set once, so that there is something to send.
  func warmUp() async throws {
    try await source.console.heartbeat()
    try await source.console.heartbeat()
  }

  /// Lets a migration end as fast as it can.
  func hurry() async throws {
    try await tune(["max-bandwidth": .int(8 << 30), "downtime-limit": 10_000])
  }
}

/// What QEMU itself says of a migration at its end.
struct QEMUStatement: Sendable {
  let status: String?
  let transferred: UInt64?
  let totalTime: Duration?
  let downtime: Duration?
  let error: String?

  init(_ answer: JSONValue) {
    status = answer["status"]?.string
    transferred = answer["ram"]?["transferred"]?.int.map { UInt64($0) }
    totalTime = answer["total-time"]?.int.map { .milliseconds($0) }
    downtime = answer["downtime"]?.int.map { .milliseconds($0) }
    error = answer["error-desc"]?.string
  }
}
