/// One HTTP request, with its deadlines and limits.
public struct Request: Sendable {
  /// An HTTP method.
  public struct Method: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The method as it is sent; case matters.
    public let rawValue: String

    /// Wraps a method; ``CurlClient/send(_:)`` refuses one that HTTP does not allow.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The method as it is sent.
    public var description: String { rawValue }

    /// `GET`.
    public static let get = Method(rawValue: "GET")
    /// `HEAD`: the response has no body.
    public static let head = Method(rawValue: "HEAD")
    /// `POST`.
    public static let post = Method(rawValue: "POST")
    /// `PUT`.
    public static let put = Method(rawValue: "PUT")
    /// `PATCH`.
    public static let patch = Method(rawValue: "PATCH")
    /// `DELETE`.
    public static let delete = Method(rawValue: "DELETE")
    /// `OPTIONS`.
    public static let options = Method(rawValue: "OPTIONS")
  }

  /// The method.
  public var method: Method
  /// The server and the path.
  public var endpoint: Endpoint
  /// Header fields; `Content-Length` and `Transfer-Encoding` are the client's own.
  public var headers: HTTPHeaders
  /// The body; empty means none.
  public var body: [UInt8]
  /// The token of an `Authorization: Bearer` field.
  public var bearerToken: BearerToken?
  /// The longest time for name, TCP and TLS together.
  public var connectDeadline: Duration = .seconds(5)
  /// The longest time for the whole exchange; nil: any.
  public var totalDeadline: Duration? = .seconds(30)
  /// The longest time, once the connection stands, in which neither a header line nor a byte of the body comes; nil: any.
  ///
  /// A ``ResponseStream`` that waits for its reader does not count as silent.
  public var idleDeadline: Duration?
  /// The longest body that ``CurlClient/send(_:)`` accepts, in decoded bytes.
  public var maximumBody = 16 << 20
  /// Whether the server may compress the body; it arrives decoded.
  public var acceptsGzip = true
  /// Whom to trust, and who is asking; for `https` only.
  public var tls = TLSOptions()
  /// The proxy to go through.
  public var proxy: ProxyChoice = .environment
  /// Whether an `https` server may be spoken to in HTTP/2, which carries many requests on one connection.
  public var allowsHTTP2 = true

  /// Makes a request.
  public init(_ method: Method = .get, _ endpoint: Endpoint, headers: HTTPHeaders = [:], body: [UInt8] = []) {
    self.method = method
    self.endpoint = endpoint
    self.headers = headers
    self.body = body
  }
}

/// A secret that says who is asking; it never shows in a description, a dump or an error.
public struct BearerToken: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
  CustomReflectable
{
  let secret: String

  /// Wraps a token as it is sent, without white space around it.
  public init(_ secret: String) { self.secret = secret }

  /// Stands for the token, and holds nothing of it.
  public var description: String { "<token>" }
  /// The same as ``description``.
  public var debugDescription: String { description }
  /// A mirror without children.
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// What a server answered, whatever its status.
public struct Response: Sendable {
  /// The status code; never 1xx.
  public let status: Int
  /// The final header's fields; those of 1xx answers and trailers are left out.
  public let headers: HTTPHeaders
  /// The decoded body.
  public let body: [UInt8]
  /// The time from the start of the exchange to its end.
  public let duration: Duration
}
