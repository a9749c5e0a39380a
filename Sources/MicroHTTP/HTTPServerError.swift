/// Why a server could not listen or start.
public struct HTTPServerError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What went wrong, as a short word that is safe as a metric label.
  public struct Code: RawRepresentable, Hashable, Sendable {
    /// The word itself.
    public let rawValue: String

    /// Takes a word as it is.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The text is no listen address.
    public static let badAddress = Code(rawValue: "bad_address")
    /// The path of a Unix socket does not fit into the kernel's address.
    public static let pathTooLong = Code(rawValue: "path_too_long")
    /// Another socket listens there.
    public static let addressInUse = Code(rawValue: "address_in_use")
    /// The address belongs to no interface of this host, or its name cannot be resolved.
    public static let addressUnavailable = Code(rawValue: "address_unavailable")
    /// The process may not listen there.
    public static let permissionDenied = Code(rawValue: "permission_denied")
    /// Something that is not a socket is at the path.
    public static let notASocket = Code(rawValue: "not_a_socket")
    /// A system call failed for another reason.
    public static let systemCall = Code(rawValue: "system_call")
    /// `run()` was called on a server that has run before.
    public static let alreadyRun = Code(rawValue: "already_run")
    /// libmicrohttpd or a thread did not start.
    public static let startFailed = Code(rawValue: "start_failed")
  }

  /// What went wrong.
  public let code: Code
  /// The listen address as it was given; empty when none is concerned.
  public let address: String
  /// The call that failed; empty when none did.
  public let call: String
  /// The cause, in words.
  public let cause: String
  /// What to do about it.
  public let remedy: String

  init(_ code: Code, address: String = "", call: String = "", cause: String, remedy: String) {
    self.code = code
    self.address = address
    self.call = call
    self.cause = cause
    self.remedy = remedy
  }

  /// A short closed form, safe as a metric label.
  public var shortDescription: String { code.rawValue }

  /// One line for a person: what, where, why and how to mend it.
  public var description: String {
    let subject =
      switch code {
      case .badAddress: "bad listen address \"\(address)\""
      case .alreadyRun, .startFailed: "cannot serve HTTP"
      default: "cannot listen on \(address)"
      }
    return "\(subject): \(call.isEmpty ? "" : "\(call): ")\(cause); \(remedy)"
  }
}
