/// What is known of a back end before it has said anything.
public struct BackendDescriptor: Hashable, Sendable {
  /// The configured name.
  public var name: BackendName
  /// `qemu`, `libvirt` or `kubevirt`.
  public var type: String
  /// Where it looks: socket patterns, a URI, an API server.
  public var endpoint: String
  /// The node it runs on, where it speaks of one host only.
  public var node: String?
  /// Origins that its migrations can have: their counters exist at 0 from the start.
  public var origins: [Origin]
  /// Causes of failure that it can tell, aborts included: their counters exist at 0 from the start.
  public var causes: [FailureCause]
  /// Kinds of its errors: their counters exist at 0 from the start.
  public var errorKinds: [String]
  /// Seconds per GiB and without progress that apply to its migrations.
  public var budget: BudgetSettings

  /// Describes a back end.
  public init(
    name: BackendName, type: String, endpoint: String, node: String? = nil, origins: [Origin],
    causes: [FailureCause], errorKinds: [String], budget: BudgetSettings = BudgetSettings()
  ) {
    self.name = name
    self.type = type
    self.endpoint = endpoint
    self.node = node
    self.origins = origins
    self.causes = causes
    self.errorKinds = errorKinds
    self.budget = budget
  }
}

/// How a back end does, told after each attempt or when it changed.
public struct BackendHealth: Hashable, Sendable {
  /// The back end.
  public var backend: BackendName
  /// Whether everything that it watches answered at the last attempt.
  public var isUp: Bool
  /// The oldest "last good answer" of everything that it watches; nil before the first.
  public var lastSuccess: Moment?
  /// Version of the watched system; empty where it is not known or there are several.
  public var version: String
  /// How long the last collection took; nil where nothing was collected.
  public var collectDuration: Duration?
  /// An error that happened now, in its closed short form; nil where none did.
  public var errorKind: String?
  /// Why it is down, in the words of its log; nil where it is up, or that is not known.
  public var problem: String?

  /// Describes a back end's health.
  public init(
    backend: BackendName, isUp: Bool, lastSuccess: Moment?, version: String = "",
    collectDuration: Duration? = nil, errorKind: String? = nil, problem: String? = nil
  ) {
    self.backend = backend
    self.isUp = isUp
    self.lastSuccess = lastSuccess
    self.version = version
    self.collectDuration = collectDuration
    self.errorKind = errorKind
    self.problem = problem
  }
}

/// Requests to the watched system of one kind and with one answer, since the start.
public struct RequestCount: Hashable, Sendable {
  /// What was asked: `get`, `list`, `watch`, `create`, `patch`, `delete`.
  public var verb: String
  /// Of what: the plural of a resource.
  public var resource: String
  /// The status of the answer, or the short form of the error that came instead.
  public var code: String
  /// How many.
  public var count: UInt64

  /// Describes a number of requests.
  public init(verb: String, resource: String, code: String, count: UInt64) {
    self.verb = verb
    self.resource = resource
    self.code = code
    self.count = count
  }
}
