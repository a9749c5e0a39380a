public import FoundationEssentials
public import QEMURig
import Synchronization

/// A Kubernetes cluster with KubeVirt, of which only the API server is real: the test plays the rest.
///
/// Each step writes what KubeVirt's controllers would write, in their order. A step takes the moment that it
/// writes down as `at`; without one it is now, by the clock of whoever writes.
public final class Cluster: Sendable {
  /// Whose clock a moment is told by.
  public enum Clock: Hashable, Sendable {
    /// virt-controller's.
    case controller
    /// A node's, by which its virt-handler and kubelet tell the time.
    case node(String)
  }

  struct State {
    var version = "1.6.0"
    var kubeVirtNamespace = "kubevirt"
    var isHarvester = false
    var skews: [Clock: Duration] = [:]
    var namespaces: Set<String> = ["default"]
    var lastAddress = 1
    var lastName = 0
  }

  /// The API server.
  public let server: APIServer
  /// Asks it with all rights.
  public let api: APIClient
  /// Stands in for the virt-handlers of the nodes that have one.
  public let handlers: VirtHandlerStandIn
  let state = Mutex(State())

  private init(server: APIServer) async throws {
    self.server = server
    api = try APIClient(server)
    handlers = try await VirtHandlerStandIn.start()
    try await api.loadDefinitions()
  }

  // MARK: Up and down

  /// Starts a server with the definitions of KubeVirt, Longhorn and Harvester, and an empty cluster; takes
  /// about 8 s.
  ///
  /// - Parameter saved: A directory that ``APIServer/save(to:)`` has made.
  public static func start(from saved: String? = nil) async throws -> Cluster {
    let server = try await APIServer.start(from: saved)
    do {
      return try await Cluster(server: server)
    } catch {
      await server.stop()
      throw error
    }
  }

  /// Lends `body` a cluster that is ended whatever happened.
  public static func with<R: Sendable>(
    from saved: String? = nil, _ body: (Cluster) async throws -> R
  ) async throws -> R {
    let cluster = try await start(from: saved)
    let result: Result<R, any Error>
    do { result = .success(try await body(cluster)) } catch { result = .failure(error) }
    await cluster.stop()
    return try result.get()
  }

  private static let shared = Mutex<Task<Cluster, any Error>?>(nil)

  /// Lends `body` the cluster that all tests of this process share, empty; it starts once, and ends with the
  /// process.
  ///
  /// For one test at a time. A test that fills it with thousands of objects has its own.
  public static func withShared<R: Sendable>(_ body: (Cluster) async throws -> R) async throws -> R {
    let starting = shared.withLock { task in
      let starting = task ?? Task { try await start() }
      task = starting
      return starting
    }
    let cluster: Cluster
    do { cluster = try await starting.value } catch {
      shared.withLock { $0 = nil }
      throw error
    }
    try await cluster.server.reset()
    try await cluster.clear()
    let result: Result<R, any Error>
    do { result = .success(try await body(cluster)) } catch { result = .failure(error) }
    // Another cluster of this process gives its nodes the same addresses.
    try await cluster.handlers.clear()
    return try result.get()
  }

  /// Ends all of it.
  public func stop() async {
    await handlers.stop()
    await api.close()
    await server.stop()
  }

  // MARK: Time

  /// Sets a clock ahead, or back by a negative duration.
  public func setClockSkew(_ skew: Duration, of clock: Clock) async throws {
    state.withLock { $0.skews[clock] = skew }
    if case .node(let node) = clock { try await handlers.setClockSkew(skew, of: node) }
  }

  /// What a clock says now.
  public func now(_ clock: Clock = .controller) -> Date {
    let skew = state.withLock { $0.skews[clock] } ?? .zero
    return Date().addingTimeInterval(skew / .seconds(1))
  }

  /// A moment as KubeVirt writes it: in whole seconds.
  func stamp(_ at: Date?, _ clock: Clock = .controller) -> JSONValue {
    .string((at ?? now(clock)).formatted(Date.ISO8601FormatStyle()))
  }

  // MARK: What all parts need

  /// The version of KubeVirt that is played, such as `1.6.0`.
  public var version: String { state.withLock { $0.version } }

  /// Where KubeVirt and its parts are: `kubevirt` upstream, `harvester-system` on Harvester.
  public var kubeVirtNamespace: String { state.withLock { $0.kubeVirtNamespace } }

