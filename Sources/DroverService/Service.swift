internal import DroverCore
public import Exposition
internal import Glibc
internal import Journal
public import Logging
public import MicroHTTP
internal import MigrationControl
internal import QEMUBackend
internal import Synchronization

/// What the command line decides.
public struct ServiceOptions: Sendable {
  /// The configuration file; nil for the defaults.
  public var configurationFile: String?
  /// Sockets of QEMUs that the command line adds, one back end each.
  public var qemuSockets: [String] = []
  /// URIs of libvirt hosts that the command line adds, one back end each.
  public var libvirtURIs: [String] = []
  /// Kubeconfigs of clusters that the command line adds, one back end each.
  public var kubeconfigs: [String] = []
  /// Whether the command line adds the cluster that this runs in.
  public var watchesOwnCluster = false
  /// The process's environment: it tells whether this runs in a cluster.
  public var environment: [String: String] = [:]
  /// Where the files and processes of the host are, for libvirt back ends: `/`, or a bind mount of it.
  public var rootDirectory = "/"
  /// The journal's file that the command line names; nil for that of the configuration or the environment.
  public var journalPath: String?
  /// Whether there is a journal at all.
  public var hasJournal = false
  /// Where to listen; one that cannot be had ends the start.
  public var listeners: [Listener] = []
  /// Where to listen too; one that cannot be had is a warning.
  public var optionalListeners: [Listener] = []
  /// The web configuration (`web.yml`): TLS and users; nil: neither.
  public var webConfigurationFile: String?
  /// The path of the metrics.
  public var telemetryPath = "/metrics"
  /// Which Drover this is.
  public var build: BuildInfo
  /// What clients may use.
  public var limits = Limits()

  /// Listens nowhere and watches nothing.
  public init(build: BuildInfo) { self.build = build }
}

/// The daemon, from start to stop: back ends, tracker and HTTP server.
public final class Service: Sendable {
  /// Where clients connect, with the ports that the kernel chose.
  public let addresses: [ListenAddress]
  /// The fleet as it is known.
  public let monitor: FleetMonitor
  /// Where migrations and decisions are recorded, or why they are not.
  public let journal: ServiceJournal
  /// Whether TCP connections speak TLS.
  public let hasTLS: Bool

  /// What answers, without the servers.
  let router: Router
  private let clock: any Timepiece
  private let log: Logger
  private let server: HTTPServer
  private let supervisor: BackendSupervisor
  private let reloader: Reloader
  private let renderer: ScrapeRenderer
  private let control: MigrationControl
  private let automatic: AutomaticControl
  private let drains: DrainControl
  private let keeper: JournalKeeper

  /// Reads the configuration, binds every address and prepares every back end; nothing is watched yet.
  public convenience init(_ options: ServiceOptions, log: Logger) throws {
    let source = ConfigurationSource(
      file: options.configurationFile, qemuSockets: options.qemuSockets, libvirtURIs: options.libvirtURIs,
      kubeconfigs: options.kubeconfigs, watchesOwnCluster: options.watchesOwnCluster,
      environment: options.environment, journalPath: options.journalPath)
    try self.init(options, source: source, configuration: source.load(), log: log, clock: SystemTimepiece())
  }

  /// Serves a configuration that comes from no file: a reload reads nothing and changes nothing.
  public convenience init(_ options: ServiceOptions, configuration: Configuration, log: Logger) throws {
    try self.init(
      options, source: nil, configuration: configuration.adding(journalPath: options.journalPath), log: log,
      clock: SystemTimepiece())
  }

