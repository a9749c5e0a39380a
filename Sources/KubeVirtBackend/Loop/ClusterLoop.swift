internal import DroverCore
internal import FoundationEssentials
internal import Kubernetes
internal import Logging

/// Owns the watch of one cluster: everything that happens comes through here, one thing after another.
actor ClusterLoop {
  typealias Sink = @Sendable (BackendMessage) -> Void

  /// How often the requests that were made are told.
  private static let requestInterval = Duration.seconds(5)

  private let name: BackendName
  private let clock: any Timepiece
  private let log: Logger
  private let sink: Sink
  private let counters: RequestCounters
  private let startedAt: Moment
  private var watch: ClusterWatch
  private var health: WatchHealth
  private var said: [RequestCounters.Key: UInt64] = [:]
  private var requestsToldAt: Moment?
  private var firstCollection: Duration?
  /// Watches whose list is not whole.
  private var listing: Set<WatchKey> = []

  init(
    _ configuration: KubeVirtConfiguration, keys: [WatchKey], counters: RequestCounters, clock: any Timepiece,
    log: Logger, telling sink: @escaping Sink
  ) {
    name = configuration.name
    self.clock = clock
    self.log = log
    self.sink = sink
    self.counters = counters
    startedAt = clock.now()
    watch = ClusterWatch(backend: configuration.name, keepalive: configuration.keepalive)
    watch.isRestricted = !configuration.namespaces.isEmpty
    health = WatchHealth(keys)
  }

  private var instant: Instant { Instant(now: clock.now(), epoch: clock.epochOffset()) }

  // MARK: Watches

  /// Takes what a reflector tells.
  func take<Object: KubernetesObject>(
    _ event: ReflectorEvent<Object>, of key: WatchKey, as input: ClusterMapping<Object>
  ) {
    let instant = instant
    switch event {
    case .listing:
      listing.insert(key)
      tell(.listing(key.resource), at: instant)
    case .object(let object, let isInitial):
      alive(key, at: instant)
      tell(input.object(object, isInitial), at: instant)
    case .gone(let key, let last): tell(input.gone(key, last), at: instant)
    case .synced:
      alive(key, at: instant)
      listing.remove(key)
      let isWhole = health.synced(key, at: instant.now) && !listing.contains { $0.resource == key.resource }
      if isWhole { tell(.synced(key.resource), at: instant) }
      if firstCollection == nil, health.lastSuccess != nil { firstCollection = instant.now - startedAt }
      tellHealth()
    case .malformed(let object, let problem):
      alive(key, at: instant)
      log.warning(
        "object left out",
        metadata: [
          "resource": "\(key.resource.rawValue)", "object": "\(object?.description ?? "unreadable")",
          "problem": "\(problem)",
        ])
      tellHealth(error: ProblemBook.Kind.malformed.rawValue)
    case .fresh:
      alive(key, at: instant)
      tell(.fresh(key.resource), at: instant)
    case .failed(let error, let pause): failed(key, error, pause, at: instant)
    }
  }

  private func alive(_ key: WatchKey, at instant: Instant) {
    if health.seen(key, at: instant.now) {
      log.info("watching again", metadata: ["resource": "\(key.resource.rawValue)"])
      tellHealth()
    }
  }

  private func failed(_ key: WatchKey, _ error: KubernetesError, _ pause: Duration, at instant: Instant) {
    let isNews = health.failed(key, error.kind, error.publicDescription)
    if isNews {
      let isAbsent = error.kind == .notFound && !ClusterReflectors.isExpected(key.resource)
      log.log(
        level: isAbsent ? .info : .warning, isAbsent ? "not in this cluster" : "cannot be watched",
        metadata: ["resource": "\(key.resource.rawValue)", "error": "\(error)", "retry": "\(pause)"])
    }
    let failure: ReadFailure =
      switch error.kind {
      case .forbidden: .denied
      case .notFound: .absent
      default: .passing
      }
    tell(.failed(key.resource, failure), at: instant)
    // A kind that this cluster does not have is no error.
    tellHealth(error: error.kind == .notFound ? nil : error.shortDescription)
  }

  private func tell(_ input: ClusterInput, at instant: Instant) {
    for message in watch.take(input, at: instant) { sink(message) }
  }

  // MARK: Time

  /// Looks at what time alone changes; once a second.
  func tick() {
    for message in watch.tick(at: instant) { sink(message) }
    for (kind, object) in watch.problems.takeNews() {
      log.warning(
        "the cluster tells something that cannot be",
        metadata: ["kind": "\(kind.rawValue)", "object": "\(object)"])
      tellHealth(error: kind.rawValue)
    }
    tellRequests()
  }

  /// The API server answered a question that anybody may ask.
  func serverAnswered() {
    let instant = instant
    for resource in health.answered(at: instant.now) { tell(.fresh(resource), at: instant) }
    tellHealth()
  }

  /// The API server left a question unanswered: its watches are believed no longer than broken ones.
  func serverIsSilent(_ error: KubernetesError) {
    let instant = instant
    health.silence = error.publicDescription
    for resource in ClusterResource.allCases { tell(.failed(resource, .passing), at: instant) }
    tellHealth(error: KubernetesError.Kind.timeout.rawValue)
  }

  /// Tells how the back end does.
  func tellHealth(error: String? = nil) {
    sink(
      .health(
        BackendHealth(
          backend: name, isUp: health.isUp, lastSuccess: health.lastSuccess,
          version: watch.settings.versionText,
          collectDuration: firstCollection, errorKind: error, problem: health.problem)))
  }

  private func tellRequests() {
    let now = clock.now()
    guard requestsToldAt.map({ now - $0 >= Self.requestInterval }) ?? true else { return }
    requestsToldAt = now
    let counts = counters.snapshot()
    guard counts != said else { return }
    said = counts
    let requests = counts.map {
      RequestCount(verb: $0.key.verb, resource: $0.key.resource, code: $0.key.code, count: $0.value)
    }
    sink(
      .requests(name, requests.sorted { ($0.resource, $0.verb, $0.code) < ($1.resource, $1.verb, $1.code) }))
  }

  // MARK: Questions

  /// What has to be asked of the API now.
  func questions() -> [ClusterQuestion] { watch.questions(at: clock.now()) }

  /// Takes the pod that a migration waits for.
  func take(_ pod: Pod?, of uid: String) { tell(.targetPod(uid: uid, pod), at: instant) }

  // MARK: Where VMs can go

  /// Whether that has to be judged now; what happens from then on is news again.
  func wantsSurvey(_ schedule: SurveySchedule) -> Bool {
    guard watch.told.hasBegun, schedule.isDue(isOutdated: watch.survey.isOutdated, at: clock.now()) else {
      return false
    }
    watch.survey.isOutdated = false
    return true
  }

  /// Takes where each VM can go.
  func take(_ judgements: [String: VMJudgement]) { tell(.judged(judgements), at: instant) }

  // MARK: virt-handler

  /// What the poller of virt-handler needs to know.
  struct CopyPlan: Sendable {
    /// VMs whose counters are wanted, by node.
    var copies: [String: [VMName]]
    /// KubeVirt's version; nil while it is not known.
    var version: KubeVirtVersion?
    /// Where KubeVirt's own pods are; empty while that is not known.
    var namespace: String

    /// The same with nothing to ask for.
    var withoutCopies: CopyPlan { CopyPlan(copies: [:], version: version, namespace: namespace) }
  }

  /// What is wanted of virt-handler now.
  func copyPlan() -> CopyPlan {
    CopyPlan(
      copies: watch.activeCopies, version: watch.settings.version, namespace: watch.settings.namespace)
  }

  /// Says how often virt-handler is asked.
  func sampled(every interval: Duration) { watch.sampling.delay = interval }

  /// Takes new counters of copies, oldest first.
  func take(_ points: [VMName: [CopyPoint]]) {
    let instant = instant
    for (name, points) in points { tell(.copy(name, points), at: instant) }
  }

  /// Takes since when the virt-handler of a node has not been reached.
  func handler(of node: String, silentSince: Moment?) {
    tell(.handler(node: node, silentSince: silentSince), at: instant)
  }
}
