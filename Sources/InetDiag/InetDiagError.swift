internal import Glibc

/// Why the kernel's table of connections, or a network namespace, could not be read.
///
/// `description` names the call, the cause and the remedy; ``kind`` is the same failure as one word of a
/// closed set.
public struct InetDiagError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of failure it is, safe as a metric label.
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    /// The kernel lacks the interface, the namespace is gone, or the system has no descriptor, memory or
    /// thread left.
    case unavailable
    /// This process may not.
    case denied
    /// The kernel's answer, or its refusal of the question, makes no sense.
    case `protocol`
    /// The kernel did not answer in time.
    case timeout
  }

  /// What kind of failure it is.
  public let kind: Kind
  /// The call that failed, and what it was about.
  public let call: String
  /// The cause in words: the system's where it gave an error number.
  public let message: String
  /// The system's error number, else 0.
  public let systemError: Int32
  /// What to do about it.
  public let remedy: String

  init(_ kind: Kind, call: String, message: String, systemError: Int32 = 0, remedy: String) {
    self.kind = kind
    self.call = call
    self.message = message
    self.systemError = systemError
    self.remedy = remedy
  }

  /// The call, the cause and the remedy.
  public var description: String { "\(call): \(message); \(remedy)" }
}

extension InetDiagError {
  /// The failure of a call that left an error number.
  static func system(_ call: String, _ code: Int32) -> InetDiagError {
    let kind: Kind
    let remedy: String
    switch code {
    case EPERM, EACCES:
      kind = .denied
      remedy = "allow netlink sockets in what confines this process (seccomp, SELinux, AppArmor)"
    case EAGAIN, ETIMEDOUT, EBUSY:
      kind = .timeout
      remedy = "try again; this machine may be overloaded"
    case ENOENT, EPROTONOSUPPORT, EAFNOSUPPORT, EOPNOTSUPP, ENOSYS:
      kind = .unavailable
      remedy = "the kernel needs INET_DIAG and INET_TCP_DIAG (modprobe tcp_diag)"
    case EMFILE, ENFILE:
      kind = .unavailable
      remedy = "raise the limit of open files (ulimit -n)"
    case ENOMEM, ENOBUFS:
      kind = .unavailable
      remedy = "free some memory"
    default:
      kind = .protocol
      remedy = "report this with the kernel's version"
    }
    return InetDiagError(kind, call: call, message: text(of: code), systemError: code, remedy: remedy)
  }

  /// The failure to reach a network namespace.
  static func namespace(_ call: String, _ code: Int32) -> InetDiagError {
    let (kind, remedy): (Kind, String) =
      switch code {
      case EPERM, EACCES: (.denied, "run as root, or with CAP_SYS_ADMIN and CAP_SYS_PTRACE")
      case ENOENT, ESRCH, ENOTDIR, EINVAL:
        (.unavailable, "check that it is the path of a network namespace, and that its process still runs")
      default: (system(call, code).kind, system(call, code).remedy)
      }
    return InetDiagError(kind, call: call, message: text(of: code), systemError: code, remedy: remedy)
  }

  /// An answer that makes no sense.
  static func garbled(_ problem: String) -> InetDiagError {
    InetDiagError(
      .protocol, call: "reading the kernel's answer (sock_diag)", message: problem,
      remedy: "report this with the kernel's version")
  }
}

/// The C library's words for an error number.
private func text(of code: Int32) -> String {
  var buffer = [CChar](repeating: 0, count: 128)
  guard strerror_r(code, &buffer, buffer.count) == 0 else { return "error \(code)" }
  return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