  private init(
    _ options: ServiceOptions, source: ConfigurationSource?, configuration: Configuration, log: Logger,
    clock: SystemTimepiece
  ) throws {
    self.clock = clock
    self.log = log
    journal = try ServiceJournal(
      options.hasJournal
        ? JournalPlace(
          configured: configuration.journalPath, environment: options.environment, isRoot: getuid() == 0)
        : .none, clock: clock, log: log)
    let keeper = JournalKeeper(journal, limits: configuration.journal, clock: clock, log: log)
    self.keeper = keeper
    monitor = FleetMonitor(
      settings: configuration.tracker, clock: clock, log: log, observer: { keeper.take($0) })
    supervisor = BackendSupervisor(monitor: monitor)
    let web = try options.webConfigurationFile.map { try WebFile($0, log: log) }
    hasTLS = web?.hasTLS ?? false
    let (supervisor, monitor, journal) = (supervisor, monitor, journal)
    let authorizer = Authorizer(web: web, log: log) { supervisor.accessReviewer($0) }
    let election = Election(
      standing: { monitor.leadership },
      claims: { monitor.leadership.election.flatMap { supervisor.controllable($0) as? any ClaimStore } })
    control = MigrationControl(
      fleet: monitor, journal: journal, clock: clock, log: log, election: election
    ) {
      supervisor.controllable($0)
    }
    automatic = AutomaticControl(control, journal: journal, log: log) { journal.state.isRecording }
    let automatic = automatic
    drains = DrainControl(control, store: options.hasJournal ? journal : nil) {
      automatic.isPartitioned
    }
    reloader = Reloader(
      source: source, monitor: monitor, supervisor: supervisor, keeper: keeper, authorizer: authorizer,
      automatic: automatic, drains: drains, rootDirectory: options.rootDirectory, clock: clock, log: log)
    reloader.begin(with: configuration)

    renderer = ScrapeRenderer()
    let routes = Routes(
      monitor: monitor, renderer: renderer, clock: clock, build: options.build, reloader: reloader,
      supervisor: supervisor, control: control, automatic: automatic, drains: drains, journal: journal,
      authorizer: authorizer)
    router = routes.router(telemetryPath: options.telemetryPath)
    server = try Self.bind(options, router: router, web: web, log: log)
    addresses = server.boundAddresses
  }

  private static func bind(
    _ options: ServiceOptions, router: Router, web: WebFile?, log: Logger
  ) throws -> HTTPServer {
    let tls = web?.tls
    func bind(_ listeners: [Listener]) throws -> HTTPServer {
      try HTTPServer(listeners: listeners, router: router, limits: options.limits, tls: tls) {
        log.warning("\($0)")
      }
    }
    guard !options.optionalListeners.isEmpty else { return try bind(options.listeners) }
    do {
      return try bind(options.listeners + options.optionalListeners)
    } catch {
      // If it was one of the others, this throws the same again.
      let server = try bind(options.listeners)
      log.warning("no control socket", metadata: ["error": "\(error)"])
      return server
    }
  }

  /// Re-reads the configuration; a bad file keeps the old one in force, and is logged.
  public func reload() async { _ = await reloader.reload() }

  /// What `GET /api/v1/migrations` answers now.
  public func migrations() -> MigrationList {
    MigrationList(monitor.snapshot(), epochOffset: clock.epochOffset(), now: clock.now())
  }

  /// Watches and serves until cancelled.
  public func run() async throws {
    await takeUp()
    try await withThrowingDiscardingTaskGroup { group in
      group.addTask { await self.supervisor.run() }
      group.addTask { await self.monitor.keepTicking() }
      group.addTask { try await self.server.run() }
      group.addTask { await self.keepTrimming() }
      group.addTask { await self.control.keepFollowing() }
      group.addTask { await self.automatic.run() }
      group.addTask { await self.drains.run() }
      group.addTask { await self.keeper.run { self.monitor.snapshot() } }
    }
  }

  /// Takes up what an earlier run left, before anything is watched or anybody served: what is seen and decided from then on
  /// is of this run.
  private func takeUp() async {
    guard journal.isWanted else { return }
    do throws(JournalError) {
      let journal = try journal.readable()
      monitor.expect(try await journal.openMigrations().lazy.map { ($0.id, $0.vm.backend) })
      let left = try await journal.unfinishedDecisions()
      // A migration may have been ended before the journal had taken it.
      monitor.expect(
        left.lazy.compactMap { decision in
          decision.migration.flatMap { id in decision.vm.map { (id, $0.backend) } }
        })
      // Else the migrations of drains are found again as those of others, and no deadline is kept.
      let drained = try await journal.latestDrains().flatMap(\.vms).filter { $0.sentAt != nil }
      monitor.expect(
        drained.lazy.compactMap { vm in vm.migration.map { (id: MigrationID) in (id, vm.vm.backend) } })
      await control.resume(left)
      await drains.resume(left)
    } catch {
      log.warning(
        "what an earlier run left is not known: its migrations go on under other ids",
        metadata: ["error": "\(error)"])
    }
  }

  /// Lets go of renderings that nobody asks for any more, also when nobody asks at all.
  private func keepTrimming() async {
    while (try? await Task.sleep(for: .seconds(60))) != nil { renderer.trim(now: clock.now()) }
  }
}
