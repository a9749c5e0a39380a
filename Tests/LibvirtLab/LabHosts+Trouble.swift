extension LabHosts {
  /// Lets a wire lose everything, as a dead switch does; both wires without one given.
  public func cut(_ wire: Wire? = nil) async throws { try await run(["cut"] + named(wire)) }

  /// Ends a cut; of both wires without one given.
  public func heal(_ wire: Wire? = nil) async throws { try await run(["heal"] + named(wire)) }

  /// Limits a wire to so many megabits per second; nil for no limit.
  public func shape(_ wire: Wire, megabitsPerSecond: Int?) async throws {
    try await run(["shape", wire.rawValue, megabitsPerSecond.map { "\($0)mbit" } ?? "off"])
  }

  /// Stops a guest's QEMU, which then answers nothing.
  public func hang(_ name: String, on host: Host = .a) async throws {
    try await run(["hang", name, host.rawValue])
  }

  /// Lets a hung QEMU go on.
  public func resume(_ name: String, on host: Host = .a) async throws {
    try await run(["resume", name, host.rawValue])
  }

  /// Kills a guest's QEMU.
  public func killQEMU(_ name: String, on host: Host = .a) async throws {
    try await run(["kill-qemu", name, host.rawValue])
  }

  /// Kills a host's libvirtd; its guests run on.
  public func killDaemon(_ host: Host) async throws { try await run(["kill-daemon", host.rawValue]) }

  /// Starts a host's libvirtd again, and returns when it answers.
  public func startDaemon(_ host: Host) async throws { try await run(["start-daemon", host.rawValue]) }

  /// Stops a host's libvirtd, which then answers nothing.
  public func hangDaemon(_ host: Host) async throws { try await run(["hang-daemon", host.rawValue]) }

  /// Lets a hung libvirtd go on.
  public func resumeDaemon(_ host: Host) async throws { try await run(["resume-daemon", host.rawValue]) }

  private func named(_ wire: Wire?) -> [String] { wire.map { [$0.rawValue] } ?? [] }
}
