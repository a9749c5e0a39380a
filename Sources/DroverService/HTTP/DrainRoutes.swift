internal import DroverCore
internal import MicroHTTP
internal import MigrationControl

/// `nodes/{backend}/{name}/drain`: how far a drain is, its beginning, its end.
struct DrainRoutes: Sendable {
  static let path = "/api/v1/nodes/{backend}/{name}/drain"

  let monitor: FleetMonitor
  let drains: DrainControl
  let authorizer: Authorizer
  let clock: any Timepiece

  struct BeginBody: StrictBody {
    enum CodingKeys: String, CodingKey, CaseIterable { case dryRun }
    var dryRun: Bool?
  }

  struct EndBody: StrictBody {
    enum CodingKeys: String, CodingKey, CaseIterable { case uncordon }
    var uncordon: Bool?
  }

  func add(to router: inout Router) {
    router.on(.get, Self.path, Handler.deferred { await show($0) }.withoutQuery)
    router.on(.drain, asking: authorizer) { await begin($0, by: $1) }
    router.on(.endDrain, asking: authorizer) { await end($0, by: $1) }
  }

  /// The refusal of a back end that is not there; nil where it is.
  private func unknownBackend(_ request: Request) -> Response? {
    let (typed, snapshot) = (request.parameters["backend"] ?? "", monitor.snapshot())
    guard snapshot.descriptor(of: typed) == nil else { return nil }
    return .problem(status: 404, detail: snapshot.unknownBackend(typed), reasons: ["unknown"])
  }

  private func node(_ request: Request) -> NodeRef {
    NodeRef(
      backend: BackendName(rawValue: request.parameters["backend"] ?? ""),
      node: request.parameters["name"] ?? "")
  }

  private func show(_ request: Request) async -> Response {
    let node = node(request)
    guard let status = await drains.look(node) else {
      return .problem(
        status: 404, detail: "no drain of node \(node.node) of back end \(node.backend.rawValue) is known")
    }
    return .json(item(status))
  }

  private func item(_ status: DrainStatus) -> DrainItem {
    DrainItem(status, in: monitor.snapshot(), epochOffset: clock.epochOffset())
  }

  private func begin(_ request: Request, by requester: String) async -> Response {
    if let unknown = unknownBackend(request) { return unknown }
    let body: BeginBody
    do {
      body = request.body.isEmpty ? BeginBody() : try BeginBody.read(request.body)
    } catch {
      return .problem(
        status: 400, detail: #"the body is no JSON of the form {"dryRun": false}: \#(BeginBody.words(error))"#
      )
    }
    let node = node(request)
    let answer = await drains.begin(node, requester: requester, isDryRun: body.dryRun ?? false)
    guard answer.refusals.isEmpty else { return Self.refusal(answer) }
    if answer.isDryRun {
      var item = DrainItem(answer, of: node)
      if let obstacle = authorizer.obstacle(.drain) { item.notes.append(obstacle) }
      return .json(item)
    }
    guard let status = answer.status else { return Self.refusal(answer) }
    return .json(item(status), status: answer.isNew ? 202 : 200)
  }

  private func end(_ request: Request, by requester: String) async -> Response {
    if let unknown = unknownBackend(request) { return unknown }
    let body: EndBody
    do {
      body = request.body.isEmpty ? EndBody() : try EndBody.read(request.body)
    } catch {
      return .problem(
        status: 400, detail: #"the body is no JSON of the form {"uncordon": false}: \#(EndBody.words(error))"#
      )
    }
    let node = node(request)
    let answer = await drains.end(node, requester: requester, uncordons: body.uncordon ?? false)
    guard answer.refusals.isEmpty else { return Self.refusal(answer) }
    guard let status = answer.status else {
      return .json(DrainItem.none(of: node))
    }
    return .json(item(status), status: status.record.state.isInForce ? 202 : 200)
  }

  private static func refusal(_ answer: DrainAnswer) -> Response {
    let reason = answer.refusals.first?.reason
    let detail = answer.refusals.map(\.text).joined(separator: "; ")
    return ControlRoutes.problem(
      status: reason?.status ?? 409, detail: detail.isEmpty ? answer.decision.text : detail,
      answer.refusals.map(\.reason.rawValue), answer.decision)
  }
}

extension DrainItem {
  /// A node that no drain is known of any more.
  fileprivate static func none(of node: NodeRef) -> DrainItem {
    DrainItem(
      backend: node.backend.rawValue, node: node.node, isFollowing: false, isDryRun: false, counts: [:],
      vms: [],
      notes: [])
  }
}
