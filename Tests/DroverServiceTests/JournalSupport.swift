import DroverCore
import Foundation
import GRDB
import Logging
import Synchronization
import Testing

@testable import DroverService
@testable import Journal

/// A directory that goes with its last reference.
final class JournalDirectory: Sendable {
  let path: String
  var file: String { "\(path)/journal.db" }

  init() throws {
    var name = Array("/tmp/drover-keeper-XXXXXX".utf8CString)
    try #require(mkdtemp(&name) != nil)
    path = String(decoding: name.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A clock that tests move.
final class MovedClock: Timepiece {
  private let moment = Mutex(noon)
  func now() -> Moment { moment.withLock(\.self) }
  func epochOffset() -> EpochOffset { sampleOffset }
  func move(by duration: Duration) { moment.withLock { $0 = $0 + duration } }
}

/// A journal, its keeper, and what they log.
struct KeptJournal {
  let directory: JournalDirectory
  let clock = MovedClock()
  let output = CollectingOutput()
  let journal: ServiceJournal
  let keeper: JournalKeeper

  init(
    _ place: ((JournalDirectory) -> JournalPlace)? = nil, limits: JournalLimits = JournalLimits(),
    capacity: Int = 100
  ) throws {
    let directory = try JournalDirectory()
    self.directory = directory
    let output = output
    let log = Logger(label: "drover") { label in
      DroverLogHandler(label: label, format: .logfmt, level: .info, output: output, clock: { 0 })
    }
    journal = try ServiceJournal(place?(directory) ?? .given(directory.file), clock: clock, log: log)
    keeper = JournalKeeper(journal, limits: limits, clock: clock, log: log, capacity: capacity)
  }

  func turn(_ fleet: FleetSnapshot = sampleSnapshot([])) async { await keeper.turn { fleet } }

  /// Somebody else who writes the file, until a `ROLLBACK`.
  func lockedElsewhere() throws -> DatabaseQueue {
    var configuration = GRDB.Configuration()
    configuration.allowsUnsafeTransactions = true
    let other = try DatabaseQueue(path: directory.file, configuration: configuration)
    try other.writeWithoutTransaction { db in try db.execute(sql: "BEGIN IMMEDIATE") }
    return other
  }

  func history() async throws -> [PastMigration] { try await journal.readable().history() }
}
