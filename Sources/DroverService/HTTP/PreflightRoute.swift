internal import DroverCore
internal import MicroHTTP
internal import MigrationControl

/// `GET /api/v1/preflight[?node=&backend=&vm=]`.
struct PreflightRoute: Sendable {
  let monitor: FleetMonitor
  let control: MigrationControl

  /// The answer, or why there is none.
  func answer(_ request: Request) async -> Result<PreflightItem, EligibilityRoute.Refusal> {
    let query: QueryReader
    do { query = try QueryReader(request, names: ["node", "backend", "vm"]) } catch {
      return .failure(.init(400, "\(error)"))
    }
    let snapshot = monitor.snapshot()
    var names = snapshot.backends.map(\.descriptor.name)
    if let wanted = query.text("backend") {
      names = names.filter { $0.rawValue == wanted }
      if names.isEmpty { return .failure(.init(404, snapshot.unknownBackend(wanted))) }
    }
    let began = ContinuousClock.now
    let node = query.text("node")
    let answers = await ask(names, node)
    let isKnown = node.map { node in snapshot.nodes.contains { $0.node == node && names.contains($0.backend) }
    }
    if let refusal = refusal(answers, node, isKnown: isKnown ?? true) { return .failure(refusal) }
    let item = PreflightItem(
      node == nil ? answers : answers.filter { !$0.answer.isGone },
      tookSeconds: (ContinuousClock.now - began).inSeconds)
    guard let typed = query.text("vm") else { return .success(item) }
    let found = VMLookup(
      typed,
      in: item.vms.map {
        VMItem(
          backend: $0.backend, namespace: $0.namespace, host: $0.host, vm: $0.vm, consecutiveFailures: 0)
      })
    switch found {
    case .found(let path) where item.vms.contains { $0.path == path }: return .success(item.only([path]))
    case .found, .none:
      let why = item.failures.map { "; \($0.backend) gave no answer: \($0.detail)" }.joined()
      return .failure(.init(item.failures.isEmpty ? 404 : 503, "no running VM is called \(typed)\(why)"))
    case .ambiguous(let paths):
      let names = paths.map(\.description).sorted().joined(separator: ", ")
      return .failure(.init(409, "\(typed) can be several VMs: \(names); name one so"))
    }
  }

  private typealias Answer = (backend: BackendName, answer: Result<Preflight, ControlError>)

  /// All at a time: one that hangs has a deadline of its own.
  private func ask(_ names: [BackendName], _ node: String?) async -> [Answer] {
    await withTaskGroup(of: Answer.self) { group in
      for name in names {
        group.addTask {
          // Swift 6.3 frees `name` once too often where an optimised closure waits within the tuple that it returns.
          let answer: Result<Preflight, ControlError>
          do throws(ControlError) {
            answer = .success(try await control.preflight(of: name, node: node))
          } catch {
            answer = .failure(error)
          }
          return (name, answer)
        }
      }
      var answers: [Answer] = []
      for await answer in group { answers.append(answer) }
      return answers.sorted { $0.backend.rawValue < $1.backend.rawValue }
    }
  }

  /// Why nobody could answer; nil where somebody did, or might have.
  ///
  /// - Parameter isKnown: Whether one of them has told of the node before.
  private func refusal(_ answers: [Answer], _ node: String?, isKnown: Bool) -> EligibilityRoute.Refusal? {
    let errors = answers.compactMap { (answer) -> (BackendName, ControlError)? in
      if case .failure(let error) = answer.answer { (answer.backend, error) } else { nil }
    }
    guard errors.count == answers.count else { return nil }
    guard !errors.isEmpty else { return .init(404, "no back end is watched: there is nothing to ask about") }
    let words = errors.map { "\($0.0.rawValue): \($0.1)" }.joined(separator: "; ")
    if isKnown, errors.allSatisfy({ $0.1.kind == .unsupported }) { return .init(501, words) }
    if let node, errors.allSatisfy({ $0.1.kind == .gone || $0.1.kind == .unsupported }) {
      return .init(404, "no node is called \(node): \(words)")
    }
    let worst = errors.first { $0.1.kind != .unsupported && $0.1.kind != .gone }?.1 ?? errors[0].1
    return .init(ControlError(worst.kind, call: "a preflight", cause: words, remedy: "mend that"), known: [])
  }
}

extension Result where Failure == ControlError {
  fileprivate var isGone: Bool { if case .failure(let error) = self { error.kind == .gone } else { false } }
}
