/// The guest's serial line: commands in, a heartbeat back.
public final class GuestConsole: Sendable {
  private let connection: SocketReader
  private let beats: Inbox<UInt8>

  private init(reading connection: SocketReader) throws(RigError) {
    let beats = Inbox<UInt8>(keeping: 64)
    self.connection = connection
    self.beats = beats
    try connection.start { bytes in
      guard let bytes else {
        return beats.finish(RigError(.disconnected, "serial line", "QEMU closed the connection"))
      }
      for byte in bytes { beats.deliver(byte) }
    }
  }

  deinit { connection.shut() }

  static func connect(to path: String, within limit: Duration) async throws -> GuestConsole {
    try await withDeadline(limit, "connecting to \(path)") {
      try GuestConsole(reading: try await openWhenThere(path, unless: {}))
    }
  }

  /// Changes the dirty rate and returns when the guest has confirmed it, within about a second.
  ///
  /// - Throws: ``RigError`` when the guest does not run.
  public func set(_ rate: DirtyRate, within limit: Duration = QMPConductor.patience) async throws {
    try await command(rate.command, limit)
  }

  /// Changes the working set and returns when the guest has confirmed it, within about a second.
  ///
  /// - Throws: ``RigError`` when the guest does not run.
  public func set(_ workingSet: WorkingSet, within limit: Duration = QMPConductor.patience) async throws {
    try await command(workingSet.command, limit)
  }

  /// Waits for the next heartbeat: proof that the guest runs, here and now.
  ///
  /// - Returns: The byte of the last command, see `Guest/dirtier.asm`.
  /// - Throws: ``RigError`` when none comes in time.
  @discardableResult
  public func heartbeat(within limit: Duration = QMPConductor.patience) async throws -> UInt8 {
    try await beat(after: beats.received, limit) { _ in true }
  }

  private func command(_ byte: UInt8, _ limit: Duration) async throws {
    let before = beats.received
    try connection.send([byte], "serial line")
    _ = try await beat(after: before, limit) { $0 == byte }
  }

  private func beat(
    after mark: Int, _ limit: Duration, where fits: @escaping @Sendable (UInt8) -> Bool
  ) async throws -> UInt8 {
    try await withDeadline(limit, "waiting for the guest's heartbeat") { [beats] in
      try await beats.first(after: mark, where: fits)
    }
  }
}
