public import DroverCore
internal import Glibc
internal import Posix

/// Which QEMUs are watched, and how.
public struct QEMUConfiguration: Sendable {
  /// The name of the back end.
  public var name: BackendName
  /// Paths of QMP Unix sockets; one with `*`, `?` or `[` is a glob, looked at again every second.
  public var sockets: [String]
  /// The name of this host; the label `host`.
  public var host: String
  /// Whether QEMU's migration capability `events` is switched on; it tells two equal failures in a row apart.
  public var events: Bool
  /// The time-outs that apply.
  public var budget: BudgetSettings
  /// How often a socket is asked while a migration runs.
  public var activeInterval: Duration
  /// How often an idle socket is asked.
  public var idleInterval: Duration
  /// How long an answer may take.
  public var requestDeadline: Duration
  /// The longest line that is read, in bytes.
  public var lineLimit: Int

  var retry = RetrySchedule()
  var owned = SocketOwner.places

  /// Configures a back end.
  public init(
    name: BackendName, sockets: [String], host: String, events: Bool = false,
    budget: BudgetSettings = BudgetSettings(), activeInterval: Duration = .milliseconds(500),
    idleInterval: Duration = .seconds(2), requestDeadline: Duration = .seconds(2), lineLimit: Int = 1 << 20
  ) {
    self.name = name
    self.sockets = sockets
    self.host = host
    self.events = events
    self.budget = budget
    self.activeInterval = activeInterval
    self.idleInterval = idleInterval
    self.requestDeadline = requestDeadline
    self.lineLimit = lineLimit
  }

  /// Refuses what can never work: no socket, a relative or overlong path, a socket that belongs to libvirt or Proxmox.
  public func validate() throws(QEMUConfigurationError) {
    guard !sockets.isEmpty else {
      throw QEMUConfigurationError(
        .noSockets, path: "", reason: "no socket is given",
        remedy: "name at least one QMP socket, or a glob such as /run/guests/*.qmp")
    }
    for path in sockets {
      if let error = Self.refusal(ofSocket: path, owned: owned) { throw error }
    }
  }

  /// Why this path or glob can never be watched; nil where nothing speaks against it.
  public static func refusal(ofSocket path: String) -> QEMUConfigurationError? {
    refusal(ofSocket: path, owned: SocketOwner.places)
  }

  static func refusal(ofSocket path: String, owned: [SocketOwner.Place]) -> QEMUConfigurationError? {
    guard path.hasPrefix("/") else {
      return QEMUConfigurationError(
        .relativePath, path: path, reason: "the path is not absolute", remedy: "write it from / on")
    }
    let pattern = SocketPattern(path)
    guard pattern.isGlob || path.utf8.count <= UnixAddress.longestPath else {
      return QEMUConfigurationError(
        .pathTooLong, path: path,
        reason: "a Unix socket's path has at most \(UnixAddress.longestPath) bytes",
        remedy: "let QEMU listen on a shorter path")
    }
    // The file itself may be a symbolic link to another manager's socket, not only its directory.
    let owner =
      SocketOwner.of(pattern.fixedDirectory, in: owned)
      ?? (pattern.isGlob ? nil : SocketOwner.ofSocket(path, in: owned))
    return owner.map { .owned(by: $0, path: path) }
  }
}

/// Why a configuration of sockets is refused.
public struct QEMUConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The kind of refusal.
  public struct Code: RawRepresentable, Hashable, Sendable {
    /// A closed short form, safe as a label.
    public let rawValue: String
    /// Wraps a short form.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// No socket is given.
    public static let noSockets = Code(rawValue: "no_sockets")
    /// The path does not begin with `/`.
    public static let relativePath = Code(rawValue: "relative_path")
    /// The path is longer than a Unix socket's may be.
    public static let pathTooLong = Code(rawValue: "path_too_long")
    /// The socket belongs to another manager.
    public static let socketOwned = Code(rawValue: "socket_owned")
  }

  /// The kind of refusal.
  public let code: Code
  /// The path or glob that is refused.
  public let path: String
  /// Why.
  public let reason: String
  /// What to do instead.
  public let remedy: String

  init(_ code: Code, path: String, reason: String, remedy: String) {
    self.code = code
    self.path = path
    self.reason = reason
    self.remedy = remedy
  }

  static func owned(by owner: String, path: String) -> QEMUConfigurationError {
    QEMUConfigurationError(
      .socketOwned, path: path,
      reason: "it belongs to \(owner), and a QMP socket serves one client at a time",
      remedy: owner == "libvirt"
        ? "watch these guests with the libvirt back end, or give QEMU a second monitor (-qmp unix:…)"
        : "give QEMU a second monitor (-qmp unix:…, in Proxmox the VM's `args`)")
  }

  /// The path, the reason and the remedy.
  public var description: String {
    (path.isEmpty ? "" : "\(path): ") + "\(reason); \(remedy)"
  }

  /// A closed short form, safe as a label.
  public var shortDescription: String { code.rawValue }
}
