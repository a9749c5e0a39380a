internal import CurlClient
internal import DroverCore
internal import FoundationEssentials
internal import Kubernetes
internal import Logging

/// Asks virt-handler for the counters of running copies, as often as is good for it.
actor HandlerLoop {
  private let configuration: KubeVirtConfiguration
  private let client: KubernetesClient
  private let http: CurlClient
  private let loop: ClusterLoop
  private let clock: any Timepiece
  private let log: Logger
  /// Two Drovers that ask would cost virt-handler twice.
  private let mayAsk: @Sendable () -> Bool

  private var schedule: HandlerSchedule
  private var freshness = Freshness()
  private var clocks: [String: HandlerClock] = [:]
  private var targets: [String: HandlerTarget] = [:]
  private var authorities: (pem: [UInt8]?, readAt: Moment)?
  private var hasComplained = false
  /// What is wrong now, by lane.
  private var failures: [String: HandlerError.Kind] = [:]
  /// Nodes whose virt-handler was told to be out of reach.
  private var silent: Set<String> = []
  private var toldInterval: Duration?

  /// For so long what was read of KubeVirt's authorities holds; they are renewed within days.
  private static let authorityAge = Duration.seconds(600)
  private static let round = Duration.milliseconds(250)
  /// For so many milliseconds it is remembered which samples of a guest were taken.
  private static let memory: Int64 = 3_600_000

  init?(
    _ configuration: KubeVirtConfiguration, client: KubernetesClient, http: CurlClient, loop: ClusterLoop,
    clock: any Timepiece, log: Logger, mayAsk: @escaping @Sendable () -> Bool = { true }
  ) {
    if configuration.counters == .none { return nil }
    self.mayAsk = mayAsk
    self.configuration = configuration
    self.client = client
    self.http = http
    self.loop = loop
    self.clock = clock
    self.log = log
    var grouping = HandlerSchedule.Grouping.perNode
    if case .prometheus = configuration.counters { grouping = .together }
    schedule = HandlerSchedule(interval: .seconds(30), grouping: grouping)
  }

  /// Asks until the task is cancelled.
  func run() async {
    await withDiscardingTaskGroup { group in
      while !Task.isCancelled {
        let plan = mayAsk() ? await loop.copyPlan() : await loop.copyPlan().withoutCopies
        await prepare(plan)
        for turn in schedule.due(at: clock.now()) {
          group.addTask { await self.ask(turn, plan) }
        }
        try? await Task.sleep(for: Self.round)
      }
      group.cancelAll()
    }
  }

  private func prepare(_ plan: ClusterLoop.CopyPlan) async {
    let now = clock.now()
    let interval =
      configuration.handlerInterval
      ?? HandlerSchedule.usualInterval(
        version: plan.version, isScraped: schedule.grouping == .together)
    schedule.interval = interval
    if toldInterval != interval {
      toldInterval = interval
      await loop.sampled(every: interval)
    }
    schedule.setActive(Set(plan.copies.keys), at: now)
    targets = targets.filter { plan.copies[$0.key] != nil }
    clocks = clocks.filter { $0.key.isEmpty || plan.copies[$0.key] != nil }
    failures = failures.filter { $0.key.isEmpty || plan.copies[$0.key] != nil }
    // Nobody asks it any more: what it was says nothing about the next migration.
    for node in silent where plan.copies[node] == nil { await tell(node, silentSince: nil) }
  }

  private func tell(_ node: String, silentSince: Moment?) async {
    if silentSince == nil { silent.remove(node) } else { silent.insert(node) }
    await loop.handler(of: node, silentSince: silentSince)
  }

  /// The node that a question is about; empty where one server is asked about all.
  private func lane(of turn: HandlerSchedule.Turn) -> String {
    schedule.grouping == .perNode ? turn.nodes.first ?? "" : ""
  }

  private func ask(_ turn: HandlerSchedule.Turn, _ plan: ClusterLoop.CopyPlan) async {
    let lane = lane(of: turn)
    let sent: Moment
    let reading: HandlerReading
    do {
      let targets = try await targets(for: turn, plan)
      let source = try await source(targets.first?.namespace ?? "")
      sent = clock.now()
      reading = try await source.read(targets)
    } catch {
      schedule.failed(turn, error.kind, retryAfter: error.retryAfter, at: clock.now())
      for node in turn.nodes { targets[node] = nil }
      await noteFailure(of: turn, error)
      return
    }
    let received = clock.now()
    schedule.answered(turn, at: received)
    failures[lane] = nil
    clocks[lane, default: HandlerClock()].observe(
      serverTime: reading.serverTime, sent: sent, received: received)
    await deliver(reading, lane: lane, plan)
    for node in turn.nodes { await tell(node, silentSince: nil) }
    if reading.flaws.count > 0 { await loop.tellHealth(error: "handler_garbled") }
  }

  private func noteFailure(of turn: HandlerSchedule.Turn, _ error: HandlerError) async {
    guard error.kind != .cancelled else { return }
    let lane = lane(of: turn)
    if failures.updateValue(error.kind, forKey: lane) != error.kind {
      log.warning(
        "virt-handler's counters cannot be read",
        metadata: ["nodes": "\(turn.nodes.joined(separator: ","))", "error": "\(error)"])
    }
    for node in turn.nodes { await tell(node, silentSince: schedule.unreachableSince(node)) }
    await loop.tellHealth(error: "handler_\(error.shortDescription)")
  }

  private func deliver(_ reading: HandlerReading, lane: String, _ plan: ClusterLoop.CopyPlan) async {
    guard let clock = clocks[lane] else { return }
    var points: [VMName: [CopyPoint]] = [:]
    freshness.forget(before: reading.serverTime - Self.memory)
    for (key, samples) in reading.samples {
      let name = VMName(namespace: key.namespace, name: key.name)
      // After the guest has moved, its new node tells of it, too.
      guard plan.copies[key.node]?.contains(name) ?? false else { continue }
      points[name, default: []] += freshness.take(key, samples).compactMap { sample in
        clock.moment(unixMilliseconds: sample.at).map {
          CopyPoint(sample, at: $0, clockError: clock.uncertainty ?? .zero)
        }
      }
    }
    points = points.filter { !$0.value.isEmpty }
    if !points.isEmpty { await loop.take(points) }
  }

  // MARK: Whom to ask

  private func source(_ namespace: String) async throws(HandlerError) -> any HandlerSource {
    switch configuration.counters {
    case .direct, .none:
      return DirectHandlerSource(
        client: http, authorities: try await readAuthorities(in: namespace), port: configuration.handlerPort)
    case .apiServerProxy: return ProxyHandlerSource(getter: APIServerGetter(client: client))
    case .prometheus(let server):
      do {
        var settings = PrometheusHandlerSource.Settings(server: try ServerAddress(parsing: server.url))
        settings.tokenFile = server.tokenFile.isEmpty ? nil : server.tokenFile
        settings.caFile = server.caFile.isEmpty ? nil : server.caFile
        return PrometheusHandlerSource(client: http, settings: settings)
      } catch {
        throw HandlerError(
          .settings, call: "asking Prometheus", message: error.message, remedy: "correct prometheus.url")
      }
    }
  }

  private func targets(
    for turn: HandlerSchedule.Turn, _ plan: ClusterLoop.CopyPlan
  ) async throws(HandlerError) -> [HandlerTarget] {
    if case .prometheus = configuration.counters {
      return turn.nodes.map { HandlerTarget(node: $0, namespace: "", pod: "", address: "") }
    }
    guard let node = turn.nodes.first else { return [] }
    if let target = targets[node] { return [target] }
    let call = "looking for the virt-handler of node \(node)"
    let selection = ListSelection(labels: "kubevirt.io=virt-handler", fields: "spec.nodeName=\(node)")
    // Where the KubeVirt object cannot be read: upstream's namespace, then Harvester's.
    let namespaces = plan.namespace.isEmpty ? ["kubevirt", "harvester-system"] : [plan.namespace]
    var pods: [Pod] = []
    var refusal: KubernetesError?
    for namespace in namespaces where pods.isEmpty {
      do {
        pods = try await client.list(Resource.pods.within(namespace), selection, of: Pod.self).objects
      } catch {
        refusal = error
      }
    }
    if pods.isEmpty, let refusal {
      throw HandlerError(
        refusal.kind == .forbidden ? .denied : .apiServer, call: call, message: "\(refusal)",
        remedy: "grant the right, or set virtHandler: none")
    }
    guard let pod = pods.first(where: { !$0.address.isEmpty }) else {
      throw HandlerError(
        .missing, call: call, message: "there is no such pod, or it has no address",
        remedy: "check virt-handler's DaemonSet")
    }
    let target = HandlerTarget(
      node: node, namespace: pod.metadata.namespace, pod: pod.metadata.name, address: pod.address)
    targets[node] = target
    return [target]
  }

  /// Who signs virt-handler's certificates; nil where nobody lets that be read, and so nothing is checked.
  ///
  /// A server that is only away for a moment is no reason to check nothing.
  private func readAuthorities(in namespace: String) async throws(HandlerError) -> [UInt8]? {
    let now = clock.now()
    if let authorities, now - authorities.readAt < Self.authorityAge { return authorities.pem }
    var problem = "the ConfigMap kubevirt-ca has no ca-bundle"
    var pem: [UInt8]?
    do {
      let path = Resource(plural: "configmaps").named("kubevirt-ca", in: namespace)
      let map = try await client.get(path, as: ConfigMap.self)
      pem = map.data?["ca-bundle"].flatMap { $0.isEmpty ? nil : Array($0.utf8) }
    } catch {
      guard error.kind == .forbidden || error.kind == .notFound else {
        if let authorities { return authorities.pem }
        throw HandlerError(
          .apiServer, call: "reading KubeVirt's authorities", message: "\(error)", remedy: "it is tried again"
        )
      }
      problem = "\(error)"
    }
    if pem == nil, !hasComplained {
      log.warning("virt-handler's certificates are not checked", metadata: ["error": "\(problem)"])
    }
    hasComplained = pem == nil
    authorities = (pem, now)
    return pem
  }
}

/// An object that holds texts.
private struct ConfigMap: Decodable {
  var data: [String: String]?
}

/// Asks the API server for a path, and takes any status for an answer.
private struct APIServerGetter: RawGetter {
  let client: KubernetesClient

  func get(_ path: String) async throws -> RawAnswer {
    do {
      let answer = try await client.text(path, maximumBody: HandlerAnswer.longestBody)
      return RawAnswer(
        status: answer.status, headers: [:],
        serverTime: answer.serverTime.map { Int64($0.timeIntervalSince1970 * 1000) }, body: answer.body)
    } catch {
      guard case .status(let status) = error else { throw error }
      return RawAnswer(status: status.code, headers: [:], body: Array(status.message.utf8))
    }
  }
}

extension CopyPoint {
  fileprivate init(_ sample: HandlerSample, at moment: Moment, clockError: Duration) {
    self.init(
      at: moment, clockError: clockError, processed: sample.processed, remaining: sample.remaining,
      total: sample.total, dirtyRate: sample.dirtyRate)
  }
}
