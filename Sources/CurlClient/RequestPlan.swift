/// A request that passed every check, in the terms libcurl takes it.
struct RequestPlan: Sendable {
  enum Mode: Hashable { case noRequestBody, head, requestBody }
  enum Proxy: Hashable {
    case environment
    /// That of the environment, though the URL's host be an exception.
    case environmentAlways
    case none
    case address(ProxyAddress)
  }

  /// The attempt in words, for errors: method, server and path without the query.
  let call: String
  let url: String
  let socketPath: String?
  let method: String
  let mode: Mode
  let headerLines: [String]
  let body: [UInt8]
  let connectMilliseconds: Int
  /// 0 is no limit.
  let totalMilliseconds: Int
  let idleDeadline: Duration?
  let maximumBody: Int
  let acceptsGzip: Bool
  let proxy: Proxy
  let allowsHTTP2: Bool
  /// nil without TLS.
  let tls: TLSOptions?
  /// Where to connect to in place of the URL's host and port, which then are what TLS verifies.
  let connectTo: String?
  /// libcurl silently repeats a request whose reused connection died before the first byte of the answer: what
  /// must not happen twice goes on a connection of its own.
  let needsFreshConnection: Bool

  /// `proxyExceptions` are the environment's.
  init(
    _ request: Request, proxyExceptions: @autoclosure () -> ProxyExceptions = .environment
  ) throws(CurlError) {
    let method = request.method.rawValue
    let path = request.endpoint.path
    guard method.isHTTPToken else {
      throw .invalidRequest(
        "method '\(method.printable)'", "not an HTTP method: use letters only, as in GET")
    }
    guard path.hasPrefix("/"), path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x23 }) else {
      throw .invalidRequest(
        "path '\(path.beforeQuery.printable)'",
        "not a request path: begin with '/', percent-encode spaces, '#', control characters and letters outside ASCII"
      )
    }
    call = "\(method) \(request.endpoint)"
    let address = request.endpoint.address
    socketPath = address.socketPath
    let authority = address.secureAuthority
    tls = authority == nil ? nil : try request.tls.checked(call)
    allowsHTTP2 = authority != nil && request.allowsHTTP2
    let serverName = tls?.serverName
    url = address.base(host: serverName) + path
    connectTo = serverName == nil ? nil : authority.map { "::\($0.full)" }
    proxy =
      switch request.proxy {
      case .environment where address.isLocal: .none
      case .environment where connectTo == nil: .environment
      case .environment: proxyExceptions().contains(address.host ?? "") ? .none : .environmentAlways
      case .none: .none
      case .url(let text): .address(try ProxyAddress(parsing: text))
      }
    self.method = method
    body = request.body
    mode =
      switch request.method {
      case .head: .head
      // A POST, PUT or PATCH without a body still says Content-Length: 0.
      case .post, .put, .patch: .requestBody
      default: body.isEmpty ? .noRequestBody : .requestBody
      }
    guard mode != .head || body.isEmpty else {
      throw .invalidRequest(call, "a HEAD request with a body: remove the body")
    }
    needsFreshConnection = ![.get, .head, .options, .put, .delete].contains(request.method)
    connectMilliseconds = request.connectDeadline.curlMilliseconds
    totalMilliseconds = request.totalDeadline?.curlMilliseconds ?? 0
    idleDeadline = request.idleDeadline
    maximumBody = max(0, request.maximumBody)
    acceptsGzip = request.acceptsGzip
    headerLines = try Self.headerLines(request, call: call)
  }

  private static func headerLines(_ request: Request, call: String) throws(CurlError) -> [String] {
    var lines: [String] = []
    for field in request.headers.fields {
      guard field.name.isHTTPToken else {
        throw .invalidRequest(
          "header '\(field.name.printable)'", "not a header name: use letters, digits and '-' only")
      }
      guard !["content-length", "transfer-encoding"].contains(field.name.lowercased()) else {
        throw .invalidRequest("header '\(field.name)'", "the client sets it from the body: remove it")
      }
      guard field.value.isHTTPFieldValue else {
        throw .invalidRequest(
          "header '\(field.name)'", "its value holds a line break or control character: remove it")
      }
      let value = field.value.drop { $0 == " " || $0 == "\t" }
      // "Name:" would remove libcurl's own field; "Name;" sends an empty one.
      lines.append(value.isEmpty ? "\(field.name);" : "\(field.name): \(value)")
    }
    if let token = request.bearerToken {
      guard !token.secret.isEmpty, token.secret.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
        throw .invalidRequest(
          call,
          "the bearer token is empty or holds white space: check that its file ends without a line break")
      }
      lines.append("Authorization: Bearer \(token.secret)")
    }
    if let serverName = request.tls.serverName, let authority = request.endpoint.address.secureAuthority,
      !serverName.isEmpty, request.headers["Host"] == nil
    {
      lines.append("Host: \(authority.written)")
    }
    // libcurl would wait a second for "100 Continue", and call every body a form.
    for unwanted in ["Expect", "Content-Type"] where request.headers[unwanted] == nil {
      lines.append("\(unwanted):")
    }
    return lines
  }
}

extension Duration {
  /// Whole milliseconds, rounded up; at least 1, because 0 means "no limit" to libcurl.
  var curlMilliseconds: Int {
    let (seconds, attoseconds) = components
    guard seconds < Int64(Int32.max) / 1000 else { return Int(Int32.max) }
    let part = (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
    return max(1, Int(seconds * 1000 + part))
  }
}

extension String {
  fileprivate var isHTTPToken: Bool {
    !isEmpty
      && utf8.allSatisfy { byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
      }
  }

  fileprivate var isHTTPFieldValue: Bool {
    utf8.allSatisfy { ($0 >= 0x20 && $0 != 0x7F) || $0 == 0x09 }
  }
}
