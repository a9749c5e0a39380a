import Glibc

/// What libvirt itself says, heard and asked apart from whatever is under test.
public struct LabEvent: Sendable {
  /// When virsh was told, in milliseconds since 1970.
  public let unixMilliseconds: Int64
  /// Such as `lifecycle` or `job-completed`.
  public let name: String
  /// The guest.
  public let guest: String
  /// What was told of it, in virsh's words.
  public let text: String
  /// The numbers of a completed job, such as `memory_processed`.
  public var figures: [String: UInt64] = [:]
}

/// A virsh that hears all events of a host.
public final class LabListener: Sendable {
  private let run: ScriptRun

  init(_ run: ScriptRun) { self.run = run }

  deinit { run.kill() }

  /// Stops listening.
  ///
  /// - Returns: All that was heard.
  public func stop() async throws -> [LabEvent] {
    run.interrupt()
    let output = await run.waitForEndOrKill().output
    var events: [LabEvent] = []
    for line in output.split(separator: "\n") {
      if let event = LabEvent(line) {
        events.append(event)
      } else if let figure = LabHosts.figure(line), !events.isEmpty {
        events[events.count - 1].figures[figure.name] = figure.value
      }
    }
    return events
  }
}

extension LabHosts {
  /// Listens to a host; what happens within the next moments may still be missed.
  public func listen(_ host: Host) throws -> LabListener {
    LabListener(
      try ScriptRun(
        ["virsh", host.rawValue, "event", "--all", "--loop", "--timestamp"], directory: directory))
  }

  /// What a host keeps of the last migration of a guest that it still knows, such as `memory_processed`.
  public func completedFigures(_ name: String, on host: Host = .a) async throws -> [String: UInt64] {
    try await figures(["domjobinfo", name, "--completed", "--keep-completed", "--rawstats"], on: host)
  }

  /// What a host says of the job of a guest.
  public func jobFigures(_ name: String, on host: Host = .a) async throws -> [String: UInt64] {
    try await figures(["domjobinfo", name, "--rawstats"], on: host)
  }

  /// One of a host's statistics of a guest, such as `dirtyrate.calc_start_time`; nil where it tells none.
  public func statistic(_ field: String, of name: String, on host: Host = .a) async throws -> UInt64? {
    for line in try await virsh(host, ["domstats", "--dirtyrate", name]).split(separator: "\n") {
      let parts = line.split(separator: "=")
      if parts.count == 2, String(parts[0]).trimmed == field { return UInt64(parts[1]) }
    }
    return nil
  }

  private func figures(_ words: [String], on host: Host) async throws -> [String: UInt64] {
    let lines = try await virsh(host, words).split(separator: "\n").compactMap(Self.figure)
    return Dictionary(lines.map { ($0.name, $0.value) }) { $1 }
  }

  /// Of `name: 5`.
  static func figure(_ line: Substring) -> (name: String, value: UInt64)? {
    let parts = line.split(separator: ":", maxSplits: 1)
    guard let name = parts.first, let last = parts.last, parts.count == 2,
      let value = UInt64(String(last).trimmed)
    else { return nil }
    return (String(name).trimmed, value)
  }
}

extension LabEvent {
  /// Of `2026-01-31 23:59:59.999+0000: event 'lifecycle' for domain 'g': Started Booted`.
  fileprivate init?(_ line: Substring) {
    let parts = line.split(separator: "'", omittingEmptySubsequences: false)
    guard parts.count >= 5, parts[0].hasSuffix(": event "), let at = Self.milliseconds(parts[0]) else {
      return nil
    }
    unixMilliseconds = at
    name = String(parts[1])
    guest = String(parts[3])
    text = String(parts[4...].joined(separator: "'").drop { ": ".contains($0) })
  }

  private static func milliseconds(_ text: Substring) -> Int64? {
    let numbers = text.split { !$0.isNumber }.compactMap { Int32($0) }
    guard numbers.count >= 7 else { return nil }
    var time = tm()
    (time.tm_year, time.tm_mon, time.tm_mday) = (numbers[0] - 1900, numbers[1] - 1, numbers[2])
    (time.tm_hour, time.tm_min, time.tm_sec) = (numbers[3], numbers[4], numbers[5])
    return Int64(timegm(&time)) * 1000 + Int64(numbers[6])
  }
}
