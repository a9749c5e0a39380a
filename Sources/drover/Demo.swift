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
      under its bandwidth cap and is ended when it has used up its budget, the wire of cache-1 is cut for a while. \
      What drover knows of them is served as `drover serve` does.

      The budgets are shortened, so that there is something to see: see the first lines that it prints.
      """)

  @Option(help: ArgumentHelp("How long to run, such as 60s or 5m. Default: until Ctrl-C.", valueName: "time"))
  var duration: String?

  @OptionGroup(title: "Web")
  var web: WebOptions

  @OptionGroup(title: "Log")
  var logging: DemoLogOptions

  func run() async throws {
    let limit = try duration.map(Self.parse)
    let log = logging.makeLogger()
    let news = DemoNews()
    let service = Mutex<Service?>(nil)

    let fleet: DemoFleet
    do {
      fleet = try DemoFleet(
        environment: RigEnvironment(leash: .thisExecutable()),
        willCancel: { guest in
          guard let service = service.withLock({ $0 }) else { return }
          service.monitor.announceAbort(ofRunning: guest.name, cause: .policyAbort)
        },
        report: { news.add($0) })
    } catch {
      throw Failure("\(error)")
    }
    let settings = DemoSettings(socketGlob: fleet.monitorSocketGlob)
    let running = try Service(
      try web.serviceOptions(environment: .current, defaultAddress: "127.0.0.1:10950"),
      configuration: try .parse(settings.yaml, file: "demo"), log: log)
    service.withLock { $0 = running }

    let screen = DemoScreen(service: running, settings: settings, news: news, telemetryPath: web.telemetryPath)
    screen.begin()
    try await runUntilSignal {
      await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { await fleet.run() }
        group.addTask { try await running.run() }
        group.addTask { await screen.keepDrawing() }
        if let limit { group.addTask { try await Task.sleep(for: limit) } }
        _ = try? await group.next()
        group.cancelAll()
      }
    }
    screen.end()
  }

  private static func parse(_ text: String) throws -> Duration {
    do {
      return try PrometheusDuration.parse(text)
    } catch {
      throw ValidationError("--duration \(text): \(error)")
    }
  }
}

/// Logging that stays out of the way of a live table.
struct DemoLogOptions: ParsableArguments {
  @Option(name: .customLong("log.level"), help: "Least level that is logged; on a terminal error, else warn.")
  var level: LogLevel?

  @Option(name: .customLong("log.format"), help: "Form of a line: logfmt, json.")
  var format = LogFormat.logfmt

  func makeLogger() -> Logger {
    let level = level ?? (Terminal.isTerminal ? .error : .warn)
    let format = format
    return Logger(label: "drover") { DroverLogHandler(label: $0, format: format, level: level) }
  }
}

/// The configuration that the demo runs with.
private struct DemoSettings {
  let socketGlob: String

  var yaml: String {
    """
    backends:
      - qemu: {name: demo, sockets: ["\(socketGlob)"], timeouts: {completionPerGiB: 120s, progress: 20s}}
    verdict: {stalledAfter: 5s}
    retention: 1m
    """
  }

  var words: String {
    """
    Shortened for the demo: 120 s for each GiB instead of 800 s (256 MiB: 30 s), 20 s without progress instead of
    150 s, stalled after 5 s instead of 10 s, ended ones shown for 1 m instead of 15 m.
    """
  }
}

/// What happened lately.
private final class DemoNews: Sendable {
  private let events = Mutex<[DemoEvent]>([])

  func add(_ event: DemoEvent) {
    events.withLock { events in
      events.append(event)
      if events.count > 5 { events.removeFirst() }
    }
    if !Terminal.isTerminal { write(Array("\(event)\n".utf8)) }
  }

  var lines: [String] { events.withLock { $0.map(\.description) } }
}

/// What the demo shows: a live table on a terminal, elsewhere a line for each thing that happens.
private struct DemoScreen: Sendable {
  let service: Service
  let settings: DemoSettings
  let news: DemoNews
  let telemetryPath: String

  private var head: String {
    let lines = service.addresses.compactMap { address in
      switch address {
      case .tcp(let host, let port):
        "  page     http://\(Self.reachable(host)):\(port)/\n  metrics  http://\(Self.reachable(host)):\(port)\(telemetryPath)"
      case .unix(let path): "  socket   unix://\(path)   (drover list, drover show, drover watch)"
      }
    }
    return "drover demo: real QEMU guests migrating on this machine; Ctrl-C ends it\n\n"
      + lines.joined(separator: "\n") + "\n\n\(settings.words)\n\n"
  }

  func begin() {
    if Terminal.isTerminal { LiveScreen.clear() }
    write(Array(head.utf8))
  }

  func keepDrawing() async {
    while !Task.isCancelled {
      if Terminal.isTerminal { draw() }
      try? await Task.sleep(for: .milliseconds(500))
    }
  }

  func end() { write(Array("drover demo has ended, and its guests with it\n".utf8)) }

  private func draw() {
    let items = service.migrations().items
    let foot = news.lines.map { "  \($0)\n" }.joined()
    let used = (head + foot).split(separator: "\n", omittingEmptySubsequences: false).count
    let height = Terminal.height.map { max(4, $0 - used - 1) }
    LiveScreen.draw(head + MigrationTables(.standardOutput).live(items, height: height) + "\n" + foot)
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
