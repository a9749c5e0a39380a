internal import Glibc

/// Something the rig could not do: a QEMU that does not start, a socket that stays away, a wait that ran out.
public struct RigError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of trouble it was; open, as new kinds may come.
  public struct Code: RawRepresentable, Hashable, Sendable {
    /// The kind as a short word, usable as a metric label.
    public let rawValue: String

    /// A kind from its short word.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The QEMU executable is not installed.
    public static let qemuMissing = Code(rawValue: "qemu_missing")
    /// The program that ties QEMU's life to ours is not installed.
    public static let launcherMissing = Code(rawValue: "launcher_missing")
    /// A system call failed.
    public static let system = Code(rawValue: "system")
    /// QEMU ended although it was needed.
    public static let exited = Code(rawValue: "exited")
    /// A wait ran out.
    public static let timeout = Code(rawValue: "timeout")
    /// The other side closed the connection.
    public static let disconnected = Code(rawValue: "disconnected")
    /// The other side sent something that is not the protocol.
    public static let protocolViolation = Code(rawValue: "protocol_violation")
    /// The request does not fit the state of the guest or its configuration.
    public static let unsuitable = Code(rawValue: "unsuitable")
  }

  /// The kind of trouble.
  public let code: Code
  /// What was being done.
  public let call: String
  /// Why it failed.
  public let cause: String
  /// What a person can do about it, where there is something.
  public let remedy: String?

  /// The kind as a short word, usable as a metric label.
  public var shortDescription: String { code.rawValue }

  /// The whole story in one line.
  public var description: String {
    "\(call): \(cause)" + (remedy.map { "; \($0)" } ?? "")
  }

  init(_ code: Code, _ call: String, _ cause: String, remedy: String? = nil) {
    self.code = code
    self.call = call
    self.cause = cause
    self.remedy = remedy
  }

  static func system(_ call: String, _ number: Int32 = errno, remedy: String? = nil) -> RigError {
    RigError(.system, call, String(cString: strerror(number)), remedy: remedy)
  }
}

/// QEMU's refusal of a QMP command.
public struct QMPError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The command that was refused.
  public let command: String
  /// QEMU's class of the error, such as `GenericError` or `CommandNotFound`.
  public let errorClass: String
  /// QEMU's own words.
  public let desc: String

  /// A short word, usable as a metric label.
  public var shortDescription: String { "qmp_refused" }

  /// The whole story in one line.
  public var description: String { "QMP \(command): \(desc) (\(errorClass))" }
}
