internal import CurlClient
internal import FoundationEssentials

/// Asks a Prometheus, or what speaks its API, for what it has scraped of all virt-handlers.
struct PrometheusHandlerSource: HandlerSource {
  /// Where it is, and who asks.
  struct Settings: Sendable {
    /// The server, with the path that its API is below.
    var server: ServerAddress
    /// A file with a bearer token, read for each question; nil: none is sent.
    var tokenFile: String?
    /// A PEM file with the authorities to trust; nil: those that this system trusts.
    var caFile: String?
    /// How far back samples are asked for; longer than the interval of its scrapes.
    var window = Duration.seconds(120)
    /// Whether the dirty rates of guests that do not migrate are asked for, too.
    var guestDirtyRates = false
    /// How long a question may take.
    var deadline = HandlerAnswer.deadline

    /// Names a server.
    init(server: ServerAddress, tokenFile: String? = nil, caFile: String? = nil) {
      self.server = server
      self.tokenFile = tokenFile
      self.caFile = caFile
    }
  }

  private let client: CurlClient
  private let settings: Settings

  /// One server knows all nodes.
  var grouping: HandlerSchedule.Grouping { .together }

  /// Prepares to ask.
  init(client: CurlClient, settings: Settings) {
    self.client = client
    self.settings = settings
  }

  /// Asks for the samples of all these nodes in one query.
  func read(_ targets: [HandlerTarget]) async throws(HandlerError) -> HandlerReading {
    let nodes = Set(targets.map(\.node))
    let expression = PrometheusQuery.expression(
      nodes: nodes, window: settings.window, guestDirtyRates: settings.guestDirtyRates)
    var request = Request(
      .get,
      Endpoint(settings.server, path: PrometheusQuery.path(expression, deadline: settings.deadline)),
      headers: ["Accept": "application/json", "User-Agent": "drover"])
    request.totalDeadline = settings.deadline
    request.connectDeadline = min(request.connectDeadline, settings.deadline)
    request.maximumBody = HandlerAnswer.longestBody
    if let caFile = settings.caFile { request.tls.authorities = .file(caFile) }
    if let tokenFile = settings.tokenFile { request.bearerToken = try Self.token(tokenFile) }
    let call = "GET Prometheus \(settings.server)"
    let response = try await client.answer(request, call: call)
    return try Self.reading(response, nodes: nodes, call: call)
  }

  private static func token(_ file: String) throws(HandlerError) -> BearerToken {
    let text: String
    do {
      text = try String(contentsOfFile: file, encoding: .utf8)
    } catch {
      throw HandlerError(
        .settings, call: "reading the token for Prometheus from \(file)", message: "\(error)".oneLine,
        remedy: "check that the file is there and that this user may read it")
    }
    let token = text.filter { !$0.isWhitespace }
    guard !token.isEmpty else {
      throw HandlerError(
        .settings, call: "reading the token for Prometheus from \(file)", message: "the file is empty",
        remedy: "write the token into it")
    }
    return BearerToken(token)
  }

  private static func reading(
    _ response: Response, nodes: Set<String>, call: String
  ) throws(HandlerError) -> HandlerReading {
    let answer = PrometheusAnswer(json: response.body)
    // An error of its own comes as JSON; one of a proxy before it does not.
    let words = answer?.error ?? String(decoding: response.body.prefix(1024), as: UTF8.self)
    if let error = HandlerError(
      status: response.status, retryAfter: response.headers["Retry-After"], said: words, call: call)
    {
      throw error
    }
    guard let answer else {
      throw HandlerError(
        .garbled, call: call,
        message:
          "answered with \((response.headers["Content-Type"] ?? "something").oneLine), not with JSON of its API",
        remedy: "check the URL: its API is at /api/v1/ below it")
    }
    if let error = answer.error {
      throw HandlerError(
        .status, call: call, message: error.oneLine, remedy: "look into the log of Prometheus")
    }
    guard let series = answer.series, answer.resultType == "matrix" else {
      throw HandlerError(
        .garbled, call: call, message: "answered with a \(answer.resultType ?? "nothing"), not with samples",
        remedy: "check that it is a Prometheus, or speaks its API")
    }
    return HandlerReading(
      series, of: nodes, serverTime: HandlerAnswer.serverTime(response.headers["Date"]),
      warnings: answer.warnings)
  }
}
