internal import CurlClient
public import DroverCore
internal import FoundationEssentials
internal import Kubernetes
public import Logging
internal import Synchronization

/// Watches the live migrations of one cluster through the Kubernetes API.
public final class KubeVirtBackend: MigrationBackend {
  let configuration: KubeVirtConfiguration
  let clock: any Timepiece
  let log: Logger
  /// Who asks the API server while the back end runs; nil before.
  let client = Mutex<KubernetesClient?>(nil)
  /// What was read last of what a drain would do.
  let preflights = PreflightDesk()
  /// How notes about VMs have failed, so that each is said once.
  let failedNotes = Mutex<Set<ControlError.Kind>>([])

  /// An API server that answers nothing for so long is away, whatever its open watches say.
  private static let probeInterval = Duration.seconds(10)

  /// What is known of it before it has said anything.
  public let descriptor: BackendDescriptor

  /// Makes a back end; nothing is asked before it runs.
  public init(configuration: KubeVirtConfiguration, clock: any Timepiece, log: Logger) {
    self.configuration = configuration
    self.clock = clock
    var log = log
    log[metadataKey: "backend"] = "\(configuration.name.rawValue)"
    self.log = log
    descriptor = BackendDescriptor(
      name: configuration.name, type: "kubevirt", endpoint: configuration.access.description,
      origins: Origin.allCases,
      causes: [
        .userAbort, .policyAbort, .alertAbort, .completionTimeout, .progressTimeout, .keepalive,
        .connectionLost,
        .sourceLost, .targetLost, .targetRefused, .unschedulable, .podPendingTimeout, .quota, .notMigratable,
        .storage, .guestShutdown, .guestCrashed, .postcopyBroken, .vmLost, .superseded, .other, .unknown,
      ],
      errorKinds: KubernetesError.Kind.allCases.map(\.rawValue)
        + ProblemBook.Kind.allCases.map(\.rawValue)
        .filter { kind in !KubernetesError.Kind.allCases.contains { $0.rawValue == kind } }
        + HandlerError.Kind.allCases.filter { $0 != .cancelled }.map { "handler_\($0.rawValue)" },
      budget: configuration.budget)
  }

  /// Watches until the task is cancelled.
  public func run(telling sink: @escaping @Sendable (BackendMessage) -> Void) async {
    let access = await findAccess(telling: sink)
    guard let access else { return }
    log.info("asking the API server", metadata: ["server": "\(access.address)", "as": "\(access.origin)"])
    let http = CurlClient()
    let client = KubernetesClient(access: access, http: http, version: configuration.agentVersion)
    self.client.withLock { $0 = client }
    defer { self.client.withLock { $0 = nil } }
    let keys = ClusterReflectors.keys(namespaces: configuration.namespaces)
    let reflectors = ClusterReflectors(client: client, namespaces: configuration.namespaces)
    let loop = ClusterLoop(
      configuration, keys: keys, counters: client.counters, clock: clock, log: log, telling: sink)
    let elector = configuration.lease.map { lease in
      LeaseElector(lease, client: client, clock: clock, log: log) { [name = configuration.name] term in
        sink(.leader(name, term))
      }
    }
    let handlers = HandlerLoop(
      configuration, client: client, http: http, loop: loop, clock: clock, log: log,
      mayAsk: { elector?.isLeader ?? true })
    await withDiscardingTaskGroup { group in
      if let elector { group.addTask { await elector.run() } }
      for key in keys { group.addTask { await reflectors.run(key, telling: loop) } }
      // Who may look into some namespaces only cannot see what others leave of a node: there KubeVirt's word is all.
      if configuration.namespaces.isEmpty {
        let survey = SurveyLoop(
          reader: SurveyReader(client), loop: loop, clock: clock, log: log,
          mayAsk: { elector?.isLeader ?? true })
        group.addTask { await survey.run() }
      }
      if let handlers { group.addTask { await handlers.run() } }
      group.addTask { await self.keepTicking(loop, reflectors) }
      group.addTask { await self.keepProbing(loop, client) }
    }
    await http.shutdown()
  }

  /// Finds out which server to ask, and as whom; tries again until that is known.
  private func findAccess(telling sink: @Sendable (BackendMessage) -> Void) async -> ClusterAccess? {
    var isFirst = true
    while !Task.isCancelled {
      do {
        return try configuration.access.resolved(environment: ProcessInfo.processInfo.environment)
      } catch {
        if isFirst { log.error("no API server to ask", metadata: ["error": "\(error)"]) }
        isFirst = false
        sink(
          .health(
            BackendHealth(
              backend: configuration.name, isUp: false, lastSuccess: nil,
              errorKind: KubernetesError.Kind.credentials.rawValue,
              problem: "no API server to ask: \(error.publicDescription)")
          ))
      }
      try? await Task.sleep(for: .seconds(10))
    }
    return nil
  }

  private func keepTicking(_ loop: ClusterLoop, _ reflectors: ClusterReflectors) async {
    while !Task.isCancelled {
      await loop.tick()
      for question in await loop.questions() {
        switch question {
        case .targetPod(let uid, let namespace):
          // A refusal is counted by the client; the migration then waits for a reason that nobody knows.
          if let pod = try? await reflectors.targetPod(of: uid, in: namespace) {
            await loop.take(pod, of: uid)
          }
        }
      }
      try? await Task.sleep(for: .seconds(1))
    }
  }

  private func keepProbing(_ loop: ClusterLoop, _ client: KubernetesClient) async {
    while !Task.isCancelled {
      do {
        _ = try await client.version()
        await loop.serverAnswered()
      } catch {
        // A refusal is an answer.
        if case .status = error { await loop.serverAnswered() } else { await loop.serverIsSilent(error) }
      }
      try? await Task.sleep(for: Self.probeInterval)
    }
  }
}

extension KubeVirtConfiguration.Access {
  /// Why nobody can be asked this way now; nil where nothing speaks against it.
  public func problem(environment: [String: String]) -> String? {
    do throws(AccessError) {
      _ = try resolved(environment: environment)
      return nil
    } catch {
      return "\(error)"
    }
  }

  /// Where it looks, as configured.
  fileprivate var description: String {
    switch self {
    case .inCluster: "in-cluster"
    case .kubeconfig(let path, let context):
      [path ?? "kubeconfig", context].compactMap(\.self).joined(separator: " ")
    }
  }

  fileprivate func resolved(environment: [String: String]) throws(AccessError) -> ClusterAccess {
    switch self {
    case .inCluster: try ClusterAccess.inCluster(environment: environment)
    case .kubeconfig(let path, let context):
      try Kubeconfig.load(file: path, environment: environment).access(context: context)
    }
  }
}
