internal import FoundationEssentials

/// Which version of Kubernetes answers.
public struct ServerVersion: Hashable, Sendable, Decodable {
  /// The whole version, as in `v1.34.1+rke2r1`.
  public var gitVersion: String
  /// The first number.
  public var major: String
  /// The second number; may have a `+` behind it.
  public var minor: String
}

extension KubernetesClient {
  /// One object, or a part of one.
  public func get<Value: Decodable>(
    _ path: ResourcePath, as type: Value.Type = Value.self
  ) async throws(KubernetesError) -> Value {
    try await read(APIRequest(.get, path)).decoded()
  }

  /// Any path of the server as text; `path` begins with a slash and is percent-encoded.
  public func text(_ path: String, maximumBody: Int = 16 << 20) async throws(KubernetesError)
    -> KubernetesAnswer
  {
    var request = APIRequest(path: path)
    request.accept = "*/*"
    request.maximumBody = maximumBody
    return try await read(request)
  }

  /// A pod's own page, or the log of a container, as text.
  public func text(_ path: ResourcePath, maximumBody: Int = 16 << 20) async throws(KubernetesError)
    -> KubernetesAnswer
  {
    var request = APIRequest(.get, path)
    request.accept = "*/*"
    request.maximumBody = maximumBody
    return try await read(request)
  }

  /// Which version of Kubernetes answers; everybody may ask.
  ///
  /// A server that takes 10 s for that is away.
  public func version() async throws(KubernetesError) -> ServerVersion {
    var request = APIRequest(path: "/version")
    request.totalDeadline = .seconds(10)
    return try await read(request).decoded()
  }

  /// Sends a request that changes nothing, and repeats it where the server asks for that.
  private func read(_ request: APIRequest) async throws(KubernetesError) -> KubernetesAnswer {
    try await repeating { () async throws(KubernetesError) in try await send(request) }
  }

  /// Calls `attempt` until it is not told to come back later, four times at most.
  func repeating<Value>(
    _ attempt: () async throws(KubernetesError) -> Value
  ) async throws(KubernetesError) -> Value {
    var left = 3
    while true {
      do {
        return try await attempt()
      } catch {
        guard left > 0, let pause = error.pause(random: timing.random()) else { throw error }
        left -= 1
        guard (try? await timing.sleep(pause)) != nil else { throw error }
      }
    }
  }
}

extension KubernetesError {
  /// The longest pause that a server may ask for.
  private static let longestPause = 10

  /// How long the server asked to wait, bounded and spread; nil where it did not ask.
  func pause(random: Double) -> Duration? {
    guard case .status(let status) = self, let seconds = status.retryAfterSeconds,
      status.code == 429 || status.code >= 500
    else { return nil }
    return .seconds(min(max(1, seconds), Self.longestPause)) * (1 + random / 4)
  }
}
