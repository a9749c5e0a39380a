/// An HTTP method; any token is one.
public struct Method: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// The token, in the case it came in: methods are case-sensitive.
  public let rawValue: String

  /// Takes a token as it is.
  public init(rawValue: String) { self.rawValue = rawValue }

  /// Reads.
  public static let get = Method(rawValue: "GET")
  /// Reads the headers only.
  public static let head = Method(rawValue: "HEAD")
  /// Acts.
  public static let post = Method(rawValue: "POST")
  /// Removes.
  public static let delete = Method(rawValue: "DELETE")

  /// The token.
  public var description: String { rawValue }
}

/// Who sent a request.
public enum Peer: Hashable, Sendable {
  /// An IP address in numbers; an IPv4 client of a dual-stack socket shows as IPv4.
  case tcp(address: String)
  /// The process that connected to the Unix socket, as the kernel knew it at that moment.
  case unix(uid: UInt32, gid: UInt32, pid: Int32)
}

/// A request, complete with its body.
public struct Request: Sendable {
  /// One `name=value` of the query.
  public struct QueryItem: Hashable, Sendable {
    /// The name, decoded.
    public var name: String
    /// The value, decoded; empty without a `=`.
    public var value: String

    /// Makes an item.
    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  /// The method as it came in, `HEAD` too.
  public let method: Method
  /// The path as it came in, without the query.
  public let rawPath: String
  /// The path, percent-decoded; a byte that is not UTF-8 became U+FFFD.
  public let path: String
  /// The query items in their order, repeated names kept.
  public let query: [QueryItem]
  /// The header fields.
  public let headers: Headers
  /// The body; empty when there is none.
  public let body: [UInt8]
  /// Who asks.
  public let peer: Peer
  /// The certificate that the client has shown; nil where it has shown none, or none was asked for.
  public let certificate: PeerCertificate?
  /// The values of the route's `{parameter}` segments, decoded.
  public internal(set) var parameters: [String: String] = [:]
  /// The segments of the path, each decoded on its own: an encoded slash does not divide.
  let segments: [[UInt8]]

  /// Makes a request of its parts; `target` is path and query as they stand in a request line.
  public init(
    _ method: Method, _ target: String, headers: Headers = Headers(), body: [UInt8] = [],
    peer: Peer = .tcp(address: "127.0.0.1"), certificate: PeerCertificate? = nil
  ) {
    self.init(
      method, target: Array(target.utf8), headers: headers, body: body, peer: peer, certificate: certificate)
  }

  init(
    _ method: Method, target: [UInt8], headers: Headers, body: [UInt8], peer: Peer,
    certificate: PeerCertificate?
  ) {
    let target = RequestTarget(target)
    self.method = method
    rawPath = String(decoding: target.path, as: UTF8.self)
    path = String(decoding: RequestTarget.decode(target.path), as: UTF8.self)
    segments = target.segments
    query = target.query
    self.headers = headers
    self.body = body
    self.peer = peer
    self.certificate = certificate
  }

  /// All values of a query name, in their order.
  public func queryValues(_ name: String) -> [String] {
    query.filter { $0.name == name }.map(\.value)
  }
}
