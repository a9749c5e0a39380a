public import DroverCore
public import Exposition
internal import Glibc
internal import QEMUBackend
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

  /// The documented defaults, without a back end.
  public init() {}

  /// One system to watch.
  public enum Backend: Hashable, Sendable {
    /// QEMU monitors on this machine.
    case qemu(QEMU)
    /// A libvirt host.
    case libvirt(Libvirt)

    /// The name that its series carry.
    public internal(set) var name: BackendName {
      get {
        switch self {
        case .qemu(let qemu): qemu.name
        case .libvirt(let libvirt): libvirt.name
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
        }
      }
    }

    /// What it is called where it is given no name, before a number keeps it apart from others.
    private var defaultName: String {
      switch self {
      case .qemu: "qemu"
      case .libvirt(let libvirt): LibvirtURI.backendName(of: libvirt.uri)
      }
    }

    fileprivate var sockets: [String] { if case .qemu(let qemu) = self { qemu.sockets } else { [] } }

    fileprivate var uri: String? { if case .libvirt(let libvirt) = self { libvirt.uri } else { nil } }

    /// Gives the first free name to each back end without one.
    static func giveNames(to backends: inout [Self]) {
      var names = BackendNames(taken: backends.map(\.name.rawValue))
      for index in backends.indices where backends[index].name.rawValue.isEmpty {
        backends[index].name = names.next(after: backends[index].defaultName)
      }
    }
  }

  /// QEMU monitors on this machine.
  public struct QEMU: Hashable, Sendable {
    /// The name that its series carry.
    public internal(set) var name = BackendName(rawValue: "")
    /// Paths of QMP sockets; `*` and `?` stand for parts of a name.
    public internal(set) var sockets: [String]
    /// Whether QEMU's migration events are switched on in the guests that are watched.
    public internal(set) var events = false
    /// The host's name in labels; empty for this machine's own.
    public internal(set) var host = ""
    /// Time-outs of its migrations.
    public internal(set) var timeouts: BudgetSettings
  }

  /// A libvirt host.
  public struct Libvirt: Hashable, Sendable {
    /// The name that its series carry.
    public internal(set) var name = BackendName(rawValue: "")
    /// Any URI that libvirt takes.
    public internal(set) var uri: String
    /// The host's name in labels; empty for the one that its daemon tells.
    public internal(set) var host = ""
    /// Whether the dirty rates of VMs that do not migrate are measured: needs a connection that may write.
    public internal(set) var dirtyRate = false
    /// Time-outs of its migrations.
    public internal(set) var timeouts: BudgetSettings
    /// The keepalive between its daemon and others; nil for what the host's `qemu.conf` says.
    public internal(set) var keepalive: KeepaliveSettings?
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

  /// This configuration with one back end more for each QMP socket given by flag.
  ///
  /// - Throws: A path that is empty, or that the file or an earlier flag also names: a monitor takes one client.
  public func adding(qemuSockets: [String]) throws(ConfigurationError) -> Configuration {
    var result = self
    for path in qemuSockets {
      let known = result.backends.flatMap(\.sockets)
      guard !path.isEmpty, !path.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
      else {
        throw ConfigurationError(
          .invalid, file: "--qemu.socket", "a path must be given, such as /run/guest.qmp")
      }
      guard !known.contains(path) else {
        throw ConfigurationError(
          .invalid, file: "--qemu.socket",
          "\(quoted(path)) is named twice, and a monitor takes one client; name it in the file or in one flag"
        )
      }
      if let refusal = QEMUConfiguration.refusal(ofSocket: path) {
        throw ConfigurationError(.invalid, file: "--qemu.socket", "\(refusal)")
      }
      result.backends.append(.qemu(QEMU(sockets: [path], timeouts: timeouts)))
    }
    Backend.giveNames(to: &result.backends)
    return result
  }

  /// This configuration with one back end more for each libvirt URI given by flag.
  ///
  /// - Throws: A text that is no URI, or one that the file or an earlier flag also names.
  public func adding(libvirtURIs: [String]) throws(ConfigurationError) -> Configuration {
    var result = self
    for uri in libvirtURIs {
      if let refusal = LibvirtURI.refusal(of: uri) {
        throw ConfigurationError(.invalid, file: "--libvirt.uri", refusal)
      }
      guard !result.backends.contains(where: { $0.uri == uri }) else {
        throw ConfigurationError(
          .invalid, file: "--libvirt.uri", "\(quoted(uri)) is named twice; name it in the file or in one flag"
        )
      }
      result.backends.append(.libvirt(Libvirt(uri: uri, timeouts: timeouts, keepalive: keepalive)))
    }
    Backend.giveNames(to: &result.backends)
    return result
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
      case ENOENT: "create it, or give the right path with --config.file"
      case EACCES, EPERM: "let the user that Drover runs as read it"
      default: "give a readable file with --config.file"
      }
    return ConfigurationError(
      .unreadable, file: file, "cannot be read: \(String(cString: strerror(code))); \(remedy)")
  }

  private static func firstInvalidLine(_ bytes: [UInt8]) -> Int {
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    return (lines.firstIndex { String(validating: $0, as: UTF8.self) == nil } ?? 0) + 1
  }
}

/// Names of back ends, and those that are given where there is none, such as `qemu`, `qemu-2`.
struct BackendNames {
  /// Most bytes that a name may have.
  static let longest = 63

  private var taken: Set<String>

  init(taken: some Sequence<String>) { self.taken = Set(taken) }

  /// The first free name of a family.
  mutating func next(after base: String) -> BackendName {
    var name = base
    var number = 1
    while !taken.insert(name).inserted {
      number += 1
      name = "\(base)-\(number)"
    }
    return BackendName(rawValue: name)
  }

  static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"):
      true
    default: false
    }
  }
}
