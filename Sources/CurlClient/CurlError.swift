internal import CCurl
internal import Glibc

/// A request that brought no response, or an address or request that cannot be used.
///
/// `description` names what was attempted, the cause and the remedy; ``shortDescription`` is the same
/// failure as one word of a closed set. Neither ever holds a token, a header or a query.
public struct CurlError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The kind of failure: libcurl's `CURLcode` where positive, this client's own where negative.
  public struct Code: RawRepresentable, Hashable, Sendable {
    /// libcurl's number, or a negative one of this client.
    public let rawValue: Int32

    /// Wraps a number of libcurl or of this client.
    public init(rawValue: Int32) { self.rawValue = rawValue }

    /// The awaiting task was cancelled.
    public static let cancelled = Code(rawValue: -1)
    /// The client was shut down before the response was complete, or before the request was sent.
    public static let shutDown = Code(rawValue: -2)
    /// The decoded body is longer than ``Request/maximumBody``.
    public static let bodyTooLarge = Code(rawValue: -3)
    /// The response's header is longer than the client accepts.
    public static let headerTooLarge = Code(rawValue: -4)
    /// The text is no ``ServerAddress``.
    public static let invalidAddress = Code(rawValue: -5)
    /// The request holds what HTTP does not allow.
    public static let invalidRequest = Code(rawValue: -6)
    /// The client's thread or libcurl itself could not be started, or had to stop.
    public static let unusable = Code(rawValue: -7)

    /// Connecting failed (`CURLE_COULDNT_CONNECT`).
    public static let couldNotConnect = Code(CURLE_COULDNT_CONNECT)
    /// A deadline passed (`CURLE_OPERATION_TIMEDOUT`).
    public static let timedOut = Code(CURLE_OPERATION_TIMEDOUT)
    /// The proxy refused to connect to the server, or did not do its part of the protocol (`CURLE_PROXY`).
    public static let proxy = Code(CURLE_PROXY)
    /// The connection ended before the body did (`CURLE_PARTIAL_FILE`).
    public static let partialBody = Code(CURLE_PARTIAL_FILE)

    init(_ code: CURLcode) { self.init(rawValue: Int32(truncatingIfNeeded: code.rawValue)) }
  }

  /// What failed.
  public let code: Code
  /// What was attempted: method, server and path without the query; or the parsing of an address.
  public let call: String
  /// The cause in words: libcurl's own text where it gave one.
  public let message: String
  /// The `errno` of a failed connect, else 0.
  public let systemError: Int32
  private let trustProblem: TrustProblem?

  init(
    _ code: Code, call: String, message: String, systemError: Int32 = 0, trustProblem: TrustProblem? = nil
  ) {
    self.code = code
    self.call = call
    self.message = message
    self.systemError = systemError
    self.trustProblem = trustProblem
  }

  /// The failure as one word, safe as a metric label.
  public var shortDescription: String { kind.rawValue }

  /// What was attempted, the cause, and the remedy.
  public var description: String {
    var text = "\(call): \(message)"
    if code.rawValue > 0 { text += " (curl error \(code.rawValue))" }
    if let remedy { text += "; \(remedy)" }
    return text
  }

  private enum Kind: String {
    case connect, refused, dns, tls, timeout, closed, `protocol`, cancelled, shutdown
    case bodyTooLarge = "body_too_large"
    case headerTooLarge = "header_too_large"
    case invalidAddress = "invalid_address"
    case invalidRequest = "invalid_request"
    case other
  }

  private var kind: Kind {
    if trustProblem != nil { return .tls }
    switch code {
    case .cancelled: return .cancelled
    case .shutDown: return .shutdown
    case .bodyTooLarge: return .bodyTooLarge
    case .headerTooLarge: return .headerTooLarge
    case .invalidAddress: return .invalidAddress
    case .invalidRequest: return .invalidRequest
    case .unusable: return .other
    default: break
    }
    switch CURLcode(rawValue: UInt32(bitPattern: code.rawValue)) {
    case CURLE_COULDNT_CONNECT: return systemError == ECONNREFUSED ? .refused : .connect
    case CURLE_PROXY: return .connect
    case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: return .dns
    case CURLE_OPERATION_TIMEDOUT: return .timeout
    case CURLE_PARTIAL_FILE, CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_HTTP2_STREAM:
      return .closed
    // libcurl reports an answer without a status line as an unsupported protocol (HTTP/0.9).
    case CURLE_UNSUPPORTED_PROTOCOL, CURLE_WEIRD_SERVER_REPLY, CURLE_BAD_CONTENT_ENCODING, CURLE_HTTP2:
      return .protocol
    case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
      CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CRL_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_ENGINE_NOTFOUND,
      CURLE_SSL_ENGINE_SETFAILED, CURLE_SSL_ENGINE_INITFAILED, CURLE_SSL_SHUTDOWN_FAILED,
      CURLE_USE_SSL_FAILED,
      CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_SSL_INVALIDCERTSTATUS, CURLE_SSL_CLIENTCERT:
      return .tls
    case CURLE_URL_MALFORMAT: return .invalidRequest
    default: return .other
    }
  }

  private var remedy: String? {
    if let trustProblem { return trustProblem.remedy }
    if code == .proxy { return "check the proxy, and that it lets this machine reach the server" }
    return switch kind {
    case .refused: "nothing listens there: check the address and that the server runs"
    case .connect:
      switch systemError {
      case ENOENT: "the socket does not exist: check the path and that the server runs"
      case EACCES, EPERM: "this user may not open it: use a user or group that the server admits"
      case EAGAIN: "the server's queue of connections is full: try again"
      default: "check the address, the network and that the server runs"
      }
    case .dns: "check the host name (or the proxy's) and this machine's resolver"
    case .tls: "check the scheme, the host name and the server's certificate"
    case .timeout: "check the server's load and the network, or allow more time"
    case .closed: "the server ended the connection early: look into its log"
    case .protocol: "check that an HTTP server answers at this address, and the scheme"
    case .bodyTooLarge: "ask for less, or raise the limit"
    case .headerTooLarge: "check which server answers at this address"
    case .cancelled, .shutdown, .invalidAddress, .invalidRequest, .other: nil
    }
  }
}

extension CurlError {
  /// The error of text that is refused; `problem` ends with the remedy.
  static func invalidRequest(_ call: String, _ problem: String) -> CurlError {
    CurlError(.invalidRequest, call: call, message: problem)
  }
}
