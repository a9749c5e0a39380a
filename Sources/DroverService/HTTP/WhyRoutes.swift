internal import DroverCore
internal import Journal
internal import MicroHTTP
internal import MigrationControl

/// `GET /api/v1/why/{name}`: a migration, a VM or a node, whichever has that name.
struct WhyRoutes: Sendable {
  let monitor: FleetMonitor
  let control: MigrationControl
  let automatic: AutomaticControl
  let journal: ServiceJournal
  let authorizer: Authorizer
  let clock: any Timepiece

  func add(to router: inout Router) {
    router.on(.get, "/api/v1/why/{name}", Handler.deferred { await why($0) }.withoutQuery)
  }

  private func why(_ request: Request) async -> Response {
    let name = request.parameters["name"] ?? ""
    let snapshot = monitor.snapshot()
    var why = Why(snapshot: snapshot, epochOffset: clock.epochOffset(), now: clock.now())
    (why.automatic, why.holds) = (automatic.settings, automatic.holds)
    why.outlook = { [automatic] in automatic.outlook(of: $0) }
    do throws(JournalError) {
      why.decisions = try await journal.readable().decisions(limit: Journal.mostRows)
    } catch {
      if journal.isWanted { why.journalProblem = "\(error)" }
    }
    switch MigrationLookup(name, in: snapshot.migrations) {
    case .found(let view) where !view.isOver || view.lookupID == name:
      guard !view.isOver, await authorizer.has(request, rightsOf: .abort) else {
        return .json(why.migration(view, abort: nil))
      }
      let answer = await askAbort(view)
      return .json(why.migration(view, abort: answer))
    case .ambiguous(let candidates) where !candidates.allSatisfy(\.isOver):
      return .ambiguous(name, "migrations", candidates.map(\.lookupID))
    case .found, .ambiguous, .none: break
    }
    switch VMLookup(name, in: snapshot.vms) {
    case .found(let path):
      guard let view = snapshot.vm(at: path) else { break }
      // The question reaches the API server with Drover's rights; whoever may not act does not cause it.
      guard await authorizer.has(request, rightsOf: .migrate) else {
        return .json(why.vm(view, start: nil))
      }
      let answer = await control.migrate(StartOrder(vm: view.vm), requester: "nobody", isDryRun: true)
      let isUnsupported = answer.refusals.contains { $0.reason == .unsupported }
      let refusals = [disabled].compactMap(\.self) + answer.refusals
      return .json(why.vm(view, start: isUnsupported ? nil : (refusals, answer.warnings)))
    case .ambiguous(let names): return .ambiguous(name, "VMs", names.map(\.description))
    case .none: break
    }
    let nodes = snapshot.nodes.filter { $0.node == name || "\($0.backend.rawValue)/\($0.node)" == name }
    if nodes.count > 1 { return .ambiguous(name, "nodes", nodes.map { "\($0.backend.rawValue)/\($0.node)" }) }
    guard let node = nodes.first else {
      return .problem(
        status: 404,
        detail: Absence.words(
          name, "no migration, VM or node", shown: "drover list, drover vms and drover nodes show them"))
    }
    return .json(why.node(node))
  }

  private func askAbort(_ view: MigrationView) async -> (refusal: Refusal?, consequence: String) {
    let answer = await control.abort(
      AbortOrder(view.identity.id, trigger: .person, requester: "nobody"), isDryRun: true)
    let isRefused = answer.decision.kind == .refused
    let own = isRefused ? Refusal(answer.decision.refusal ?? .unreadable, answer.decision.text) : nil
    let refusals = [disabled, own].compactMap(\.self)
    guard let first = refusals.first else { return (nil, answer.consequence) }
    return (Refusal(first.reason, refusals.map(\.text).joined(separator: "; ")), "")
  }

  /// That nothing is ended and begun by hand, because the switch is off; nil where it is on.
  private var disabled: Refusal? { authorizer.obstacle(.manual).map { Refusal(.disabled, $0) } }
}

extension Response {
  /// An answer as JSON.
  static func json(_ value: some Encodable, status: Int = 200) -> Response {
    guard let bytes = try? APICoding.encode(value) else {
      return .problem(status: 500, detail: "the answer could not be encoded")
    }
    return Response(
      status: status, headers: ["Content-Type": "application/json", "Cache-Control": "no-store"],
      body: .bytes(bytes))
  }

  /// The 409 that names what somebody may have meant.
  static func ambiguous(_ typed: String, _ what: String, _ names: [String]) -> Response {
    .problem(
      status: 409,
      detail: "\(typed) can be several \(what): \(names.sorted().joined(separator: ", ")); name one so")
  }
}
