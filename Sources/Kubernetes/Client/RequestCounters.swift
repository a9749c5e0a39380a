internal import Synchronization

/// How many requests a client has sent, by what they were and how they ended; for metrics.
public final class RequestCounters: Sendable {
  /// One kind of request with one kind of end.
  public struct Key: Hashable, Sendable {
    /// What was asked, in the words of a right: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    public let verb: String
    /// The kind of object, with its part and group: `virtualmachines/migrate.kubevirt.io`; `raw` for other paths.
    public let resource: String
    /// The status code as text, or the ``KubernetesError/Kind`` of a request without an answer.
    public let code: String
  }

  private let counts = Mutex<[Key: UInt64]>([:])

  /// Starts at zero.
  public init() {}

  /// All counts so far; a watch counts when it is answered.
  public func snapshot() -> [Key: UInt64] { counts.withLock { $0 } }

  func count(_ request: APIRequest, code: String) {
    let key = Key(verb: request.verb.rawValue, resource: request.resourceName, code: code)
    counts.withLock { $0[key, default: 0] += 1 }
  }
}
