/// Which proxy a request goes through.
public enum ProxyChoice: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
  CustomReflectable
{
  /// The one that `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` name; none for a Unix socket or a
  /// loopback address.
  case environment
  /// None.
  case none
  /// This one, whatever the address and the environment: `http://`, `https://` or `socks5://` with a host, which
  /// may follow a user and password. A SOCKS proxy resolves the server's name.
  case url(String)

  /// The choice, without a user or password.
  public var description: String {
    switch self {
    case .environment: "environment"
    case .none: "none"
    case .url(let text): ProxyAddress.printable(text)
    }
  }
  /// The same as `description`.
  public var debugDescription: String { description }
  /// A mirror without children, because the address may hold a password.
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// A proxy's address in the parts that libcurl takes one by one, so that its error texts never repeat a password.
struct ProxyAddress: Hashable {
  let url: String
  let user: String?
  let password: String?

  init(parsing text: String) throws(CurlError) {
    func refused(_ problem: String) -> CurlError {
      CurlError(.invalidAddress, call: "proxy address '\(Self.printable(text))'", message: problem)
    }
    guard let separator = text.firstRange(of: "://") else {
      throw refused("no scheme: write http://host:port, https://host:port or socks5://host:port")
    }
    let (scheme, defaultPort): (String, Int)
    switch text[..<separator.lowerBound].lowercased() {
    case "http": (scheme, defaultPort) = ("http", 80)
    case "https": (scheme, defaultPort) = ("https", 443)
    // The proxy has to resolve the name: this machine may not know it.
    case "socks5", "socks5h": (scheme, defaultPort) = ("socks5h", 1080)
    default: throw refused("unknown scheme: use http, https or socks5")
    }
    var authority = text[separator.upperBound...]
    if authority.hasSuffix("/") { authority.removeLast() }
    var user: String?
    var password: String?
    if let at = authority.lastIndex(of: "@") {
      let parts = authority[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = parts.first?.percentDecoded,
        let secret = parts.dropFirst().first.orEmpty.percentDecoded
      else {
        throw refused("the user or password is not percent-encoded text: encode it")
      }
      (user, password) = (name, secret)
      authority = authority[authority.index(after: at)...]
    }
    guard let (host, port) = ServerAddress.hostAndPort(authority) else {
      throw refused("no host and port from 1 to 65535: write \(scheme)://host:port, an IPv6 host in brackets")
    }
    url = "\(scheme)://\(host):\(port ?? defaultPort)"
    self.user = user
    self.password = password
  }

  /// An address without what may be a user and password, on one line.
  static func printable(_ text: String) -> String {
    guard let at = text.utf8.lastIndex(of: UInt8(ascii: "@")) else { return text.printable }
    return "…\(text[at...])".printable
  }
}

extension Optional where Wrapped == Substring {
  fileprivate var orEmpty: Substring { self ?? "" }
}

extension Substring {
  /// The text with `%41` read as `A`; nil for what is no such text, or holds a NUL.
  fileprivate var percentDecoded: String? {
    var bytes: [UInt8] = []
    var rest = utf8[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard rest.count >= 2, let value = UInt8(String(rest.prefix(2)) ?? "", radix: 16) else { return nil }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    return bytes.contains(0) ? nil : String(validating: bytes, as: UTF8.self)
  }
}
