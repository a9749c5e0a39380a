import ArgumentParser
import DroverCore
import DroverService
import Logging
import MicroHTTP
import QEMURig
import Synchronization

struct Demo: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Watch real QEMU guests migrate on this machine.",
    discussion: """
      Starts three small guests without root or KVM and migrates them over and over: web-1 converges, db-1 cannot \
      under its bandwidth cap and is ended by a policy, the wire of cache-1 is cut for a while. \
      What drover knows of them is served as `drover serve` does.

      The budgets are shortened, so that there is something to see: see the first lines that it prints.
      """)

  @Option(help: ArgumentHelp("How long to run, such as 60s or 5m. Default: until Ctrl-C.", valueName: "time"))
  var duration: TimeSpan?

  @OptionGroup(title: "Web")
  var web: WebOptions

  @OptionGroup(title: "Log")
  var logging: DemoLogOptions

  func validate() throws {
    if let duration, duration.duration <= .zero {
      throw ValidationError("--duration needs more than nothing")
    }
  }

  func run() async throws {
    DescriptorLimit.raise()
    let limit = duration?.duration
    let signals = Signals()
    let log = logging.makeLogger()
    let news = DemoNews()
    let service = Mutex<Service?>(nil)

    let fleet: DemoFleet
    do {
      fleet = try DemoFleet(
        environment: RigEnvironment(leash: .thisExecutable()),
        willCancel: { guest in
          guard let service = service.withLock({ $0 }), let domain = DomainKey(uuid: guest.uuid) else {
            return
          }
          service.monitor.announceAbort(ofRunning: domain, cause: .policyAbort)
        },
        report: { news.add($0) })
    } catch {
      throw Failure("\(error)")
    }
    let settings = DemoSettings(socketGlob: fleet.monitorSocketGlob)
    var options = try web.serviceOptions(environment: .current, defaultAddress: "127.0.0.1:10950")
    options.hasJournal = true
    options.journalPath = settings.journalPath
    let running = try Service(
      options,
      configuration: try .parse(settings.yaml, file: "demo"), log: log)
    service.withLock { $0 = running }

    let screen = DemoScreen(
      service: running, news: news, telemetryPath: web.telemetryPath,
      defaultSocket: ControlSocket.defaultPath(
        environment: Environment.current.variables, isRoot: Environment.current.isRoot))
    try await signals.run {
      try await withThrowingTaskGroup { group in
        group.addTask { await fleet.run() }
        group.addTask { try await running.run() }
        group.addTask { try await screen.run() }
        if let limit { group.addTask { try await Task.sleep(for: limit) } }
        defer { group.cancelAll() }
        try await group.next()
      }
    }
    try? write("drover demo has ended, and its guests with it\n")
  }
}

/// Logging that stays out of the way of a live table.
struct DemoLogOptions: ParsableArguments {
  @Option(
    name: .customLong("log.level"),
    help: ArgumentHelp(
      "Least level that is logged. Default: error on a terminal, else warn.", valueName: "level"))
  var level: LogLevel?

  @Option(name: .customLong("log.format"), help: ArgumentHelp("Form of a line.", valueName: "format"))
  var format = LogFormat.logfmt

  func makeLogger() -> Logger {
    let level = level ?? (Terminal.canDraw ? .error : .warn)
    let format = format
    return Logger(label: "drover") { DroverLogHandler(label: $0, format: format, level: level) }
  }
}

/// The configuration that the demo runs with.
private struct DemoSettings {
  let socketGlob: String

  /// Beside the guests' sockets, and gone with them.
  var journalPath: String {
    "\(socketGlob[..<(socketGlob.lastIndex(of: "/") ?? socketGlob.startIndex)])/journal.db"
  }

  var yaml: String {
    """
    backends:
      - qemu: {name: demo, sockets: ["\(socketGlob)"], timeouts: {completionPerGiB: 120s, progress: 20s}}
    verdict: {stalledAfter: 5s}
    retention: 1m
    control:
      switches: {manual: enabled, drain: enabled, policies: enabled}
      limits: {aborts: 20, perVM: 5s}
      rules:
        - name: demo
          reason: db-1 never converges
          match: {vm: db-1}
          when: {completion_timeout: observe, not_converging: {for: 20s, do: abort}}
        - name: default
          when: {completion_timeout: observe, progress_timeout: observe}
    """
  }

