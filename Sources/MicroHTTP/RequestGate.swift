/// What stands before the routes: it sees every request, except to routes that say otherwise.
public struct RequestGate: Sendable {
  /// Whether a request may pass.
  public enum Admission: Sendable {
    /// It may.
    case open
    /// It may not, and is answered so.
    case refused(Response)
    /// It takes a while to tell; nil lets the request pass.
    case undecided(@Sendable () async -> Response?)
  }

  /// Decides, on the server's own thread: it must not block.
  public var admit: @Sendable (Request) -> Admission
  /// Header fields for every answer over TCP, where the answer has none of that name.
  public var fields: @Sendable () -> [Headers.Field]

  /// Makes a gate.
  public init(
    fields: @escaping @Sendable () -> [Headers.Field] = { [] },
    admit: @escaping @Sendable (Request) -> Admission
  ) {
    self.fields = fields
    self.admit = admit
  }

  /// A handler that asks first.
  func before(_ handler: Handler, _ request: Request) -> Handler {
    switch admit(request) {
    case .open: handler
    case .refused(let response): .immediate { _ in response }
    case .undecided(let decide):
      .deferred { request in
        if let refusal = await decide() { return refusal }
        switch handler {
        case .immediate(let handler): return handler(request)
        case .deferred(let handler): return await handler(request)
        }
      }
    }
  }
}
