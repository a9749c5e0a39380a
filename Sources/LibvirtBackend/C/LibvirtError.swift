internal import CLibvirt

/// A failed libvirt call.
public struct LibvirtError: Error, Hashable, Sendable, CustomStringConvertible {
  /// libvirt's `virErrorNumber`.
  public struct Code: RawRepresentable, Hashable, Sendable {
    /// The number.
    public let rawValue: Int32

    /// Wraps a number.
    public init(rawValue: Int32) { self.rawValue = rawValue }

    init(_ number: virErrorNumber) { rawValue = Int32(bitPattern: number.rawValue) }

    static let internalError = Code(VIR_ERR_INTERNAL_ERROR)
    static let noSupport = Code(VIR_ERR_NO_SUPPORT)
    static let noConnect = Code(VIR_ERR_NO_CONNECT)
    static let invalidArgument = Code(VIR_ERR_INVALID_ARG)
    static let configUnsupported = Code(VIR_ERR_CONFIG_UNSUPPORTED)
    static let operationDenied = Code(VIR_ERR_OPERATION_DENIED)
    static let systemError = Code(VIR_ERR_SYSTEM_ERROR)
    static let rpc = Code(VIR_ERR_RPC)
    static let noDomain = Code(VIR_ERR_NO_DOMAIN)
    static let authFailed = Code(VIR_ERR_AUTH_FAILED)
    static let authCancelled = Code(VIR_ERR_AUTH_CANCELLED)
    static let authUnavailable = Code(VIR_ERR_AUTH_UNAVAILABLE)
    static let accessDenied = Code(VIR_ERR_ACCESS_DENIED)
    static let operationInvalid = Code(VIR_ERR_OPERATION_INVALID)
    static let operationTimeout = Code(VIR_ERR_OPERATION_TIMEOUT)
    static let operationUnsupported = Code(VIR_ERR_OPERATION_UNSUPPORTED)
  }

  /// What went wrong.
  public let code: Code
  /// Which of libvirt's subsystems says so (`virErrorDomain`); 7 is the connection itself.
  public let domain: Int32
  /// The call that failed.
  public let call: String
  /// libvirt's own words.
  public let message: String

  init(code: Code, domain: Int32 = 0, call: String, message: String) {
    self.code = code
    self.domain = domain
    self.call = call
    self.message = message
  }

  /// What the calling thread's last libvirt call complained of.
  static func last(in call: String) -> LibvirtError {
    defer { virResetLastError() }
    guard let error = virGetLastError() else {
      return LibvirtError(code: .internalError, call: call, message: "failed without an error")
    }
    let message = error.pointee.message.map { String(cString: $0) } ?? "no message"
    return LibvirtError(
      code: Code(rawValue: error.pointee.code), domain: error.pointee.domain, call: call, message: message)
  }

  /// There was no thread to make a call on.
  static let noThread = LibvirtError(
    code: .systemError, call: "pthread_create", message: "the system gives no thread")

  /// The connection was let go before the call.
  static let closed = LibvirtError(
    code: .internalError, domain: Int32(bitPattern: VIR_FROM_RPC.rawValue), call: "virConnectClose",
    message: "the connection was let go")

  /// Whether it is the connection that is gone, rather than one call that failed, or another connection that could
  /// not be had.
  var isConnectionLost: Bool {
    call != "virConnectOpen" && domain == Int32(bitPattern: VIR_FROM_RPC.rawValue)
      && [.internalError, .systemError, .rpc].contains(code)
  }

  /// The closed short form; safe as a label.
  var kind: LibvirtErrorKind {
    switch code {
    case .authFailed, .authCancelled, .authUnavailable, .accessDenied, .operationDenied: .denied
    case .operationTimeout: .timeout
    default: isConnectionLost ? .lost : .call
    }
  }

  /// The call, what libvirt says of it, and what to do.
  public var description: String {
    "\(call): \(message) (libvirt error \(code.rawValue))" + (remedy.map { "; \($0)" } ?? "")
  }

  /// What to do where libvirt finds nobody who takes the URI; nil where that is not it.
  var remedyOfURI: String? {
    let isOfURI =
      code == .noConnect || call == "virConnectOpen" && [.invalidArgument, .configUnsupported].contains(code)
    return isOfURI
      ? "check the URI: its scheme, its transport and their parameters, such as qemu+ssh://host/system" : nil
  }

  private var remedy: String? {
    if let remedyOfURI { return remedyOfURI }
    return switch code {
    case .authFailed, .authCancelled, .authUnavailable, .accessDenied:
      "let the user that Drover runs as use libvirt's read-only socket, or give the URI what it needs to log in"
    case .operationTimeout: "its QEMU does not answer its monitor"
    case .operationDenied: "that needs a connection that may write"
    default:
      call == "virConnectOpen"
        ? "check that libvirtd or virtqemud runs there, and that Drover may reach its socket" : nil
    }
  }
}

/// Kinds of a libvirt back end's errors: a closed list; the label `kind`.
enum LibvirtErrorKind: String, CaseIterable, Sendable {
  /// No connection could be opened.
  case connect
  /// The daemon does not let this user in, or not do this.
  case denied
  /// A call took longer than its deadline.
  case timeout
  /// The connection broke.
  case lost
  /// A call was answered with an error, or with something that makes no sense.
  case call
  /// The kernel's connections could not be read.
  case sockets
}
