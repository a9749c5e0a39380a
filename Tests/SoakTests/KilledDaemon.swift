import CurlClient
import DroverService
import Foundation
import Synchronization

@testable import ProgramSupport

/// A `drover serve` that is killed again and again, with whoever asks it meanwhile.
struct KilledDaemon: Sendable {
  /// When it is killed.
  enum Point: CaseIterable, Sendable {
    /// At any moment after its start.
    case anytime
    /// As a `migrate_cancel` arrives, before that is answered.
    case cancelArrives
    /// A moment after one was answered.
    case cancelAnswered
    /// A moment after something was written to the journal.
    case journalWritten
  }

  let directory: TemporaryDirectory
  private let file: String
  private let web: Web

  var journal: String { "\(directory.path)/journal.db" }

  init(_ configuration: String) throws {
    directory = try TemporaryDirectory()
    file = try directory.write(configuration, to: "drover.yaml")
    web = try Web("unix://\(directory.path)/control.sock")
  }

  func start() throws -> Program {
    try Program(
      [
        "serve", "--config.file", file, "--web.listen-address", "127.0.0.1:0", "--control.socket",
        "\(directory.path)/control.sock", "--journal.path", journal, "--log.level", "warn",
      ], in: directory)
  }

  /// Starts it, and kills it at the point that is wanted, or after `limit`.
  ///
  /// - Parameters:
  ///   - moment: How long after the point, or after the start.
  ///   - arm: Lets a function be called at each wish to end a migration.
  ///   - alerts: Makes the body of a webhook of what runs.
  /// - Returns: Decisions that it has shown, and whether it got to the point.
  func run(
    until point: Point, plus moment: Duration, within limit: Duration = .seconds(6),
    arm: @Sendable ((@Sendable (FakeQEMU.Stage) -> Void)?) -> Void,
    alerts: @escaping @Sendable ([MigrationItem]) -> String? = { _ in nil }
  ) async throws -> (seen: [DecisionItem], isReached: Bool) {
    let program = try start()
    let pid = program.pid
    let reached = Reached()
    arm { stage in
      switch (point, stage) {
      case (.cancelArrives, .arrived):
        kill(pid, SIGKILL)
        reached.set()
      case (.cancelAnswered, .answered): reached.set()
      default: break
      }
    }
    let (web, journal) = (web, journal)
    let asking = Task {
      var seen: [Int64: DecisionItem] = [:]
      while !Task.isCancelled {
        if let answer = try? await web.get("/api/v1/decisions?limit=50"), answer.status == 200,
          let list = try? APICoding.decode(DecisionList.self, from: answer.body)
        {
          for item in list.items { seen[item.id] = item }
        }
        if let items = try? await web.migrations(), let body = alerts(items) {
          // The same from two, as of a cluster of Alertmanagers.
          async let one = try? web.send(.post, "/api/v1/alerts", body)
          async let two = try? web.send(.post, "/api/v1/alerts", body)
          _ = await (one, two)
        }
        try? await Task.sleep(for: .milliseconds(50))
      }
      return Array(seen.values)
    }
    let end = ContinuousClock.now + (point == .anytime ? moment : limit)
    let written = Self.size(journal)
    while ContinuousClock.now < end, !reached.isSet {
      if point == .journalWritten, program.startedAt + .milliseconds(100) < .now,
        Self.size(journal) != written
      {
        reached.set()
      }
      try await Task.sleep(for: .microseconds(200))
    }
    if point != .anytime, reached.isSet { try await Task.sleep(for: moment) }
    program.signal(SIGKILL)
    asking.cancel()
    _ = try await program.end()
    arm(nil)
    return (await asking.value, point == .anytime || reached.isSet)
  }

  /// Runs it undisturbed until nothing that was begun is open any more.
  func settle(within limit: Duration = .seconds(90)) async throws -> [DecisionItem] {
    let program = try start()
    defer { program.signal(SIGKILL) }
    return try await eventually("an end of all that was begun", within: limit, every: .milliseconds(500)) {
      try program.mustRun()
      let items = try await web.decisions()
      return items.contains { $0.kind == "acted" && $0.result == nil } ? nil : items
    }
  }

  /// The bytes of the journal and of its log.
  private static func size(_ path: String) -> [Int64] {
    ["", "-wal"].map { suffix in
      var status = stat()
      // A log that is begun anew keeps its size.
      return stat(path + suffix, &status) == 0
        ? Int64(status.st_size) ^ (Int64(status.st_mtim.tv_sec) << 20) ^ Int64(status.st_mtim.tv_nsec) : 0
    }
  }

  private final class Reached: Sendable {
    private let flag = Mutex(false)
    var isSet: Bool { flag.withLock(\.self) }
    func set() { flag.withLock { $0 = true } }
  }
}
