/// Where a server listens: a TCP port or a Unix socket.
///
/// Written `:10950` (all addresses, IPv6 and IPv4), `127.0.0.1:10950`, `[::1]:10950`, `localhost:10950`,
/// `unix:/path` or an absolute path.
public enum ListenAddress: Hashable, Sendable, CustomStringConvertible {
  /// A TCP port; without a host on all addresses. Port 0 lets the kernel choose.
  case tcp(host: String?, port: UInt16)
  /// A Unix stream socket at a path.
  case unix(path: String)

  /// Reads an address.
  ///
  /// - Throws: `badAddress`, naming the text and what was expected.
  public init(_ text: String) throws(HTTPServerError) {
    if text.hasPrefix("/") || text.hasPrefix("unix:") {
      self = try Self.unix(text)
      return
    }
    guard let colon = text.lastIndex(of: ":") else {
      throw Self.bad(text, "there is no port", "write host:port, :port or unix:/path")
    }
    let digits = text[text.index(after: colon)...]
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }), let port = UInt16(digits)
    else {
      throw Self.bad(text, "\"\(digits)\" is no port", "use a number from 0 to 65535")
    }
    self = .tcp(host: try Self.host(text[..<colon], of: text), port: port)
  }

  /// The address in the form that `init(_:)` reads.
  public var description: String {
    switch self {
    case .tcp(nil, let port): ":\(port)"
    case .tcp(let host?, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }

  private static func unix(_ text: String) throws(HTTPServerError) -> ListenAddress {
    let path = text.hasPrefix("unix:") ? String(text.dropFirst("unix:".count)) : text
    guard path.hasPrefix("/"), !path.hasSuffix("/"), !path.utf8.contains(0) else {
      throw bad(text, "\"\(path)\" is no absolute path of a file", "write unix:/run/name/name.sock")
    }
    return .unix(path: path)
  }

  private static func host(_ host: Substring, of text: String) throws(HTTPServerError) -> String? {
    if host.isEmpty { return nil }
    if host.hasPrefix("["), host.hasSuffix("]") {
      let inner = host.dropFirst().dropLast()
      guard inner.contains(":") else {
        throw bad(text, "\"\(inner)\" is no IPv6 address", "only IPv6 addresses stand in brackets")
      }
      return String(inner)
    }
    guard !host.contains(":") else {
      throw bad(text, "an IPv6 address needs brackets", "write [\(host)] before the port")
    }
    guard !host.utf8.contains(where: { $0 <= 32 || $0 == 127 || "[]/@".utf8.contains($0) }) else {
      throw bad(text, "\"\(host)\" is no host", "write an IP address or a host name, without http://")
    }
    return String(host)
  }

  private static func bad(_ text: String, _ cause: String, _ remedy: String) -> HTTPServerError {
    HTTPServerError(.badAddress, address: text, cause: cause, remedy: remedy)
  }
}
