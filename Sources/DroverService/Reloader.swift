internal import Dispatch
internal import DroverCore
internal import Exposition
internal import KubeVirtBackend
internal import LibvirtBackend
internal import Logging
internal import MigrationControl
internal import QEMUBackend
internal import Synchronization

/// Where the configuration comes from: a file, and what the flags add to it.
struct ConfigurationSource: Sendable {
  var file: String?
  var qemuSockets: [String]
  var libvirtURIs: [String]
  var kubeconfigs: [String]
  var watchesOwnCluster: Bool
  var environment: [String: String]
  var journalPath: String?

  func load() throws(ConfigurationError) -> Configuration {
    let base: Configuration = if let file { try .load(file: file) } else { Configuration() }
    return try base.adding(qemuSockets: qemuSockets).adding(libvirtURIs: libvirtURIs)
      .adding(kubeconfigs: kubeconfigs).adding(ownCluster: watchesOwnCluster, environment: environment)
      .adding(journalPath: journalPath)
  }
}

/// What came of a wish to re-read the configuration.
enum ReloadResult: Sendable {
  case done
  case failed(String)
}

/// Puts a configuration into force, and replaces it by another while everything runs.
final class Reloader: Sendable {
  private struct InForce {
    var configuration = Configuration()
    var state = ConfigurationState()
  }

  private let source: ConfigurationSource?
  private let monitor: FleetMonitor
  private let supervisor: BackendSupervisor
  private let keeper: JournalKeeper
  private let authorizer: Authorizer
  private let automatic: AutomaticControl
  private let drains: DrainControl
  private let rootDirectory: String
  private let clock: any Timepiece
  private let log: Logger
  private let inForce = Mutex(InForce())
  private let queue = DispatchQueue(label: "drover.reload")

  init(
    source: ConfigurationSource?, monitor: FleetMonitor, supervisor: BackendSupervisor, keeper: JournalKeeper,
    authorizer: Authorizer, automatic: AutomaticControl, drains: DrainControl, rootDirectory: String,
    clock: any Timepiece, log: Logger
  ) {
    self.source = source
    self.monitor = monitor
    self.supervisor = supervisor
    self.keeper = keeper
    self.authorizer = authorizer
    self.automatic = automatic
    self.drains = drains
    self.rootDirectory = rootDirectory
    self.clock = clock
    self.log = log
  }

  /// How the configuration was last read.
  var state: ConfigurationState {
    var state = inForce.withLock(\.state)
    if !authorizer.isWebFileGood { state.isValid = false }
    return state
  }

  /// Which VMs the configuration in force shows.
  var vms: VMSelection { inForce.withLock(\.configuration.vms) }

  /// Labels of VMs that its metrics carry, and that answers tell.
  var vmLabels: [String] { inForce.withLock(\.configuration.vmLabels) }
  var labelNames: Set<String> { inForce.withLock(\.configuration.labelNames) }

  /// Puts the first configuration into force.
  func begin(with configuration: Configuration) { change(to: configuration) }

  /// Reads the configuration again; one with a fault changes nothing.
  func reload() async -> ReloadResult {
    await withCheckedContinuation { continuation in
      // Reading a file may block; and two reloads at once come one after the other.
      queue.async { continuation.resume(returning: self.reloadNow()) }
    }
  }

  private func reloadNow() -> ReloadResult {
    do {
      var metadata: Logger.Metadata = [:]
      if let configuration = try source?.load() {
        let old = inForce.withLock(\.configuration.switches)
        change(to: configuration)
        let changes = ControlSwitch.changes(from: old, to: configuration.switches)
        if !changes.isEmpty { metadata["switches"] = "\(changes)" }
      }
      log.info("configuration re-read", metadata: metadata)
      return .done
    } catch {
      inForce.withLock { $0.state.isValid = false }
      log.error("configuration refused, the old one stays in force", metadata: ["error": "\(error)"])
      return .failed("\(error)")
    }
  }

  /// Called by one at a time: at the start, then from the queue only.
  ///
  /// A scrape reads the state meanwhile, so the lock is held for the exchange alone.
  private func change(to configuration: Configuration) {
    // Before what it is about: a right that is taken away is gone first.
    authorizer.apply(configuration.access, configuration.switches, clusters: configuration.clusters)
    automatic.apply(configuration.automatic)
    drains.apply(
      DrainSettings(
        parallel: configuration.drain.parallel, attempts: configuration.drain.attempts,
        isArmed: configuration.switches[.drain] == .enabled))
    let (old, path) = inForce.withLock { ($0.configuration.backends, $0.configuration.journalPath) }
    if self.state.loadedAt != nil, path != configuration.journalPath {
      log.warning("journal.path has changed: that needs a restart")
    }
    for finding in configuration.unreachableRules { log.warning("\(finding)") }
    if configuration.backends.isEmpty {
      log.warning("no back end is configured: nothing is watched; name one with backends, or with a flag")
    }
    // Before its back end tells who leads.
    monitor.setElection(configuration.election)
    let fresh = configuration.backends.filter { backend in !old.contains { $0.watchesAlike(backend) } }
    for backend in old where !configuration.backends.contains(where: { $0.watchesAlike(backend) }) {
      supervisor.stop(backend.name, keepingTotals: fresh.contains { $0.name == backend.name })
    }
    for backend in fresh { supervisor.start(makeBackend(backend)) }
    monitor.apply(configuration.tracker, budgets: configuration.budgets)
    keeper.apply(configuration.journal)
    let state = ConfigurationState(isValid: true, loadedAt: clock.now())
    inForce.withLock { $0 = InForce(configuration: configuration, state: state) }
  }

