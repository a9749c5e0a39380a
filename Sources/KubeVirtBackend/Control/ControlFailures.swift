internal import DroverCore
internal import Kubernetes

extension ControlError {
  /// - Parameter isSent: Whether it was to change something: then only a clear refusal says that it was not done.
  init(_ error: KubernetesError, _ call: String, isSent: Bool = false) {
    let kind: Kind =
      switch error.kind {
      case .forbidden, .unauthorized, .credentials: .denied
      case .notFound, .gone: .gone
      case .conflict: .replaced
      case .timeout: .timeout
      case .invalid, .badRequest, .alreadyExists: .refused
      case .connect, .dns, .tls, .closed, .unavailable, .throttled, .cancelled: .unreachable
      case .malformed, .server, .other: .other
      }
    let isRefusal =
      switch error.kind {
      case .forbidden, .unauthorized, .credentials, .conflict, .invalid, .badRequest, .alreadyExists,
        .throttled,
        .connect, .dns, .tls:
        true
      default: false
      }
    let mayBeDone = isSent && !isRefusal
    self.init(
      kind, call: call, cause: "\(error)", remedy: Self.remedy(kind, mayBeDone: mayBeDone),
      mayBeDone: mayBeDone)
  }

  private static func remedy(_ kind: Kind, mayBeDone: Bool) -> String {
    if mayBeDone { return "look at what is there: it may have been done all the same" }
    return switch kind {
    case .denied: "give Drover's account this right: deploy/kubernetes has a part for each"
    case .timeout, .unreachable: "look at the API server, and try again"
    case .gone, .replaced: "look at what is there now, and name that"
    case .refused, .unsupported, .other: "do what the answer says"
    }
  }
}

/// Ends what takes too long: whoever waits for it has a machine to save.
///
/// - Parameter isSent: Whether it changes something, so that a time-out leaves open whether that was done.
func within<Value: Sendable>(
  _ deadline: Duration, _ call: String, isSent: Bool = false,
  _ body: @escaping @Sendable () async throws(ControlError) -> Value
) async throws(ControlError) -> Value {
  let first = await withTaskGroup(of: Result<Value, ControlError>?.self) { group in
    group.addTask {
      do throws(ControlError) { return .success(try await body()) } catch { return .failure(error) }
    }
    group.addTask {
      try? await Task.sleep(for: deadline)
      return nil
    }
    let first = await group.next() ?? nil
    group.cancelAll()
    return first
  }
  guard let first else {
    throw ControlError(
      .timeout, call: call, cause: "no answer within \(deadline.inSeconds) s",
      remedy: isSent
        ? "look at what is there: it may have been done all the same"
        : "look at the API server, and try again",
      mayBeDone: isSent)
  }
  return try first.get()
}
