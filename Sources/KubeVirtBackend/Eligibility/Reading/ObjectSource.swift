internal import Kubernetes

/// Where objects are read from: a cluster's API.
protocol ObjectSource: Sendable {
  func object<Object: KubernetesObject>(_ path: ResourcePath) async throws(KubernetesError) -> Object
  /// All objects of a collection; throws where one of them cannot be read, since a missing one may decide.
  func objects<Object: KubernetesObject>(
    _ path: ResourcePath, _ selection: ListSelection
  ) async throws(KubernetesError) -> [Object]
  /// The same, told page by page, so that never all of them are held; throws where a page cannot be read.
  func pages<Object: KubernetesObject>(
    _ path: ResourcePath, telling: ([Object]) -> Void
  ) async throws(KubernetesError)
}

extension KubernetesClient: ObjectSource {
  func object<Object: KubernetesObject>(_ path: ResourcePath) async throws(KubernetesError) -> Object {
    try await get(path)
  }

  func objects<Object: KubernetesObject>(
    _ path: ResourcePath, _ selection: ListSelection
  ) async throws(KubernetesError) -> [Object] {
    let whole: ObjectList<Object> = try await list(path, selection)
    if let broken = whole.malformed.first {
      throw .decoding(call: "list \(path)", problem: broken.problem)
    }
    return whole.objects
  }

  func pages<Object: KubernetesObject>(
    _ path: ResourcePath, telling: ([Object]) -> Void
  ) async throws(KubernetesError) {
    var next: String?
    repeat {
      let page: ObjectList<Object> = try await listPage(path, next: next)
      if let broken = page.malformed.first {
        throw .decoding(call: "list \(path)", problem: broken.problem)
      }
      telling(page.objects)
      next = page.next
    } while next != nil
  }
}

extension Fact {
  /// What a failed read tells.
  init(_ error: KubernetesError) {
    guard case .status(let status) = error else {
      self = .failed(error.shortDescription)
      return
    }
    switch error.kind {
    case .forbidden: self = .denied(right: status.missingRight ?? "the right to \(status.call)")
    // The server's own refusals of single objects have a reason.
    case .notFound: self = status.reason.isEmpty ? .absent : .missing
    default: self = .failed(error.shortDescription)
    }
  }

  /// What a read comes to that has until a deadline.
  init(
    until deadline: ContinuousClock.Instant,
    _ attempt: @escaping @Sendable () async throws(KubernetesError) -> Value
  ) async {
    guard deadline > .now else {
      self = .failed("timeout")
      return
    }
    self = await withTaskGroup(of: Fact<Value>.self) { group in
      group.addTask {
        do throws(KubernetesError) {
          return .known(try await attempt())
        } catch {
          return Fact(error)
        }
      }
      group.addTask {
        try? await Task.sleep(until: deadline)
        return .failed("timeout")
      }
      let first = await group.next()
      group.cancelAll()
      return first ?? .failed("timeout")
    }
  }

  func map<Other: Sendable>(_ transform: (Value) -> Fact<Other>) -> Fact<Other> {
    switch self {
    case .known(let value): transform(value)
    case .denied(let right): .denied(right: right)
    case .absent: .absent
    case .missing: .missing
    case .failed(let cause): .failed(cause)
    }
  }
}