  /// Another for each back end that is started: a successor, of the same pod or in the same process, must not take itself
  /// for its predecessor, which gives the Lease back.
  private var identity: String { "\(HostName.ofThisMachine)_\(UInt64.random(in: .min ... .max).hexadecimal)" }

  private func makeBackend(_ backend: Configuration.Backend) -> any MigrationBackend {
    switch backend {
    case .qemu(let qemu): QEMUBackend(configuration: QEMUConfiguration(qemu), clock: clock, log: log)
    case .libvirt(let libvirt):
      LibvirtBackend(
        configuration: LibvirtConfiguration(libvirt, root: rootDirectory), clock: clock, log: log)
    case .kubevirt(let kubevirt):
      KubeVirtBackend(
        configuration: KubeVirtConfiguration(kubevirt, identity: identity), clock: clock, log: log)
    }
  }
}

extension QEMUConfiguration {
  fileprivate init(_ qemu: Configuration.QEMU) {
    self.init(
      name: qemu.name, sockets: qemu.sockets, host: qemu.host.isEmpty ? HostName.ofThisMachine : qemu.host,
      events: qemu.events, budget: qemu.timeouts)
  }
}

extension LibvirtConfiguration {
  init(_ libvirt: Configuration.Libvirt, root: String) {
    self.init(
      name: libvirt.name, uri: libvirt.uri, host: libvirt.host, dirtyRate: libvirt.dirtyRate,
      keepalive: libvirt.keepalive, budget: libvirt.timeouts, root: root)
    controlURI = libvirt.controlURI
    peers = libvirt.peers.map { peer in
      LibvirtPeer(
        name: peer.name, uri: peer.uri, migrateURI: peer.migrateURI, checkURI: peer.checkURI)
    }
  }
}

extension KubeVirtConfiguration {
  init(_ kubevirt: Configuration.KubeVirt, identity: String = HostName.ofThisMachine) {
    let (kubeconfig, context) = (kubevirt.cluster.kubeconfig, kubevirt.cluster.context)
    let counters: Counters =
      switch kubevirt.virtHandler {
      case .direct: .direct
      case .apiserverProxy: .apiServerProxy
      case .prometheus: kubevirt.prometheus.map { .prometheus(PrometheusServer($0)) } ?? .none
      case .none: .none
      }
    self.init(
      name: kubevirt.name,
      access: kubeconfig.isEmpty
        ? .inCluster : .kubeconfig(path: kubeconfig, context: context.isEmpty ? nil : context),
      namespaces: kubevirt.namespaces, counters: counters,
      keepalive: kubevirt.keepalive ?? KeepaliveSettings(), budget: kubevirt.timeouts)
    lease = kubevirt.lease.map { Lease(namespace: $0.namespace, name: $0.name, identity: identity) }
  }
}

extension UInt64 {
  fileprivate var hexadecimal: String {
    let digits = String(self, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

extension KubeVirtConfiguration.PrometheusServer {
  fileprivate init(_ prometheus: Configuration.KubeVirt.Prometheus) {
    self.init(url: prometheus.url, tokenFile: prometheus.tokenFile, caFile: prometheus.caFile)
  }
}

extension Configuration {
  var tracker: MigrationTracker.Settings {
    var settings = MigrationTracker.Settings(
      verdict: VerdictSettings(
        stalledAfter: stalledAfter, passes: passes, dirtyRatio: dirtyRatio, controlSilence: controlSilence,
        dataSilence: dataSilence),
      retention: retention, maxMigrations: maxMigrations)
    settings.automatic = automatic
    return settings
  }

  /// The back end whose Lease decides who leads; nil where there is no election.
  var election: BackendName? {
    for case .kubevirt(let kubevirt) in backends where kubevirt.lease != nil { return kubevirt.name }
    return nil
  }

  /// The back ends that can be asked about tokens.
  var clusters: Set<BackendName> {
    Set(backends.filter { if case .kubevirt = $0 { true } else { false } }.map(\.name))
  }

  var budgets: [BackendName: BudgetSettings] {
    Dictionary(backends.map { ($0.name, $0.timeouts) }) { $1 }
  }
}

extension Configuration.Backend {
  var timeouts: BudgetSettings {
    switch self {
    case .qemu(let qemu): qemu.timeouts
    case .libvirt(let libvirt): libvirt.timeouts
    case .kubevirt(let kubevirt): kubevirt.timeouts
    }
  }

  /// Whether both watch the same in the same way: then a change of time-outs needs no restart.
  func watchesAlike(_ other: Self) -> Bool {
    switch (self, other) {
    case (.qemu(var a), .qemu(let b)):
      a.timeouts = b.timeouts
      return a == b
    case (.libvirt(var a), .libvirt(let b)):
      a.timeouts = b.timeouts
      return a == b
    case (.kubevirt(var a), .kubevirt(let b)):
      a.timeouts = b.timeouts
      return a == b
    case (.qemu, _), (.libvirt, _), (.kubevirt, _): return false
    }
  }
}
