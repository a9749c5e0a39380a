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
  /// Both sent and remaining bytes still for this long is a stall.
  public internal(set) var stalledAfter = Duration.seconds(10)
  /// Passes without a new smallest remaining before a migration does not converge.
  public internal(set) var passes = 3
  /// Part of the transfer rate that the dirty rate must reach for that.
  public internal(set) var dirtyRatio = 0.9
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

    /// The name that its series carry.
    public var name: BackendName {
      switch self {
      case .qemu(let qemu): qemu.name
      }
    }

    fileprivate var sockets: [String] {
      switch self {
      case .qemu(let qemu): qemu.sockets
      }
    }
  }

  /// QEMU monitors on this machine.
  public struct QEMU: Hashable, Sendable {
    /// The name that its series carry.
    public internal(set) var name: BackendName
    /// Paths of QMP sockets; `*` and `?` stand for parts of a name.
    public internal(set) var sockets: [String]
    /// Whether QEMU's migration events are switched on in the guests that are watched.
    public internal(set) var events = false
    /// The host's name in labels; empty for this machine's own.
    public internal(set) var host = ""
    /// Time-outs of its migrations.
    public internal(set) var timeouts: BudgetSettings
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
      var names = BackendNames(taken: result.backends.map(\.name.rawValue))
      result.backends.append(
        .qemu(QEMU(name: names.next(after: "qemu"), sockets: [path], timeouts: timeouts)))
    }
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

/// Names that are given to back ends without one, such as `qemu`, `qemu-2`.
struct BackendNames {
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
}
