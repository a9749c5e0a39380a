public import CurlClient
internal import FoundationEssentials
internal import Synchronization

/// A client of one cluster's API.
///
/// Reads are repeated where the server asks for it (429 and 5xx with a time), within a bound; nothing else ever is, but
/// for a 401, after which new credentials are shown once. Cancelling the task ends a request at once.
public final class KubernetesClient: Sendable {
  /// The cluster, and who asks.
  public let access: ClusterAccess
  /// What was sent so far.
  public let counters: RequestCounters
  let timing: Timing
  private let http: CurlClient
  private let userAgent: String
  private let heard = Mutex<ServerClock?>(nil)

  /// Makes a client; nothing is sent yet.
  ///
  /// - Parameter version: This program's version, for the `User-Agent` (`drover/1.2.3`): the server spaces JSON out
  ///   for agents that it takes for a person's.
  public init(
    access: ClusterAccess, http: CurlClient, version: String, counters: RequestCounters = RequestCounters(),
    timing: Timing = .system
  ) {
    self.access = access
    self.http = http
    self.counters = counters
    self.timing = timing
    userAgent = "drover/\(version)"
  }

  /// What the server's clock showed at the latest answer; nil before the first.
  public var serverClock: ServerClock? { heard.withLock { $0 } }

  /// Sends a request and takes the whole answer.
  func send(_ request: APIRequest) async throws(KubernetesError) -> KubernetesAnswer {
    let response = try await authenticated(request) { http, plain throws(CurlError) in
      try await http.send(plain)
    } status: {
      ($0.status, $0.headers)
    }
    guard (200..<300).contains(response.status) else {
      throw .status(KubernetesStatus((response.status, response.headers, response.body), to: request))
    }
    return KubernetesAnswer(
      status: response.status, body: response.body, serverTime: response.headers.date, call: request.call)
  }

  /// Sends a request, and hands over the answer's body as it comes.
  func open(_ request: APIRequest) async throws(KubernetesError) -> ResponseStream {
    let stream = try await authenticated(request) { http, plain throws(CurlError) in
      try await http.open(plain)
    } status: {
      ($0.status, $0.headers)
    }
    guard (200..<300).contains(stream.status) else {
      var body: [UInt8] = []
      // A refusal that is cut short is one nevertheless.
      while body.count < 64 << 10, let piece = try? await stream.next() { body += piece }
      throw .status(KubernetesStatus((stream.status, stream.headers, body), to: request))
    }
    return stream
  }

  /// Shows who asks; once more with new credentials where the server does not know them.
  private func authenticated<Answer>(
    _ request: APIRequest, send: (CurlClient, Request) async throws(CurlError) -> Answer,
    status: (Answer) -> (Int, HTTPHeaders)
  ) async throws(KubernetesError) -> Answer {
    var identity = try await identity(nil) ?? Identity()
    var isRepeated = false
    while true {
      let answer: Answer
      do {
        answer = try await send(http, plain(request, identity))
      } catch {
        counters.count(request, code: KubernetesError.transport(error).shortDescription)
        throw .transport(error)
      }
      let (code, headers) = status(answer)
      counters.count(request, code: "\(code)")
      note(headers)
      // Nothing was done, so that even what must not happen twice may be sent again.
      guard code == 401, !isRepeated, let other = try await self.identity(identity) else { return answer }
      identity = other
      isRepeated = true
    }
  }

  /// Who asks; after a refusal somebody new, or nil.
  private func identity(_ rejected: Identity?) async throws(KubernetesError) -> Identity? {
    do {
      guard let rejected else { return try await access.credentials.current() }
      return try await access.credentials.renewed(after: rejected)
    } catch {
      throw .credentials(error)
    }
  }

  private func plain(_ request: APIRequest, _ identity: Identity) -> Request {
    var headers = [
      HTTPHeaders.Field(name: "User-Agent", value: userAgent),
      HTTPHeaders.Field(name: "Accept", value: request.accept),
    ]
    if let type = request.contentType { headers.append(.init(name: "Content-Type", value: type)) }
    var plain = Request(
      request.method, Endpoint(access.address, path: request.fullPath), headers: HTTPHeaders(headers),
      body: request.body)
    plain.tls = access.tls
    plain.proxy = access.proxy
    plain.connectDeadline = .seconds(10)
    plain.totalDeadline = request.totalDeadline
    plain.idleDeadline = request.idleDeadline
    plain.maximumBody = request.maximumBody
    // Between machines of one rack, compressing costs the server more than sending.
    plain.acceptsGzip = false
    identity.apply(to: &plain)
    return plain
  }

  private func note(_ headers: HTTPHeaders) {
    guard let date = headers.date else { return }
    let clock = ServerClock(server: date, local: timing.now())
    heard.withLock { $0 = clock }
  }
}
