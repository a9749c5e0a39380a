internal import DroverCore
internal import Exposition
internal import MicroHTTP
internal import MigrationControl

/// What every answer is made of.
struct Routes: Sendable {
  let monitor: FleetMonitor
  let renderer: ScrapeRenderer
  let clock: any Timepiece
  let build: BuildInfo
  let reloader: Reloader
  let supervisor: BackendSupervisor
  let control: MigrationControl
  let automatic: AutomaticControl
  let drains: DrainControl
  let journal: ServiceJournal
  let authorizer: Authorizer

  func router(telemetryPath: String) -> Router {
    var router = Router()
    router.gate = authorizer.gate
    if telemetryPath != "/" { router.on(.get, "/", .immediate { page($0, telemetryPath: telemetryPath) }) }
    router.on(.get, telemetryPath, .immediate { scrape($0) })
    // A busy server is alive: a probe must not be told to come again later.
    router.on(
      .get, "/-/healthy", isLimited: false, isGated: false, .immediate { _ in .text("drover is healthy\n") })
    router.on(.get, "/-/ready", isLimited: false, isGated: false, .immediate { _ in ready() })
    router.on(.post, "/-/reload", .deferred { await reload($0) })
    router.on(.get, "/api/v1/migrations", Handler.immediate { list($0) }.withoutQuery)
    router.on(.get, "/api/v1/migrations/{id}", Handler.immediate { show($0) }.withoutQuery)
    router.on(.get, "/api/v1/nodes", Handler.immediate { nodes($0) }.withoutQuery)
    router.on(.get, "/api/v1/vms", Handler.immediate { vms($0) }.withoutQuery)
    ControlRoutes(monitor: monitor, control: control, authorizer: authorizer).add(to: &router)
    AutomaticRoutes(automatic: automatic, authorizer: authorizer).add(to: &router)
    DrainRoutes(monitor: monitor, drains: drains, authorizer: authorizer, clock: clock).add(to: &router)
    WhyRoutes(
      monitor: monitor, control: control, automatic: automatic, journal: journal, authorizer: authorizer,
      clock: clock
    ).add(to: &router)
    router.on(.get, OpenAPIDocument.operation.pattern, Handler.immediate { openAPI($0) }.withoutQuery)
    router.on(.get, "/api/v1/history", .deferred { await history($0) })
    router.on(.get, "/api/v1/decisions", .deferred { await decisions($0) })
    router.on(
      .get, "/api/v1/vms/{backend}/{scope}/{name}/eligibility",
      Handler.deferred { await eligibility($0) }.withoutQuery)
    router.on(.get, "/api/v1/preflight", .deferred { await preflight($0) })
    return router
  }

  private func scrape(_ request: Request) -> Response {
    let parts: Set<ScrapePart>
    do {
      parts = try Set(collect: request.queryValues("collect[]"))
    } catch {
      return .problem(status: 400, detail: "\(error)")
    }
    let agreed = Negotiation(
      accept: request.headers.joined("Accept"), acceptEncoding: request.headers.joined("Accept-Encoding"))
    let offset = clock.epochOffset()
    let scrape = renderer.render(
      monitor.snapshot(), parts: parts, as: agreed,
      in: RenderContext(
        now: clock.now(), epochOffset: offset, build: build, configuration: reloader.state,
        process: parts.contains(.exporter) ? .current(offset) : nil, vms: reloader.vms,
        control: automatic.totals, isLeader: monitor.leadership.isLeader(at: clock.now()),
        journalErrors: journal.errors, vmLabels: reloader.vmLabels))
    var headers = Headers()
    for field in scrape.headerFields { headers[field.name] = field.value }
    return Response(headers: headers, body: .segments(scrape.slices))
  }

  private func page(_ request: Request, telemetryPath: String) -> Response {
    let body = StatusPage.render(
      snapshot: monitor.snapshot(), epochOffset: clock.epochOffset(), now: clock.now(), build: build,
      telemetryPath: telemetryPath, refreshes: !request.queryValues("refresh").contains("off"))
    var headers = Headers()
    for field in StatusPage.headers { headers[field.name] = field.value }
    return Response(headers: headers, body: .bytes(body))
  }

