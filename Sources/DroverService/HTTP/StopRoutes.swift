internal import DroverCore
internal import MicroHTTP
internal import MigrationControl

/// `POST .../stop-evacuation` of a VM and of a node.
struct StopRoutes: Sendable {
  let monitor: FleetMonitor
  let control: MigrationControl
  let authorizer: Authorizer

  /// What both may carry.
  struct Body: StrictBody {
    enum CodingKeys: String, CodingKey, CaseIterable { case dryRun, withoutJournal }
    var dryRun: Bool?
    var withoutJournal: Bool?
  }

  /// Ends what moves a VM away.
  func vm(_ request: Request, by requester: String) async -> Response {
    let part = { (name: String) in request.parameters[name] ?? "" }
    return await answer(request, .stopVM, by: requester) { descriptor in
      .vm(
        VMRef(
          backend: descriptor.name,
          scope: descriptor.type == "kubevirt" ? .namespace(part("scope")) : .host(part("scope")),
          name: part("name")))
    }
  }

  /// Ends what moves the VMs of a node away.
  func node(_ request: Request, by requester: String) async -> Response {
    await answer(request, .stopNode, by: requester) { _ in .node(request.parameters["name"] ?? "") }
  }

  private func answer(
    _ request: Request, _ route: ActingRoute, by requester: String,
    about subject: (BackendDescriptor) -> EvacuationSubject
  ) async -> Response {
    let body: Body
    do {
      body = request.body.isEmpty ? Body() : try Body.read(request.body)
    } catch {
      return .problem(status: 400, detail: "the body is not of the documented form: \(Body.words(error))")
    }
    let (typed, snapshot) = (request.parameters["backend"] ?? "", monitor.snapshot())
    guard let descriptor = snapshot.descriptor(of: typed) else {
      return .problem(status: 404, detail: snapshot.unknownBackend(typed))
    }
    let answer = await control.stopEvacuation(
      of: subject(descriptor), at: descriptor.name, requester: requester,
      withoutJournal: body.withoutJournal ?? false, isDryRun: body.dryRun ?? false)
    var item = ControlItem(answer)
    if item.isDryRun, let obstacle = route.controlSwitch.flatMap(authorizer.obstacle) {
      item.warnings.append(obstacle)
    }
    return ControlRoutes.response(answer.decision, refusals: answer.refusals, answer.error, item)
  }
}

extension ControlItem {
  init(_ answer: StopAnswer) {
    self.init(answer.decision, isDryRun: answer.isDryRun)
    node = answer.decision.node.isEmpty ? nil : answer.decision.node
    found = answer.found
    steps = answer.steps
  }
}