  /// Its second number.
  var minorVersion: Int { Self.minor(of: version) }

  static func minor(of version: String) -> Int {
    let parts = version.split(separator: ".")
    return parts.count > 1 ? Int(parts[1]) ?? 0 : 0
  }

  /// Whether Harvester's controllers are played too, with their annotations.
  public var isHarvester: Bool {
    get { state.withLock { $0.isHarvester } }
    set { state.withLock { $0.isHarvester = newValue } }
  }

  /// Reads an object, changes it and writes it back, again where somebody else was faster.
  @discardableResult
  public func edit(
    _ resource: Resource, _ name: String, in namespace: String? = nil, subresource: String? = nil,
    _ change: (inout JSONValue) -> Void
  ) async throws -> JSONValue {
    for _ in 0..<20 {
      var object = try await api.get(resource, name, in: namespace)
      change(&object)
      do { return try await api.replace(object, subresource: subresource) } catch let error as APIRefusal
        where error.status == 409
      { continue }
    }
    throw KubeLabError("changing \(resource.kind) \(name)", "others change it all the time")
  }

  /// Makes a namespace that is not there yet.
  public func addNamespace(_ name: String, labels: [String: String] = [:]) async throws {
    let object: JSONValue = [
      "apiVersion": "v1", "kind": "Namespace",
      "metadata": ["name": .string(name), "labels": .strings(labels)],
    ]
    do { try await api.create(object) } catch let error as APIRefusal where error.reason == "AlreadyExists" {
      try await api.patch(.namespaces, name, ["metadata": ["labels": .strings(labels)]])
    }
    state.withLock { _ = $0.namespaces.insert(name) }
  }

  func needNamespace(_ name: String) async throws {
    if !state.withLock({ $0.namespaces.contains(name) }) { try await addNamespace(name) }
  }

  /// A name that no other object has, with five letters at its end as the API server makes them.
  func uniqueName(_ prefix: String) -> String {
    var number = state.withLock { state in
      state.lastName += 1
      return state.lastName
    }
    let letters = Array("bcdfghjklmnpqrstvwxz2456789")
    // Spread, so that names do not come in the order of their making.
    number = (number &* 7_919_777) % 14_348_907
    var end = ""
    for _ in 0..<5 {
      end.append(letters[number % letters.count])
      number /= letters.count
    }
    return prefix + end
  }

  /// Writes an event as Kubernetes' recorder does.
  @discardableResult
  public func addEvent(
    _ reason: String, _ message: String, isWarning: Bool = false, about resource: Resource, _ name: String,
    in namespace: String, uid: String, from component: String = "virtualmachine-controller", at: Date? = nil
  ) async throws -> JSONValue {
    let time = stamp(at)
    return try await api.create([
      "apiVersion": "v1", "kind": "Event",
      "metadata": ["name": .string(uniqueName("\(name).")), "namespace": .string(namespace)],
      "involvedObject": [
        "apiVersion": .string(resource.apiVersion), "kind": .string(resource.kind), "name": .string(name),
        "namespace": .string(namespace), "uid": .string(uid),
      ],
      "type": isWarning ? "Warning" : "Normal", "reason": .string(reason), "message": .string(message),
      "source": ["component": .string(component)], "firstTimestamp": time, "lastTimestamp": time, "count": 1,
    ])
  }

  /// Takes away everything that a test has made, except namespaces; virt-handlers go too.
  public func clear() async throws {
    try await handlers.clear()
    for resource in Resource.all where !Self.kept.contains(resource) {
      for object in try await api.list(resource) where !Self.isOwn(object) {
        if object[path: "metadata", "finalizers"] != nil {
          try await api.patch(
            resource, object.name, in: object.namespace, ["metadata": ["finalizers": .null]])
        }
        do {
          try await api.delete(resource, object.name, in: object.namespace, graceSeconds: 0)
        } catch let error as APIRefusal where error.status == 404 {}
      }
    }
    state.withLock { state in
      let namespaces = state.namespaces
      state = State()
      state.namespaces = namespaces
    }
  }

  private static let kept: [Resource] = [.namespaces, .customResourceDefinitions, .services, .leases]

  /// Whether the API server made it for itself.
  private static func isOwn(_ object: JSONValue) -> Bool {
    object.name.hasPrefix("system:") || ["kube-system", "kube-public"].contains(object.namespace)
      || object[path: "metadata", "labels", "kubernetes.io/bootstrapping"] != nil
  }
}
