public import ArgumentParser
public import DroverService
import Exposition
import Glibc
import Logging
import MicroHTTP

struct Serve: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Watch back ends and serve what they do.",
    discussion: """
      Back ends come from the configuration file and from flags, together. With neither, drover serves its own \
      health only.

      SIGHUP and POST /-/reload (control socket) re-read the file; SIGTERM and SIGINT end the service.
      """)

  @OptionGroup(title: "What to watch")
  var source: SourceOptions

  @OptionGroup(title: "Web")
  var web: WebOptions

  @OptionGroup(title: "Journal")
  var journal: JournalOptions

  @OptionGroup(title: "Log")
  var logging: LogOptions

  func run() async throws {
    DescriptorLimit.raise()
    HeapLimit.set()
    let signals = Signals(isReloading: true)
    let log = logging.makeLogger()
    var options = try web.serviceOptions(environment: .current)
    options.configurationFile = source.configurationFile
    options.qemuSockets = source.qemuSockets
    options.libvirtURIs = source.libvirtURIs
    options.kubeconfigs = source.kubeconfigs
    options.watchesOwnCluster = source.isInCluster
    options.environment = Environment.current.variables
    options.rootDirectory = source.rootDirectory
    options.journalPath = journal.path
    options.hasJournal = true

    if options.optionalListeners.isEmpty, !options.listeners.contains(where: \.isOnSocket) {
      log.warning(
        """
        no control socket: neither $RUNTIME_DIRECTORY nor $XDG_RUNTIME_DIR is set; name one with --control.socket, since \
        over TCP whatever acts needs a token
        """)
    }
    let service = try Service(options, log: log)
    log.info(
      "drover serves",
      metadata: [
        "version": "\(Drover.build.version)",
        "addresses": "\(service.addresses.map(\.description).joined(separator: " "))",
      ])
    try await signals.run(reload: { await service.reload() }) { try await service.run() }
    log.info("drover has ended")
  }
}

struct SourceOptions: ParsableArguments {
  @Option(
    name: .customLong("config.file"), help: ArgumentHelp("Configuration file (YAML).", valueName: "path"),
    completion: .file())
  var configurationFile: String?

  @Option(
    name: .customLong("qemu.socket"), parsing: .upToNextOption,
    help: ArgumentHelp(
      "A QMP socket, or a quoted glob of them; may be repeated. Each is a back end of its own.",
      valueName: "path"),
    completion: .file())
  var qemuSockets: [String] = []

  @Option(
    name: .customLong("libvirt.uri"),
    help: ArgumentHelp(
      """
      A libvirt host, such as qemu:///system (this machine) or qemu+ssh://host/system; may be repeated. Each is a \
      back end of its own.
      """, valueName: "uri"))
  var libvirtURIs: [String] = []

  @Option(
    name: .customLong("kubevirt.kubeconfig"),
    help: ArgumentHelp(
      """
      A kubeconfig of a cluster with KubeVirt or Harvester, in its current context; may be repeated. Each is a back \
      end of its own.
      """, valueName: "path"),
    completion: .file())
  var kubeconfigs: [String] = []

  @Flag(
    name: .customLong("kubevirt.in-cluster"),
    help: "Watch the cluster that this runs in, with the service account of its pod.")
  var isInCluster = false

  @Option(
    name: .customLong("path.rootfs"),
    help: ArgumentHelp(
      """
      Where this machine's files and processes are, for libvirt back ends: / or, in a container, a bind mount of it.
      """, valueName: "path"),
    completion: .directory)
  var rootDirectory = "/"

  func validate() throws {
    var status = stat()
    guard stat(rootDirectory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw ValidationError(
        "--path.rootfs \(rootDirectory): there is no such directory; give / or the path where the host's / is mounted"
      )
    }
  }
}

/// Where and how to serve; shared by `serve` and `demo`.
struct WebOptions: ParsableArguments {
  @Option(
    name: .customLong("web.listen-address"),
    help: ArgumentHelp(
      """
      Where to serve: :10950, 127.0.0.1:10950, [::1]:10950, unix:/path; port 0 takes a free one. May be repeated. \
      Default: :10950 (serve), 127.0.0.1:10950 (demo).
      """, valueName: "address"))
  var listenAddresses: [String] = []

  @Option(
    name: .customLong("web.config.file"),
    help: ArgumentHelp(
      "TLS and users of the TCP addresses (YAML), in the form of Prometheus' exporter-toolkit; re-read when it changes.",
      valueName: "path"),
    completion: .file())
  var webConfigurationFile: String?

  @Option(
    name: .customLong("web.telemetry-path"), help: ArgumentHelp("Path of the metrics.", valueName: "path"))
  var telemetryPath = "/metrics"

  @Option(
    name: .customLong("web.max-requests"),
    help: ArgumentHelp("Most requests at a time on one address; 0 for no limit.", valueName: "n"))
  var maxRequests = Limits().maxRequests

  @Option(
    name: .customLong("control.socket"),
    help: ArgumentHelp(
      """
      Unix socket for commands of this machine. Default: control.sock in $RUNTIME_DIRECTORY, in /run/drover for \
      root, else in $XDG_RUNTIME_DIR/drover.
      """, valueName: "path"),
    completion: .file())
  var controlSocket: String?

  func validate() throws {
    guard telemetryPath.hasPrefix("/"), !telemetryPath.hasPrefix("/-/"), !telemetryPath.hasPrefix("/api/"),
      telemetryPath.utf8.allSatisfy({
        $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "{")
      })
    else {
      throw ValidationError("--web.telemetry-path \(telemetryPath): give a path such as /metrics")
    }
    guard maxRequests >= 0 else { throw ValidationError("--web.max-requests \(maxRequests): give 0 or more") }
  }

  func serviceOptions(
    environment: Environment, defaultAddress: String = ":10950"
  ) throws -> ServiceOptions {
    var options = ServiceOptions(build: Drover.build)
    let addresses = listenAddresses.isEmpty ? [defaultAddress] : listenAddresses
    options.listeners = try addresses.map { Listener(try ListenAddress($0)) }
    if let controlSocket {
      options.listeners.append(Listener(try ListenAddress("unix:\(controlSocket)"), createsDirectory: true))
    } else if let path = ControlSocket.defaultPath(
      environment: environment.variables, isRoot: environment.isRoot)
    {
      options.optionalListeners = [Listener(.unix(path: path), createsDirectory: true)]
    }
    options.telemetryPath = telemetryPath
    options.webConfigurationFile = webConfigurationFile
    options.limits.maxRequests = maxRequests
    return options
  }
}

struct JournalOptions: ParsableArguments {
  @Option(
    name: .customLong("journal.path"),
    help: ArgumentHelp(
      """
      File for migrations and decisions. Default: that of the configuration, else journal.db in $STATE_DIRECTORY, in \
      /var/lib/drover for root, else in $XDG_STATE_HOME/drover or ~/.local/state/drover.
      """, valueName: "path"),
    completion: .file())
  var path: String?
}

struct LogOptions: ParsableArguments {
  @Option(
    name: .customLong("log.level"), help: ArgumentHelp("Least level that is logged.", valueName: "level"))
  var level = LogLevel.info

  @Option(name: .customLong("log.format"), help: ArgumentHelp("Form of a line.", valueName: "format"))
  var format = LogFormat.logfmt

  func makeLogger() -> Logger {
    let (level, format) = (level, format)
    return Logger(label: "drover") { DroverLogHandler(label: $0, format: format, level: level) }
  }
}

extension LogLevel: ExpressibleByArgument {}
extension LogFormat: ExpressibleByArgument {}
