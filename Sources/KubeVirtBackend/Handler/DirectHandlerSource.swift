internal import CurlClient

/// Asks the pods themselves, at port 8443.
///
/// Their certificates name no address, so only who signed them can be checked.
struct DirectHandlerSource: HandlerSource {
  private let client: CurlClient
  private let authorities: [UInt8]?
  private let port: UInt16
  private let connectDeadline: Duration
  private let deadline: Duration

  /// Each pod is asked by itself.
  var grouping: HandlerSchedule.Grouping { .perNode }

  /// Prepares to ask.
  ///
  /// - Parameters:
  ///   - authorities: Certificates, in PEM, of who may sign the pods' certificates, as the ConfigMap `kubevirt-ca` holds
  ///     them; nil where it cannot be read: then nothing is checked.
  ///   - port: Where virt-handler listens.
  ///   - connectDeadline: How long it may take until a connection stands.
  ///   - deadline: How long a question may take.
  init(
    client: CurlClient, authorities: [UInt8]?, port: UInt16 = 8443, connectDeadline: Duration = .seconds(5),
    deadline: Duration = HandlerAnswer.deadline
  ) {
    self.client = client
    self.authorities = authorities
    self.port = port
    self.connectDeadline = min(connectDeadline, deadline)
    self.deadline = deadline
  }

  /// Whether the pods' certificates are checked.
  var isVerified: Bool { authorities != nil }

  /// Asks one virt-handler.
  func read(_ targets: [HandlerTarget]) async throws(HandlerError) -> HandlerReading {
    let target = try single(targets)
    let call = "GET virt-handler of node \(target.node) (\(target.pod), \(target.address))"
    let request = try request(target, call: call)
    let response = try await client.answer(request, call: call)
    return try HandlerAnswer.reading(RawAnswer(response), call: call)
  }

  private func request(_ target: HandlerTarget, call: String) throws(HandlerError) -> Request {
    let host = target.address.contains(":") ? "[\(target.address)]" : target.address
    let address: ServerAddress
    do {
      address = try ServerAddress(parsing: "https://\(host):\(port)")
    } catch {
      throw HandlerError(error, call: call, wasCut: false)
    }
    // A connection that is kept would hide until the deadline that the way to it is lost, and what is slow could not be
    // told from what is gone.
    var request = Request(
      .get, Endpoint(address, path: "/metrics"),
      headers: ["Accept": "text/plain;version=0.0.4", "User-Agent": "drover", "Connection": "close"])
    request.totalDeadline = deadline
    request.connectDeadline = connectDeadline
    request.maximumBody = HandlerAnswer.longestBody
    // The address of a pod means nothing to a proxy.
    request.proxy = .none
    request.allowsHTTP2 = false
    if let authorities { request.tls.authorities = .pem(authorities) }
    request.tls.verifiesPeer = isVerified
    request.tls.verifiesHost = false
    return request
  }
}

extension CurlClient {
  /// Sends a request whose failure is told in terms of virt-handler.
  func answer(_ request: Request, call: String) async throws(HandlerError) -> Response {
    let clock = ContinuousClock()
    let start = clock.now
    do {
      return try await send(request)
    } catch {
      let wasCut = request.totalDeadline.map { clock.now - start >= $0 } ?? false
      throw HandlerError(error, call: call, wasCut: wasCut)
    }
  }
}

extension RawAnswer {
  fileprivate init(_ response: Response) {
    self.init(status: response.status, headers: response.headers, body: response.body)
  }
}
