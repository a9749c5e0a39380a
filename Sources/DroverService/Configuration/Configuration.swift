public import DroverCore
public import Exposition
internal import Glibc
public import Journal
internal import Yams

/// What the operator has set; everything has a default, and no back end at all is valid.
public struct Configuration: Hashable, Sendable {
  /// Systems to watch, in the order of file and flags.
  public internal(set) var backends: [Backend] = []
  /// Time-outs of back ends that set none of their own.
  public internal(set) var timeouts = BudgetSettings()
  /// The keepalive of libvirt back ends that set none of their own; nil for what each host's `qemu.conf` says.
  public internal(set) var keepalive: KeepaliveSettings?
  /// Both sent and remaining bytes still for this long is a stall.
  public internal(set) var stalledAfter = Duration.seconds(10)
  /// Passes without a new smallest remaining before a migration does not converge.
  public internal(set) var passes = 3
  /// Part of the transfer rate that the dirty rate must reach for that.
  public internal(set) var dirtyRatio = 0.9
  /// A control connection that is silent for longer is a lost network.
  public internal(set) var controlSilence = Duration.seconds(7)
  /// So is a data connection that leaves what was sent without an acknowledgement for longer.
  public internal(set) var dataSilence = Duration.seconds(5)
  /// How long ended migrations are shown.
  public internal(set) var retention = Duration.seconds(900)
  /// Which VMs get series of their own.
  public internal(set) var vms = VMSelection.blocked
  /// Most migrations that are tracked at a time.
  public internal(set) var maxMigrations = 5000
  /// Labels of VMs that metrics may carry, by their names in the cluster.
  public internal(set) var vmLabels: [String] = []
  /// The journal's file; empty for the place that the environment names.
  public internal(set) var journalPath = ""
  /// How much the journal keeps.
  public internal(set) var journal = JournalLimits()
  /// Who may do what, besides root and Drover's own user on the control socket.
  public internal(set) var access: [AccessRule] = []
  /// What is armed; a switch that is absent is disabled.
  public internal(set) var switches: [ControlSwitch: SwitchState] = [:]
  /// What may be ended without a person.
  public internal(set) var automatic = AutomaticSettings()
  /// Rules that never apply, each in a sentence.
  public internal(set) var unreachableRules: [String] = []
  /// How drains go about it.
  public internal(set) var drain = DrainConfiguration()

  /// The documented defaults, without a back end.
  public init() {}

  /// One system to watch.
  public enum Backend: Hashable, Sendable {
    /// QEMU monitors on this machine.
    case qemu(QEMU)
    /// A libvirt host.
    case libvirt(Libvirt)
    /// A cluster with KubeVirt.
    case kubevirt(KubeVirt)

    /// The name that its series carry.
    public internal(set) var name: BackendName {
      get {
        switch self {
        case .qemu(let qemu): qemu.name
        case .libvirt(let libvirt): libvirt.name
        case .kubevirt(let kubevirt): kubevirt.name
        }
      }
      set {
        switch self {
        case .qemu(var qemu):
          qemu.name = newValue
          self = .qemu(qemu)
        case .libvirt(var libvirt):
          libvirt.name = newValue
          self = .libvirt(libvirt)
        case .kubevirt(var kubevirt):
          kubevirt.name = newValue
          self = .kubevirt(kubevirt)
        }
      }
    }

    /// What it is called where it is given no name, before a number keeps it apart from others.
    private var defaultName: String {
      switch self {
      case .qemu: "qemu"
      case .libvirt(let libvirt): LibvirtURI.backendName(of: libvirt.uri)
      case .kubevirt: "kubevirt"
      }
    }

    var sockets: [String] { if case .qemu(let qemu) = self { qemu.sockets } else { [] } }

    var uri: String? { if case .libvirt(let libvirt) = self { libvirt.uri } else { nil } }

    var cluster: KubeVirt.Cluster? {
      if case .kubevirt(let kubevirt) = self { kubevirt.cluster } else { nil }
    }

    /// Gives the first free name to each back end without one.
    static func giveNames(to backends: inout [Self]) {
      var names = BackendNames(taken: backends.map(\.name.rawValue))
      for index in backends.indices where backends[index].name.rawValue.isEmpty {
        backends[index].name = names.next(after: backends[index].defaultName)
      }
    }
  }
}

extension Configuration {
  /// Largest file that is read, in bytes.
  public static let largestFile = 1 << 20

  /// Reads a file; throws everything that is wrong with it.
  public static func load(file: String) throws(ConfigurationError) -> Configuration {
    let bytes = try contents(of: file)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      let line = firstInvalidLine(bytes)
      throw ConfigurationError(
        .syntax, file: file,
        [ConfigurationProblem(line: line, column: nil, text: "not UTF-8; save the file as UTF-8")])
    }
    return try parse(text, file: file)
  }

  /// Reads a text; throws everything that is wrong with it.
  ///
  /// - Parameter file: The name that errors begin with.
  public static func parse(_ text: String, file: String) throws(ConfigurationError) -> Configuration {
    let document: YAMLDocument
    do throws(YAMLDocument.Failure) {
      document = try YAMLDocument(parsing: text.first == "\u{FEFF}" ? String(text.dropFirst()) : text)
    } catch {
      throw ConfigurationError(
        .syntax, file: file,
        [ConfigurationProblem(line: error.place?.line, column: error.place?.column, text: error.text)])
    }
    var reader = ConfigurationReader(document)
    let configuration = reader.configuration()
    guard reader.problems.isEmpty else { throw ConfigurationError(.invalid, file: file, reader.problems) }
    return configuration
  }

  private static func contents(of file: String) throws(ConfigurationError) -> [UInt8] {
    // Not to wait for a writer where somebody has put a pipe in the file's place.
    let descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw unreadable(file, errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw unreadable(file, errno) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw ConfigurationError(.unreadable, file: file, "not a regular file; give the path of a YAML file")
    }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while bytes.count <= largestFile {
      let count = read(descriptor, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw unreadable(file, errno) }
      guard count > 0 else { return bytes }
      bytes += chunk[..<count]
    }
    throw ConfigurationError(.tooLarge, file: file, "larger than 1 MiB; is this a Drover configuration?")
  }

  private static func unreadable(_ file: String, _ code: Int32) -> ConfigurationError {
    let remedy =
      switch code {
      case ENOENT: "create it, or give the right path"
      case EACCES, EPERM: "let the user that Drover runs as read it"
      default: "give a readable file"
      }
    return ConfigurationError(
      .unreadable, file: file, "cannot be read: \(String(cString: strerror(code))); \(remedy)")
  }

  private static func firstInvalidLine(_ bytes: [UInt8]) -> Int {
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    return (lines.firstIndex { String(validating: $0, as: UTF8.self) == nil } ?? 0) + 1
  }
}