  static let words = """
    Shortened for the demo: 120 s for each GiB instead of 800 s (256 MiB: 30 s),
    20 s without progress instead of 150 s, stalled after 5 s instead of 10 s,
    ended ones shown for 1 m instead of 15 m. db-1 is ended by a policy once it has
    not converged for 20 s, every time (20 aborts in 10 m instead of 3, and of one VM
    every 5 s instead of 30 m): drover decisions says why.
    """
}

/// What happened lately.
private final class DemoNews: Sendable {
  /// Each event once, for one reader.
  let stream: AsyncStream<DemoEvent>

  private let events = Mutex<[DemoEvent]>([])
  private let continuation: AsyncStream<DemoEvent>.Continuation

  init() { (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(100)) }

  func add(_ event: DemoEvent) {
    events.withLock { $0 = $0.suffix(4) + [event] }
    continuation.yield(event)
  }

  /// The last ones, oldest first.
  func last(_ count: Int) -> [DemoEvent] { events.withLock { $0.suffix(count) } }
}

/// What the demo shows: a live table on a terminal, elsewhere a line for each thing that happens.
private struct DemoScreen: Sendable {
  let service: Service
  let news: DemoNews
  let telemetryPath: String
  /// Where commands look by themselves.
  let defaultSocket: String?

  /// Shows until cancelled, or until nobody can see it any more.
  func run() async throws {
    guard Terminal.canDraw else {
      try write("\(title)\n\(DemoSettings.words)\n\n")
      for await event in news.stream { try write("\(event)\n") }
      return
    }
    try LiveScreen.begin()
    defer { LiveScreen.end() }
    while true {
      try LiveScreen.draw(frame(height: Terminal.height ?? 24))
      try await Task.sleep(for: .milliseconds(500))
    }
  }

  private func frame(height: Int) -> String {
    let isTall = height >= 32
    let head = isTall ? "\(title)\n\(DemoSettings.words)\n\n" : "\(title)\n"
    let foot = "\n" + news.last(isTall ? 5 : 3).map { "  \($0)\n" }.joined()
    let used = (head + foot).utf8.count { $0 == UInt8(ascii: "\n") }
    return head
      + MigrationTables(.standardOutput).live(service.migrations().items, height: max(4, height - used))
      + foot
  }

  private var scheme: String { service.hasTLS ? "https" : "http" }

  /// The first TCP address; nil where there is none.
  private var base: String? {
    service.addresses.lazy.compactMap { address in
      guard case .tcp(let host, let port) = address else { return nil }
      return "\(scheme)://\(Self.reachable(host)):\(port)"
    }.first
  }

  private var title: String {
    let lines = service.addresses.map { address in
      switch address {
      case .tcp(let host, let port):
        let base = "\(scheme)://\(Self.reachable(host)):\(port)"
        return "  page     \(base)/\n  metrics  \(base)\(telemetryPath)\n"
      case .unix(let path): return "  socket   unix://\(path)   (drover list, why, abort, watch)\n"
      }
    }
    let socket = service.addresses.lazy.compactMap { if case .unix(let path) = $0 { path } else { nil } }
      .first
    let server =
      socket.map { $0 == defaultSocket ? "" : " --server unix://\($0)" } ?? " --server \(base ?? "URL")"
    let tour =
      "  try      drover why db-1\(server)      what happens, which limit comes next, what one can do\n"
      + "           drover abort db-1\(server)    ends its migration; --dry-run only asks\n"
    return "drover demo: real QEMU guests migrating on this machine; Ctrl-C ends it\n\n" + lines.joined()
      + tour
  }

  /// An address that a browser on this machine can open.
  private static func reachable(_ host: String?) -> String {
    switch host {
    case nil, "0.0.0.0", "::": "localhost"
    case let host? where host.contains(":"): "[\(host)]"
    case let host?: host
    }
  }
}