  private func ready() -> Response {
    let waiting = monitor.snapshot().backends.filter { !$0.hasAttempted }.map(\.descriptor.name.rawValue)
    guard waiting.isEmpty else {
      return .text("waiting for the first attempt of: \(waiting.joined(separator: ", "))\n", status: 503)
    }
    return .text("drover is ready\n")
  }

  private func reload(_ request: Request) async -> Response {
    if case .refused(let refusal) = authorizer.administers(request) { return refusal }
    switch await reloader.reload() {
    case .done: return .text("configuration re-read\n")
    case .failed(let reason): return .problem(status: 422, detail: reason)
    }
  }

  private func openAPI(_ request: Request) -> Response {
    json(request, OpenAPIDocument.json(version: build.version))
  }

  private func list(_ request: Request) -> Response {
    json(
      request,
      MigrationList(
        monitor.snapshot(), epochOffset: clock.epochOffset(), now: clock.now(), labels: reloader.labelNames))
  }

  private func nodes(_ request: Request) -> Response {
    json(request, NodeList(monitor.snapshot(), epochOffset: clock.epochOffset(), now: clock.now()))
  }

  private func vms(_ request: Request) -> Response {
    json(request, VMList(monitor.snapshot(), epochOffset: clock.epochOffset(), now: clock.now()))
  }

  private func eligibility(_ request: Request) async -> Response {
    let part = { (name: String) in request.parameters[name] ?? "" }
    let path = VMPath(backend: part("backend"), scope: part("scope"), name: part("name"))
    return switch await EligibilityRoute(monitor: monitor, supervisor: supervisor).answer(path) {
    case .success(let item): json(request, item)
    case .failure(let refusal): .problem(status: refusal.status, detail: refusal.detail)
    }
  }

  private func preflight(_ request: Request) async -> Response {
    switch await PreflightRoute(monitor: monitor, control: control).answer(request) {
    case .success(let item): json(request, item)
    case .failure(let refusal): .problem(status: refusal.status, detail: refusal.detail)
    }
  }

  private func show(_ request: Request) -> Response {
    let typed = request.parameters["id"] ?? ""
    let snapshot = monitor.snapshot()
    switch MigrationLookup(typed, in: snapshot.migrations) {
    case .found(let view):
      return json(
        request,
        MigrationItem(
          view, epochOffset: clock.epochOffset(), now: clock.now(),
          documented: snapshot.documentedBudgets[view.identity.vm.backend], labels: reloader.labelNames))
    case .none:
      return .problem(status: 404, detail: Absence.words(typed))
    case .ambiguous(let candidates):
      let now = clock.now()
      let ids = candidates.sorted { $0.startedAt < $1.startedAt }.map {
        "\($0.lookupID) (\($0.phase.rawValue), began \(Words.relative(-(now - $0.startedAt).inSeconds)))"
      }.joined(separator: ", ")
      return .problem(status: 409, detail: "\(typed) can be several migrations: \(ids); name one by its id")
    }
  }

  func json(_ request: Request, _ value: some Encodable) -> Response {
    let type = "application/json"
    guard Negotiation.accepts(type, request.headers.joined("Accept")) else {
      return .notAcceptable(offered: [type])
    }
    do {
      return Response(
        headers: ["Content-Type": type, "Cache-Control": "no-store"],
        body: .bytes(try APICoding.encode(value)))
    } catch {
      return .problem(status: 500, detail: "the answer could not be encoded: \(error)")
    }
  }
}

extension Headers {
  /// Several fields of one name mean the same as one whose values are joined by commas; nil where there is none.
  fileprivate func joined(_ name: String) -> String? {
    let values = values(of: name)
    return values.isEmpty ? nil : values.joined(separator: ",")
  }
}
