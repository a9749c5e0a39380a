internal import DroverCore
internal import MicroHTTP
internal import MigrationControl

/// What acts: each asks who it is, then the control module.
struct ControlRoutes: Sendable {
  let monitor: FleetMonitor
  let control: MigrationControl
  let authorizer: Authorizer

  /// What `POST .../abort` may carry.
  struct AbortBody: StrictBody {
    enum CodingKeys: String, CodingKey, CaseIterable { case dryRun, andItsCause, withoutJournal }
    var dryRun: Bool?
    var andItsCause: Bool?
    var withoutJournal: Bool?
  }

  /// What `POST /api/v1/migrations` carries.
  struct StartBody: StrictBody {
    enum CodingKeys: String, CodingKey, CaseIterable { case vm, to, dryRun, withoutJournal }
    var vm: String
    var to: String?
    var dryRun: Bool?
    var withoutJournal: Bool?
  }

  func add(to router: inout Router) {
    router.on(.abort, asking: authorizer) { await abort($0, by: $1) }
    router.on(.migrate, asking: authorizer) { await start($0, by: $1) }
    let stops = StopRoutes(monitor: monitor, control: control, authorizer: authorizer)
    router.on(.stopVM, asking: authorizer) { await stops.vm($0, by: $1) }
    router.on(.stopNode, asking: authorizer) { await stops.node($0, by: $1) }
  }

  private func abort(_ request: Request, by requester: String) async -> Response {
    let body: AbortBody
    do {
      body = request.body.isEmpty ? AbortBody() : try AbortBody.read(request.body)
    } catch {
      return .problem(
        status: 400, detail: "the body is not of the documented form: \(AbortBody.words(error))")
    }
    let typed = request.parameters["id"] ?? ""
    let id: MigrationID
    switch MigrationLookup(typed, in: monitor.snapshot().migrations) {
    case .found(let view): id = view.identity.id
    case .none:
      return .problem(
        status: 404, detail: Absence.words(typed), reasons: ["unknown"])
    case .ambiguous(let candidates) where candidates.allSatisfy(\.isOver):
      return .problem(
        status: 404,
        detail:
          "no migration of \(typed) is running: all \(candidates.count) are over; drover list shows them",
        reasons: ["finished"])
    case .ambiguous(let candidates):
      let ids = candidates.map(\.lookupID).sorted().joined(separator: ", ")
      return .problem(status: 409, detail: "\(typed) can be several migrations: \(ids); name one by its id")
    }
    let answer = await control.abort(
      AbortOrder(
        id, trigger: .person, requester: requester, endsCause: body.andItsCause ?? false,
        withoutJournal: body.withoutJournal ?? false),
      isDryRun: body.dryRun ?? false)
    return Self.response(answer.decision, refusals: [], answer.error, asked(ControlItem(answer)))
  }

  private func start(_ request: Request, by requester: String) async -> Response {
    let body: StartBody
    do {
      body = try StartBody.read(request.body)
    } catch {
      return .problem(
        status: 400,
        detail:
          #"the body is no JSON of the form {"vm": "namespace/name", "to": "node"}: \#(StartBody.words(error))"#
      )
    }
    let vm: VMRef
    let snapshot = monitor.snapshot()
    switch VMLookup(body.vm, in: snapshot.vms) {
    case .found(let path):
      guard let view = snapshot.vm(at: path) else {
        return .problem(status: 404, detail: "no VM is called \(body.vm); drover vms shows them")
      }
      vm = view.vm
    case .none:
      return .problem(status: 404, detail: "no VM is called \(body.vm); drover vms shows them")
    case .ambiguous(let names):
      return .ambiguous(body.vm, "VMs", names.map(\.description))
    }
    let answer = await control.migrate(
      StartOrder(vm: vm, node: body.to.flatMap { $0.isEmpty ? nil : $0 }), requester: requester,
      withoutJournal: body.withoutJournal ?? false, isDryRun: body.dryRun ?? false)
    return Self.response(
      answer.decision, refusals: answer.refusals, answer.error, asked(ControlItem(answer)))
  }

  /// An answer to a question says, too, that the switch would not let it be done.
  private func asked(_ item: ControlItem) -> ControlItem {
    var item = item
    if item.isDryRun, let obstacle = authorizer.obstacle(.manual) { item.warnings.append(obstacle) }
    return item
  }

  /// 202 where it goes on, 200 where nothing was sent or all is done, 4xx and 5xx where it is not done.
  static func response(
    _ decision: Decision, refusals: [Refusal], _ error: ControlError?, _ item: ControlItem
  ) -> Response {
    if decision.kind == .refused || decision.kind == .held {
      let reasons = refusals.isEmpty ? [decision.refusal].compactMap(\.self) : refusals.map(\.reason)
      return problem(
        status: decision.refusal?.status ?? 409, detail: decision.text, reasons.map(\.rawValue), decision)
    }
    if decision.result == .error {
      return problem(
        status: error?.kind.status ?? 409, detail: decision.resultText, [error?.kind.rawValue ?? "not_sent"],
        decision)
    }
    return .json(
      item, status: item.isDryRun || decision.result == .done || decision.kind == .observed ? 200 : 202)
  }

  static func problem(status: Int, detail: String, _ reasons: [String], _ decision: Decision)
    -> Response
  {
    let problem = ControlProblem(
      title: status == 409 ? "Conflict" : status == 404 ? "Not Found" : "Not done", status: status,
      detail: detail,
      reasons: reasons, decision: decision.id?.rawValue)
    guard let bytes = try? APICoding.encode(problem) else { return .problem(status: status, detail: detail) }
    return Response(
      status: status, headers: ["Content-Type": "application/problem+json"], body: .bytes(bytes))
  }
}

extension RefusalReason {
  /// The HTTP status that says it.
  var status: Int {
    switch self {
    case .unknown: 404
    case .disabled: 403
    case .unreadable, .journal, .hold, .notLeader: 503
    case .unsupported: 501
    default: 409
    }
  }
}

extension ControlError.Kind {
  /// The HTTP status that says it.
  fileprivate var status: Int {
    switch self {
    case .denied: 403
    case .gone, .replaced, .refused: 409
    case .unsupported: 501
    case .unreachable: 503
    case .timeout: 504
    case .other: 502
    }
  }
}

/// A body in which a key that is not known is an error: a misspelt wish must not be taken for none.
protocol StrictBody: Decodable {
  associatedtype CodingKeys: CodingKey & CaseIterable
}

extension StrictBody {
  /// What is wrong with a body that cannot be read.
  static func words(_ error: any Error) -> String {
    (error as? UnknownKey)?.description ?? APICoding.words(of: error, model: "the documented one")
  }

  /// Reads a body.
  static func read(_ bytes: [UInt8]) throws -> Self {
    _ = try APICoding.decode(KnownKeys<Self>.self, from: bytes)
    return try APICoding.decode(Self.self, from: bytes)
  }
}

private struct KnownKeys<Body: StrictBody>: Decodable {
  private struct Key: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  init(from decoder: any Decoder) throws {
    let known = Body.CodingKeys.allCases.map(\.stringValue)
    for key in try decoder.container(keyedBy: Key.self).allKeys where !known.contains(key.stringValue) {
      throw UnknownKey(
        description: "there is no key \(quoted(key.stringValue)); allowed: "
          + (known.isEmpty ? "none" : known.joined(separator: ", ")))
    }
  }
}

private struct UnknownKey: Error, CustomStringConvertible {
  let description: String
}
