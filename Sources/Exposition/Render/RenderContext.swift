public import DroverCore

/// What a scrape shows besides the fleet: values that are read at the time of the scrape.
public struct RenderContext: Sendable {
  /// The time of the scrape.
  public var now: Moment
  /// What turns a moment into Unix time.
  public var epochOffset: EpochOffset
  /// Which Drover this is.
  public var build: BuildInfo
  /// The state of the configuration.
  public var configuration: ConfigurationState
  /// The process; nil leaves `process_*` out.
  public var process: ProcessStatistics?
  /// Which VMs are shown.
  public var vms: VMSelection
  /// What was decided about aborts; nil where nothing can be.
  public var control: ControlTotals?
  /// Calls to the journal that failed, by kind; nil where there is no journal.
  public var journalErrors: [JournalError.Kind: UInt64]?
  /// Whether this process speaks for the fleet: a standby shows itself and its back ends only.
  public var isLeader: Bool
  /// Labels of VMs that `drover_migration_info` carries, by their names in the cluster.
  public var vmLabels: [String]

  /// Describes the surroundings of a scrape.
  public init(
    now: Moment, epochOffset: EpochOffset, build: BuildInfo,
    configuration: ConfigurationState = ConfigurationState(), process: ProcessStatistics? = nil,
    vms: VMSelection = .blocked, control: ControlTotals? = nil, isLeader: Bool = true,
    journalErrors: [JournalError.Kind: UInt64]? = nil, vmLabels: [String] = []
  ) {
    self.vmLabels = vmLabels
    self.isLeader = isLeader
    self.journalErrors = journalErrors
    self.now = now
    self.epochOffset = epochOffset
    self.build = build
    self.configuration = configuration
    self.process = process
    self.vms = vms
    self.control = control
  }
}

/// Which Drover this is.
public struct BuildInfo: Hashable, Sendable {
  /// The release.
  public var version: String
  /// The commit; empty where it is not known.
  public var revision: String

  /// Describes a build.
  public init(version: String, revision: String = "") {
    self.version = version
    self.revision = revision
  }
}

/// How the configuration was last read.
public struct ConfigurationState: Hashable, Sendable {
  /// Whether the last attempt succeeded.
  public var isValid: Bool
  /// When the configuration in force was read.
  public var loadedAt: Moment?

  /// Describes the last reading of the configuration.
  public init(isValid: Bool = true, loadedAt: Moment? = nil) {
    self.isValid = isValid
    self.loadedAt = loadedAt
  }
}

/// What the system says of this process; a field is nil where it does not tell.
public struct ProcessStatistics: Hashable, Sendable {
  /// User and system CPU time in seconds.
  public var cpuSeconds: Double?
  /// Open file descriptors.
  public var openDescriptors: UInt64?
  /// Most file descriptors that may be open.
  public var maximumDescriptors: UInt64?
  /// Virtual memory.
  public var virtualMemory: Bytes?
  /// Most virtual memory that there may be; the largest number where it is unlimited.
  public var maximumVirtualMemory: Bytes?
  /// Resident memory.
  public var residentMemory: Bytes?
  /// Start of the process in Unix seconds.
  public var startUnixSeconds: Double?
  /// Bytes received by the network namespace of the process.
  public var networkReceived: Bytes?
  /// Bytes sent by the network namespace of the process.
  public var networkSent: Bytes?

  /// Nothing known.
  public init() {}
}

/// Which VMs a scrape shows; the setting `metrics.vms`.
public enum VMSelection: String, CaseIterable, Sendable {
  /// Those that something speaks against migrating.
  case blocked
  /// All.
  case all
  /// None, not even those whose migrations fail.
  case none
}
