internal import Glibc
internal import Posix

/// Where a server listens: a Unix socket, or a host and port under `http` or `https`.
///
/// Written `unix:///run/drover/control.sock`, `http://localhost:10950` or
/// `https://rancher.example/k8s/clusters/c-1`, whose path comes before every request's own.
public struct ServerAddress: Hashable, Sendable, CustomStringConvertible {
  private enum Place: Hashable {
    case unix(path: String)
    case tcp(scheme: String, host: String, port: Int?, basePath: String)
  }

  private let place: Place

  /// Whether what is sent there goes through TLS.
  public var isEncrypted: Bool {
    if case .tcp(scheme: "https", _, _, _) = place { true } else { false }
  }

  /// Reads an address; the error names the text, what is wrong and how to write it.
  public init(parsing text: String) throws(CurlError) {
    func refused(_ problem: String) -> CurlError {
      CurlError(.invalidAddress, call: "server address '\(text.withoutUser.printable)'", message: problem)
    }
    // One slash is what people write who think of a path.
    let text = text.hasPrefix("unix:/") && !text.hasPrefix("unix://") ? "unix://" + text.dropFirst(5) : text
    guard let colon = text.firstRange(of: "://") else {
      throw refused("no scheme: write unix:///run/drover/control.sock, http://host:port or https://host:port")
    }
    let scheme = text[..<colon.lowerBound].lowercased()
    let rest = text[colon.upperBound...]
    guard rest.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
      throw refused("white space or a control character: remove it")
    }
    switch scheme {
    case "unix":
      guard rest.hasPrefix("/") else {
        throw refused(
          "the socket's path is not absolute: write three slashes, unix:///run/drover/control.sock")
      }
      guard rest.utf8.count > 1, !rest.hasSuffix("/") else {
        throw refused("no socket: write its whole path, unix:///run/drover/control.sock")
      }
      guard rest.utf8.count <= UnixAddress.longestPath else {
        throw refused(
          "the path has \(rest.utf8.count) bytes and Linux takes \(UnixAddress.longestPath): use a shorter one"
        )
      }
      place = .unix(path: String(rest))
    case "http", "https":
      guard !rest.utf8.contains(UInt8(ascii: "@")) else {
        throw refused("a user or password in the address is not accepted: remove it, and send a bearer token")
      }
      guard !rest.contains(where: { $0 == "?" || $0 == "#" }) else {
        throw refused("an address has no query and no fragment: end it before '?' or '#'")
      }
      let authority = rest.prefix { $0 != "/" }
      let path = rest[authority.endIndex...]
      guard let (host, port) = Self.hostAndPort(authority) else {
        throw refused(
          "no host and port from 1 to 65535: write \(scheme)://host:port, an IPv6 host in brackets")
      }
      guard path.utf8.allSatisfy({ $0 < 0x80 }) else {
        throw refused("a path with letters outside ASCII: percent-encode them")
      }
      let basePath = path.hasSuffix("/") ? path.dropLast() : path
      place = .tcp(scheme: scheme, host: host, port: port, basePath: String(basePath))
    default:
      throw refused("unknown scheme '\(scheme.printable)': use unix, http or https")
    }
  }

  /// The socket's path, or nil for a server on TCP.
  public var socketPath: String? {
    if case .unix(let path) = place { path } else { nil }
  }

  /// The host, an IPv6 address in brackets; nil for a Unix socket.
  var host: String? {
    if case .tcp(_, let host, _, _) = place { host } else { nil }
  }

  /// Whether requests stay on this machine by their address alone: a Unix socket, `localhost`, 127/8 or `::1`.
  var isLocal: Bool {
    guard case .tcp(_, let host, _, _) = place else { return true }
    if host == "localhost" || host.hasSuffix(".localhost") || host == "[::1]" { return true }
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
  }

  /// The address as it is written, in its normal form.
  public var description: String {
    switch place {
    case .unix(let path): "unix://\(path)"
    case .tcp: base()
    }
  }

  /// What a request's path is appended to; over a Unix socket the host is a formality.
  func base(host other: String? = nil) -> String {
    switch place {
    case .unix: "http://localhost"
    case .tcp(let scheme, let host, let port, let basePath):
      "\(scheme)://\(other ?? host)\(port.map { ":\($0)" } ?? "")\(basePath)"
    }
  }

  /// The host and port of an `https` address: as written, and with the port that goes without saying.
  var secureAuthority: (written: String, full: String)? {
    guard case .tcp("https", let host, let port, _) = place else { return nil }
    return (host + (port.map { ":\($0)" } ?? ""), "\(host):\(port ?? 443)")
  }

  /// Whether a text is an IPv6 address without brackets.
  static func isIPv6(_ text: String) -> Bool {
    var address = in6_addr()
    return inet_pton(AF_INET6, text, &address) == 1
  }

  static func hostAndPort(_ authority: Substring) -> (host: String, port: Int?)? {
    var host = authority
    var port: Int?
    let bracket = authority.lastIndex(of: "]") ?? authority.startIndex
    if let colon = authority[bracket...].firstIndex(of: ":") {
      let digits = authority[authority.index(after: colon)...]
      guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(digits),
        (1...65535).contains(number)
      else { return nil }
      host = authority[..<colon]
      port = number
    }
    let name = host.lowercased()
    let valid =
      if name.hasPrefix("[") && name.hasSuffix("]") {
        name.utf8.count > 2
          && name.dropFirst().dropLast().utf8.allSatisfy { $0.isHostByte || $0 == 0x3A || $0 == 0x25 }
      } else {
        !name.isEmpty && name.utf8.allSatisfy(\.isHostByte)
      }
    return valid ? (name, port) : nil
  }
}

/// One resource: a server and the path (with query) to ask it for.
public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
  /// The server.
  public let address: ServerAddress
  /// The path, beginning with a slash, percent-encoded, with the query if there is one.
  public let path: String

  /// Names a path at a server; ``CurlClient/send(_:)`` refuses one that HTTP does not allow.
  public init(_ address: ServerAddress, path: String) {
    self.address = address
    self.path = path
  }

  /// The server and the path, without the query.
  public var description: String {
    address.socketPath == nil ? "\(address)\(path.beforeQuery)" : "\(address) \(path.beforeQuery)"
  }
}

extension UInt8 {
  fileprivate var isHostByte: Bool {
    switch self {
    case 0x30...0x39, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
    default: false
    }
  }
}

extension String {
  /// A path without the query, which may hold secrets.
  var beforeQuery: String {
    String(utf8.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }) ?? ""
  }

  /// An address without what may be a user and password.
  fileprivate var withoutUser: String {
    guard !hasPrefix("unix:"), let at = utf8.lastIndex(of: UInt8(ascii: "@")) else { return self }
    return "…\(self[at...])"
  }

  /// The text with control characters replaced, so that an error stays on one line.
  var printable: String {
    String(
      String.UnicodeScalarView(
        unicodeScalars.map { $0.properties.generalCategory == .control ? "\u{FFFD}" : $0 }))
  }
}
