internal import DroverCore
internal import MicroHTTP
internal import MigrationControl

/// What alerts ask for, and the end of a hold of automatic aborts.
struct AutomaticRoutes: Sendable {
  let automatic: AutomaticControl
  let authorizer: Authorizer

  /// Alerts that are decided about at a time; each may wait for a host that hangs.
  private static let width = 16

  /// What `POST .../reset-hold` may carry: nothing.
  struct ResetBody: StrictBody {
    enum CodingKeys: CodingKey, CaseIterable {}
  }

  func add(to router: inout Router) {
    router.on(.alerts, asking: authorizer) { request, _ in await alerts(request) }
    router.on(.resetHold, asking: authorizer) { await reset($0, by: $1) }
  }

  /// 200 once all is stored, refusals too; 4xx for what another try would not make better, which Alertmanager gives up;
  /// 503 for what it should send again: nothing here is done twice.
  private func alerts(_ request: Request) async -> Response {
    let payload: AlertPayload
    do {
      payload = try APICoding.decode(AlertPayload.self, from: request.body)
    } catch {
      return .problem(
        status: 400,
        detail:
          "the body is no webhook of Alertmanager's: \(APICoding.words(of: error, model: "Alertmanager's"))")
    }
    guard payload.version == "4" else {
      return .problem(
        status: 400,
        detail:
          "the body is of version \(quoted(payload.version)), and only 4 is known; leave `payload` of the "
          + "webhook as it is by default")
    }
    let wishes = payload.alerts.map(\.wish)
    let results = await decide(wishes)
    let items = zip(wishes, results).map { AlertItem($0, $1) }
    let list = AlertList(alerts: items, truncated: max(0, payload.truncatedAlerts))
    guard results.contains(where: \.isWorthRetrying) else { return .json(list) }
    var response = Response.json(list, status: 503)
    // Behind a Service the same connection would lead to the same standby for ever.
    response.headers["Connection"] = "close"
    return response
  }

  private func decide(_ wishes: [AlertWish]) async -> [AutomaticControl.AlertResult] {
    await withTaskGroup(of: (Int, AutomaticControl.AlertResult).self) { group in
      var results: [Int: AutomaticControl.AlertResult] = [:]
      for (index, wish) in wishes.enumerated() {
        if index >= Self.width, let (done, result) = await group.next() { results[done] = result }
        group.addTask { [automatic] in (index, await automatic.ask(wish)) }
      }
      for await (index, result) in group { results[index] = result }
      return wishes.indices.compactMap { results[$0] }
    }
  }

  private func reset(_ request: Request, by requester: String) async -> Response {
    do {
      _ = request.body.isEmpty ? ResetBody() : try ResetBody.read(request.body)
    } catch {
      return .problem(status: 400, detail: "the body has to be empty, or {}: \(ResetBody.words(error))")
    }
    let (ended, problem) = await automatic.resetHold(by: requester)
    if let problem {
      return .problem(status: 503, detail: problem.text)
    }
    return .json(ResetItem(ended: ended.map(\.rawValue)))
  }
}
