/// How a migration is to be done.
public struct MigrationOptions: Hashable, Sendable {
  /// QEMU's capabilities to switch on at both ends, such as `postcopy-ram` or `events`.
  public var capabilities: Set<String> = []
  /// The most bytes per second to send; nil leaves QEMU's 128 MiB/s.
  public var bandwidth: Int?
  /// How long the guest may stand still at the end; nil leaves QEMU's 300 ms.
  public var downtimeLimit: Duration?
  /// Any other migration parameters of QEMU for the source.
  public var parameters: [String: JSONValue] = [:]

  /// Options; all have defaults.
  public init(
    capabilities: Set<String> = [], bandwidth: Int? = nil, downtimeLimit: Duration? = nil,
    parameters: [String: JSONValue] = [:]
  ) {
    self.capabilities = capabilities
    self.bandwidth = bandwidth
    self.downtimeLimit = downtimeLimit
    self.parameters = parameters
  }

  var allParameters: [String: JSONValue] {
    var all = parameters
    if let bandwidth { all["max-bandwidth"] = .int(Int64(bandwidth)) }
    if let downtimeLimit {
      let (seconds, attoseconds) = downtimeLimit.components
      all["downtime-limit"] = .int(seconds * 1000 + attoseconds / 1_000_000_000_000_000)
    }
    return all
  }
}

