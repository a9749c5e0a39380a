/// What answers a request.
public enum Handler: Sendable {
  /// Answers at once, on the server's own thread: it must not block.
  case immediate(@Sendable (Request) -> Response)
  /// Answers as a task; the connection sleeps meanwhile.
  ///
  /// The task is cancelled when the server stops. It runs to its end when the client goes away.
  case deferred(@Sendable (Request) async -> Response)
}

/// Which handler answers which path and method.
///
/// A pattern is a path whose segments are literal or `{name}`, which matches one segment that is not empty. A
/// literal segment goes before a parameter. `HEAD` is answered by the handler of `GET`.
public struct Router: Sendable {
  struct Route: Sendable {
    let handler: Handler
    let parameters: [String]
    let isLimited: Bool
    let isGated: Bool
  }

  enum Resolution: Sendable {
    case route(Route, parameters: [String: String])
    case methodNotAllowed(allow: String)
    case notFound
  }

  private struct Node: Sendable {
    var literals: [[UInt8]: Node] = [:]
    /// None or one.
    var parameter: [Node] = []
    var routes: [Method: Route] = [:]
  }

  private var root = Node()
  /// What stands before every route that is not said to be open, and before the answer that there is none.
  public var gate: RequestGate?

  /// Makes a router that knows no path.
  public init() {}

  /// Sets the handler of a method on a path such as `/api/v1/migrations/{id}`.
  ///
  /// - Parameters:
  ///   - isLimited: whether the route counts for `Limits.maxRequests`; `false` for what must be answered by a
  ///     busy server too, such as a liveness probe.
  ///   - isGated: whether ``gate`` is asked first; `false` for what everybody may ask, such as such a probe.
  public mutating func on(
    _ method: Method, _ pattern: String, isLimited: Bool = true, isGated: Bool = true, _ handler: Handler
  ) {
    var parameters: [String] = []
    let path = pattern.hasPrefix("/") ? pattern.dropFirst() : pattern[...]
    let segments = path.split(separator: "/", omittingEmptySubsequences: false).map { segment in
      guard segment.hasPrefix("{"), segment.hasSuffix("}") else {
        return Segment.literal(Array(segment.utf8))
      }
      parameters.append(String(segment.dropFirst().dropLast()))
      return Segment.parameter
    }
    let route = Route(handler: handler, parameters: parameters, isLimited: isLimited, isGated: isGated)
    Self.insert(route, for: method, segments[...], into: &root)
  }

  /// Every method and pattern that has a handler, sorted.
  public var routes: [(method: Method, pattern: String)] {
    Self.routes(in: root, at: "").sorted {
      ($0.pattern, $0.method.rawValue) < ($1.pattern, $1.method.rawValue)
    }
  }

  private static func routes(in node: Node, at path: String) -> [(method: Method, pattern: String)] {
    let here = node.routes.map { method, route in
      // What its parameters are called is known at the end of a path only.
      (method, named(path, route.parameters))
    }
    let below = node.literals.flatMap { text, next in
      routes(in: next, at: "\(path)/\(String(decoding: text, as: UTF8.self))")
    }
    return here + below + node.parameter.flatMap { routes(in: $0, at: "\(path)/{}") }
  }

  private static func named(_ path: String, _ names: [String]) -> String {
    var names = names[...]
    return path.split(separator: "/", omittingEmptySubsequences: false)
      .map { $0 == "{}" ? "{\(names.popFirst() ?? "")}" : String($0) }.joined(separator: "/")
  }

  /// Answers a request without a server.
  public func respond(to request: Request) async -> Response {
    var request = request
    let (handler, _) = handler(for: &request)
    switch handler {
    case .immediate(let handler): return handler(request)
    case .deferred(let handler): return await handler(request)
    }
  }

  /// What answers a request, after the gate; and whether it counts for the limit.
  func handler(for request: inout Request) -> (Handler, isLimited: Bool) {
    let (handler, isLimited, isGated): (Handler, Bool, Bool)
    switch resolve(request) {
    case .notFound: (handler, isLimited, isGated) = (.immediate { .notFound($0) }, false, true)
    case .methodNotAllowed(let allow):
      (handler, isLimited, isGated) = (.immediate { .methodNotAllowed($0, allow: allow) }, false, true)
    case .route(let route, let parameters):
      request.parameters = parameters
      (handler, isLimited, isGated) = (route.handler, route.isLimited, route.isGated)
    }
    guard isGated, let gate else { return (handler, isLimited) }
    return (gate.before(handler, request), isLimited)
  }

  func resolve(_ request: Request) -> Resolution {
    var found: [(node: Node, values: [[UInt8]])] = []
    Self.collect(request.segments[...], in: root, values: [], into: &found)
    let wanted: [Method] = request.method == .head ? [.head, .get] : [request.method]
    for method in wanted {
      for (node, values) in found {
        guard let route = node.routes[method] else { continue }
        let pairs = zip(route.parameters, values.map { String(decoding: $0, as: UTF8.self) })
        return .route(route, parameters: Dictionary(pairs) { $1 })
      }
    }
    if found.isEmpty { return .notFound }
    var allowed = Set(found.flatMap(\.node.routes.keys).map(\.rawValue))
    if allowed.contains(Method.get.rawValue) { allowed.insert(Method.head.rawValue) }
    return .methodNotAllowed(allow: allowed.sorted().joined(separator: ", "))
  }

  private enum Segment {
    case literal([UInt8])
    case parameter
  }

  private static func insert(
    _ route: Route, for method: Method, _ segments: ArraySlice<Segment>, into node: inout Node
  ) {
    switch segments.first {
    case nil: node.routes[method] = route
    case .literal(let text):
      insert(route, for: method, segments.dropFirst(), into: &node.literals[text, default: Node()])
    case .parameter:
      if node.parameter.isEmpty { node.parameter.append(Node()) }
      insert(route, for: method, segments.dropFirst(), into: &node.parameter[0])
    }
  }

  /// The nodes with routes that a path reaches, literal ones first.
  private static func collect(
    _ segments: ArraySlice<[UInt8]>, in node: Node, values: [[UInt8]],
    into found: inout [(node: Node, values: [[UInt8]])]
  ) {
    guard let segment = segments.first else {
      if !node.routes.isEmpty { found.append((node, values)) }
      return
    }
    if let next = node.literals[segment] {
      collect(segments.dropFirst(), in: next, values: values, into: &found)
    }
    if let next = node.parameter.first, !segment.isEmpty {
      collect(segments.dropFirst(), in: next, values: values + [segment], into: &found)
    }
  }
}

extension Response {
  static func notFound(_ request: Request) -> Response {
    .problem(status: 404, detail: "there is nothing at \(request.rawPath)")
  }

  static func methodNotAllowed(_ request: Request, allow: String) -> Response {
    .problem(
      status: 405, detail: "\(request.rawPath) does not take \(request.method); it takes \(allow)",
      headers: ["Allow": allow])
  }
}
