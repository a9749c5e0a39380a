/// What a server lets its clients use.
///
/// Each listener has all of them for itself, so that the clients of one cannot shut out those of another. The
/// memory that its clients can take is about `connections` × (`headerBytes` + `bodyBytes`), beside the responses
/// themselves.
public struct Limits: Hashable, Sendable {
  /// Open connections, at least two; a client beyond them waits or is closed.
  public var connections = 512
  /// Open connections from one IP address, one more is closed; 0 is no limit, and a Unix socket has none.
  public var connectionsPerAddress = 128
  /// Threads, at least two and no more than `connections`.
  public var threads = 4
  /// Memory of one connection for a request's line and headers; what does not fit is answered 431 or 414.
  ///
  /// The parsed form and the response's headers are kept in it too: about half is sure to be usable.
  public var headerBytes = 32 << 10
  /// Size of a request's body; a larger one is answered 413 and the connection closed.
  public var bodyBytes = 64 << 10
  /// How long a connection may be silent, in whole seconds, at least one.
  public var idleTimeout = Duration.seconds(10)
  /// How long a client may take to send one request, from the connection or the answer before; 0 is no limit.
  ///
  /// It ends the clients that keep a connection by sending a byte now and then. A connection kept alive is
  /// closed when this or `idleTimeout` has passed, whichever is shorter.
  public var requestTimeout = Duration.seconds(15)
  /// How long a client may take to read one response; 0 is no limit.
  public var responseTimeout = Duration.seconds(60)
  /// Requests in flight, from complete request to sent response; one more is answered 503, 0 is no limit.
  public var maxRequests = 40

  /// The defaults.
  public init() {}
}