/// Two QEMUs on this machine, and a guest that migrates from one to the other.
public actor GuestPair {
  /// The guest.
  public nonisolated let spec: GuestSpec
  /// The QEMU that the guest is in, or has just left.
  public private(set) var source: QEMUProcess
  /// The QEMU that waits for the guest, or has just got it.
  public private(set) var destination: QEMUProcess
  /// The wire of the migration under way; nil before the first one, and for a pair without a relay.
  public private(set) var relay: StreamRelay?

  private let directory: RigDirectory
  private let ownsDirectory: Bool
  private let isRelayed: Bool
  private let environment: RigEnvironment
  private var sourceIsA = true
  private var streams = 0
  private var enabledAtSource: Set<String> = []
  private var enabledAtDestination: Set<String> = []

  private init(
    spec: GuestSpec, directory: RigDirectory, ownsDirectory: Bool, isRelayed: Bool,
    environment: RigEnvironment,
    source: QEMUProcess, destination: QEMUProcess
  ) {
    self.spec = spec
    self.directory = directory
    self.ownsDirectory = ownsDirectory
    self.isRelayed = isRelayed
    self.environment = environment
    self.source = source
    self.destination = destination
  }

  // A relay's thread keeps the relay; the QEMUs are killed when nobody holds them.
  deinit { relay?.close() }

  /// Starts both QEMUs in a private temporary directory.
  ///
  /// - Parameters:
  ///   - spec: The guest; its sockets are `<name>-a.qmp` and `<name>-b.qmp`, turn by turn.
  ///   - isRelayed: Whether the migration stream goes through a ``StreamRelay``.
  ///   - environment: Which QEMU, on which leash.
  /// - Throws: ``RigError`` or ``QMPError``.
  public static func start(
    _ spec: GuestSpec, isRelayed: Bool = false, environment: RigEnvironment = RigEnvironment()
  ) async throws -> GuestPair {
    try await start(spec, in: nil, isRelayed: isRelayed, environment: environment)
  }

  static func start(
    _ spec: GuestSpec, in shared: RigDirectory?, isRelayed: Bool, environment: RigEnvironment
  ) async throws -> GuestPair {
    let directory = try shared ?? RigDirectory()
    @Sendable func attempt(isSource: Bool) async -> Result<QEMUProcess, any Error> {
      do {
        return .success(
          try await QEMUProcess.start(
            spec, label: label(spec, isA: isSource), in: directory.path, incoming: !isSource,
            environment: environment))
      } catch {
        return .failure(error)
      }
    }
    async let first = attempt(isSource: true)
    async let second = attempt(isSource: false)
    switch (await first, await second) {
    case (.success(let source), .success(let destination)):
      return GuestPair(
        spec: spec, directory: directory, ownsDirectory: shared == nil, isRelayed: isRelayed,
        environment: environment, source: source,
        destination: destination)
    case (.success(let half), .failure(let error)), (.failure(let error), .success(let half)):
      await half.end()
      throw error
    case (.failure(let error), .failure):
      throw error
    }
  }

  /// Starts a pair, lends it to `body`, and closes it whatever happened.
  public static func with<R: Sendable>(
    _ spec: GuestSpec, isRelayed: Bool = false, environment: RigEnvironment = RigEnvironment(),
    _ body: (GuestPair) async throws -> R
  ) async throws -> R {
    let pair = try await start(spec, isRelayed: isRelayed, environment: environment)
    let result: Result<R, any Error>
    do { result = .success(try await body(pair)) } catch { result = .failure(error) }
    await pair.close()
    return try result.get()
  }

  /// Ends both QEMUs and removes their files.
  public func close() async {
    relay?.close()
    await source.end()
    await destination.end()
    if ownsDirectory { directory.remove() }
  }

  // MARK: Migrating

  /// Begins a migration; ``waitForStatus(_:within:)`` follows it.
  ///
  /// - Throws: ``QMPError`` when QEMU refuses, ``RigError`` when one of them does not answer.
  public func migrate(_ options: MigrationOptions = MigrationOptions()) async throws {
    try await setCapabilities(options.capabilities)
    try await tune(options.allParameters)
    let (listen, connect) = try newStream()
    try await destination.conductor.execute("migrate-incoming", ["uri": .string("unix:\(listen)")])
    try await source.conductor.execute("migrate", ["uri": .string("unix:\(connect)")])
  }

  /// Sets migration parameters of the source, also while it migrates.
  public func tune(_ parameters: [String: JSONValue]) async throws {
    guard !parameters.isEmpty else { return }
    try await source.conductor.execute("migrate-set-parameters", .object(parameters))
  }

  /// Asks the source to give up; the destination ends then.
  public func cancel() async throws { try await source.conductor.execute("migrate_cancel") }

  /// Lets the guest run at the destination before all of its memory is there; needs `postcopy-ram`.
  public func startPostcopy() async throws { try await source.conductor.execute("migrate-start-postcopy") }

  /// Breaks the stream of a post-copy migration; the guest is in neither place until it is recovered.
  public func pausePostcopy() async throws {
    // A destination whose stream breaks before the guest runs there does not pause, it ends.
    try await withDeadline(QMPConductor.patience, "waiting for the guest to run at the destination") {
      [destination] in
      while try await destination.conductor.execute("query-status")["status"] != "running" {
        try await Task.sleep(for: .milliseconds(20))
      }
    }
    try await source.conductor.execute("migrate-pause")
  }

  /// Goes on with a paused post-copy migration, over a new stream.
  public func recoverPostcopy() async throws {
    let (listen, connect) = try newStream()
    try await destination.conductor.execute("migrate-recover", ["uri": .string("unix:\(listen)")])
    try await source.conductor.execute("migrate", ["uri": .string("unix:\(connect)"), "resume": true])
  }

  /// What the source says about the migration.
  public func queryMigrate() async throws -> JSONValue {
    try await source.conductor.execute("query-migrate")
  }

  /// The run state of the guest at the source, such as `running` or `postmigrate`.
  public func queryStatus() async throws -> String {
    try await source.conductor.execute("query-status")["status"]?.string ?? ""
  }

  /// Waits until the source's migration has one of these states.
  ///
  /// - Returns: The answer to `query-migrate` that had it.
  /// - Throws: ``RigError`` when the time runs out, or the migration ends in another state.
  @discardableResult
  public func waitForStatus(_ wanted: String..., within limit: Duration = .seconds(60)) async throws
    -> JSONValue
  {
    try await waitForMigration("waiting for \(wanted.joined(separator: " or "))", within: limit) {
      wanted.contains($0["status"]?.string ?? "")
    }
  }

  /// Waits until `query-migrate` at the source answers something that fits.
  ///
  /// - Throws: ``RigError`` when the time runs out, or the migration ends without it.
  @discardableResult
  public func waitForMigration(
    _ what: String, within limit: Duration = .seconds(60),
    until fits: @escaping @Sendable (JSONValue) -> Bool
  ) async throws -> JSONValue {
    try await withDeadline(limit, what) { [source] in
      while true {
        let answer = try await source.conductor.execute("query-migrate")
        if fits(answer) { return answer }
        if let status = answer["status"]?.string, ["completed", "failed", "cancelled"].contains(status) {
          let why = answer["error-desc"]?.string.map { ": \($0)" } ?? ""
          throw RigError(.unsuitable, what, "the migration is \(status)\(why)")
        }
        try await Task.sleep(for: .milliseconds(50))
      }
    }
  }

  // MARK: Changing the pair

  /// Makes the destination the source and starts a new destination; for after a migration that completed.
  ///
  /// - Throws: ``RigError`` when the guest has not moved.
  public func swapAfterSuccess() async throws {
    let status = try await queryMigrate()["status"]?.string
    guard status == "completed" else {
      throw RigError(.unsuitable, "swapping the pair", "the migration is \(status ?? "not begun")")
    }
    await source.end()
    source = destination
    enabledAtSource = enabledAtDestination
    sourceIsA.toggle()
    try await renewDestination()
  }

  /// Starts a new destination in place of one that has ended, as after a cancelled or failed migration.
  public func renewDestination() async throws {
    if destination !== source { await destination.end() }
    relay?.close()
    relay = nil
    enabledAtDestination = []
    destination = try await QEMUProcess.start(
      spec, label: Self.label(spec, isA: !sourceIsA), in: directory.path, incoming: true,
      environment: environment)
  }

  /// Kills the destination and waits until it is gone.
  public func killDestination() async {
    destination.kill()
    _ = await destination.waitForExit()
  }

  /// Kills the source and waits until it is gone.
  public func killSource() async {
    source.kill()
    _ = await source.waitForExit()
  }

  // MARK: Parts

  private static func label(_ spec: GuestSpec, isA: Bool) -> String {
    let stem = String((spec.name ?? "guest").map { $0 == "/" ? "_" : $0 })
    return "\(stem)-\(isA ? "a" : "b")"
  }

  /// Touches only what this rig switched on before: the monitor may set capabilities of its own.
  private func setCapabilities(_ wanted: Set<String>) async throws {
    for (process, enabled) in [(source, enabledAtSource), (destination, enabledAtDestination)] {
      let list = wanted.symmetricDifference(enabled).map { name -> JSONValue in
        ["capability": .string(name), "state": .bool(wanted.contains(name))]
      }
      guard !list.isEmpty else { continue }
      try await process.conductor.execute("migrate-set-capabilities", ["capabilities": .array(list)])
    }
    enabledAtSource = wanted
    enabledAtDestination = wanted
  }

  /// Where the destination is to listen, and where the source is to connect.
  private func newStream() throws(RigError) -> (listen: String, connect: String) {
    relay?.close()
    streams += 1
    let stem = "\(directory.path)/\(Self.label(spec, isA: sourceIsA))"
    let listen = "\(stem).mig\(streams)"
    guard isRelayed else { return (listen, listen) }
    let connect = "\(stem).relay\(streams)"
    relay = try StreamRelay(listeningAt: connect, forwardingTo: listen)
    return (listen, connect)
  }
}
