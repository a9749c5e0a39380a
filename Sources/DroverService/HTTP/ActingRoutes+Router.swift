internal import DroverCore
internal import MicroHTTP

extension Router {
  /// Serves a route that acts: asks first whether the caller may.
  ///
  /// It takes no query: what is wished stands in the body.
  mutating func on(
    _ route: ActingRoute, asking authorizer: Authorizer,
    _ act: @escaping @Sendable (Request, _ requester: String) async -> Response
  ) {
    on(
      route.method, route.pattern,
      Handler.deferred { request in
        let isQuestion = route.takesQuestions && DryRun.isAsked(request.body)
        switch await authorizer.authorize(request, route, isQuestion: isQuestion) {
        case .allowed where !route.takesQuestions && DryRun.isAsked(request.body):
          return .problem(
            status: 400, detail: "dryRun: this cannot be asked about, only done; nothing was done")
        case .allowed(let requester): return await act(request, requester.description)
        case .refused(let response): return response
        }
      }.withoutQuery)
  }
}

/// The part of a body that says whether anything is to be done.
private struct DryRun: Decodable {
  let dryRun: Bool?

  static func isAsked(_ body: [UInt8]) -> Bool {
    (try? APICoding.decode(Self.self, from: body))?.dryRun ?? false
  }
}

extension FleetSnapshot {
  /// The back end of a name; nil where there is none.
  func descriptor(of name: String) -> BackendDescriptor? {
    backends.first { $0.descriptor.name.rawValue == name }?.descriptor
  }

  /// That there is no back end of a name, and which there are.
  func unknownBackend(_ name: String) -> String {
    let names = backends.map(\.descriptor.name.rawValue).sorted().joined(separator: ", ")
    return "no back end is called \(name)\(names.isEmpty ? "" : "; there are \(names)")"
  }
}
