import DroverCore
import Foundation
import GRDB
import Testing

@testable import Journal

@Suite("A journal in trouble", .serialized)
struct TroubleTests {
  private let scratch: Scratch

  init() throws { scratch = try Scratch() }

  private func fill() async throws {
    let journal = try scratch.open()
    try await journal.upsert(migration("m", endedAt: 5, .succeeded))
    _ = try await journal.record(decision())
    // Everything into the file itself.
    _ = try await journal.prune(olderThan: 0, largest: .gibibytes(1))
  }

  private func change(_ sql: String) throws {
    try DatabaseQueue(path: scratch.journal).writeWithoutTransaction { db in try db.execute(sql: sql) }
  }

  private func expectRefusal(_ kind: JournalError.Kind, _ journal: Journal) async {
    #expect(journal.refusal?.kind == kind)
    for write: (Journal) async throws -> Void in [
      { _ = try await $0.record(decision()) }, { try await $0.upsert(migration("n")) },
      { try await $0.finish(DecisionID(rawValue: 1), .done, text: "", at: 1) },
      { _ = try await $0.prune(olderThan: .max, largest: 0) }, { try await $0.probe() },
    ] {
      let error = await #expect(throws: JournalError.self) { try await write(journal) }
      #expect(error?.kind == kind)
    }
  }

  @Test(
    "that a newer Drover made is read and left alone",
    arguments: ["PRAGMA user_version = 999", "INSERT INTO grdb_migrations VALUES ('999: of the future')"])
  func newer(sql: String) async throws {
    try await fill()
    try change("\(sql); ALTER TABLE migration DROP COLUMN policy; ALTER TABLE decision ADD COLUMN mood TEXT")
    try change(
      "INSERT INTO decision SELECT 7, made_at_ms, 'teleport', trigger, kind, migration, backend, scope_kind, scope, vm, node, requester, refusal, text, evidence_json, result, result_at_ms, result_text, 'good' FROM decision"
    )
    let before = try Data(contentsOf: URL(filePath: scratch.journal))
    let journal = try scratch.open()
    await expectRefusal(.newer, journal)
    #expect(try await journal.history().map(\.id.description) == ["m"])
    // One of a kind that is not known here is left out.
    #expect(try await journal.decisions().count == 1)
    #expect(try await journal.openMigrations().isEmpty)
    #expect(try Data(contentsOf: URL(filePath: scratch.journal)) == before)
  }

  @Test("that is somebody else's database is not touched")
  func foreign() throws {
    try change("CREATE TABLE accounts (money INTEGER)")
    let before = try Data(contentsOf: URL(filePath: scratch.journal))
    let error = #expect(throws: JournalError.self) { try scratch.open() }
    #expect(error?.kind == .damaged)
    #expect(error?.description.contains("no journal of Drover's") == true)
    #expect(try Data(contentsOf: URL(filePath: scratch.journal)) == before)
  }

  @Test("that is damaged says so", arguments: [0, 4096])
  func damaged(from offset: UInt64) async throws {
    try await fill()
    let size = try #require(
      try FileManager.default.attributesOfItem(atPath: scratch.journal)[.size] as? UInt64)
    let file = try #require(FileHandle(forWritingAtPath: scratch.journal))
    try file.seek(toOffset: offset)
    try file.write(contentsOf: Data(repeating: 0xAA, count: Int(size - offset)))
    try file.close()
    var error: JournalError?
    // The journal that filled it may let go of the file a moment later.
    for _ in 0..<500 {
      do throws(JournalError) {
        let journal = try scratch.open()
        _ = try await journal.record(decision())
        break
      } catch let caught {
        error = caught
      }
      guard error?.kind == .busy else { break }
      try await Task.sleep(for: .milliseconds(10))
    }
    #expect(error?.kind == .damaged)
    #expect(error?.description.contains("move it and the files beside it away") == true)
  }

  @Test("that another Drover uses is not shared")
  func busy() async throws {
    let child = try Child([Child.writer, "loop", scratch.journal], in: scratch)
    try await eventually("the other one records") { child.lines.count > 3 }
    #expect(scratch.refusedKind() == .busy)
    child.stop()
    #expect(scratch.refusedKind() == nil)
  }

  @Test("that another program writes at length says so, and records afterwards")
  func locked() async throws {
    let journal = try scratch.open()
    var configuration = Configuration()
    configuration.allowsUnsafeTransactions = true
    let other = try DatabaseQueue(path: scratch.journal, configuration: configuration)
    try await other.writeWithoutTransaction { db in try db.execute(sql: "BEGIN IMMEDIATE") }
    let error = await #expect(throws: JournalError.self) { try await journal.record(decision()) }
    #expect(error?.kind == .busy)
    try await other.writeWithoutTransaction { db in try db.execute(sql: "COMMIT") }
    _ = try await journal.record(decision())
  }

  @Test("that was moved away records nothing into the void")
  func moved() async throws {
    let journal = try scratch.open()
    try FileManager.default.moveItem(atPath: scratch.journal, toPath: "\(scratch.path)/elsewhere")
    let error = await #expect(throws: JournalError.self) { try await journal.record(decision()) }
    #expect(error?.kind == .absent)
  }

  @Test(
    "whose place cannot be had says why",
    arguments: [
      ("/proc/none/journal.db", JournalError.Kind.absent), ("journal.db", .absent), ("/", .absent),
      ("/tmp", .absent),
      ("/dev/null", .absent), ("/dev/null/x/journal.db", .absent),
    ])
  func noPlace(path: String, kind: JournalError.Kind) {
    let error = #expect(throws: JournalError.self) { try Journal.open(path: path) }
    #expect(error?.kind == kind)
    #expect(error?.remedy.isEmpty == false)
  }

  @Test("that cannot be written is read, also where nothing may stand beside it", arguments: [false, true])
  func readOnly(isKilled: Bool) async throws {
    if isKilled {
      let child = try Child([Child.writer, "loop", scratch.journal], in: scratch)
      try await eventually("it records") { child.lines.count { $0.hasPrefix("decided") } >= 1 }
      child.stop()
    } else {
      try await fill()
    }
    for file in try FileManager.default.contentsOfDirectory(atPath: scratch.path)
    where file.hasPrefix("journal.db") {
      chmod("\(scratch.path)/\(file)", 0o444)
    }
    chmod(scratch.path, 0o555)
    let lines = try Child([Child.writer, "probe-nobody", scratch.journal], in: scratch).result()
    try #require(lines.count == 3, "\(lines)")
    #expect(lines[0] == "refuses read_only")
    #expect(lines[1].hasPrefix("holds ") && lines[1] != "holds 0")
    #expect(lines[2].hasPrefix("fails read_only: "))
  }

  @Test("whose directory cannot be written is not begun")
  func forbidden() throws {
    chmod(scratch.path, 0o555)
    let lines = try Child([Child.writer, "probe-nobody", scratch.journal], in: scratch).result()
    #expect(lines.first?.hasPrefix("fails absent: ") == true, "\(lines)")
  }

  @Test("on a disk that is full says so, keeps all it has, and records again once there is room")
  func fullDisk() throws {
    let user = geteuid() == 0 ? [] : ["--user", "--map-root-user"]
    let script = """
      mkdir "$2/disk" && mount -t tmpfs -o size=3m none "$2/disk" && head -c 1000000 /dev/zero >"$2/disk/ballast" \\
        && exec "$1" fill "$2/disk/journal.db" "$2/disk/ballast"
      """
    let child = try Child(
      ["unshare", "--mount"] + user + ["/bin/sh", "-c", script, "sh", Child.writer, scratch.path], in: scratch
    )
    // A machine that forbids both fails here: then this is proved nowhere.
    let lines = try child.result()
    try #require(lines.count == 4, "\(lines)")
    #expect(lines[0].hasPrefix("fails full: "))
    #expect(lines[0].contains("free space"))
    #expect(lines[1] == "keeps true")
    #expect(lines[3] == "records true")
  }

  @Test("that may not grow says that it is full, and goes on once it may")
  func noMorePages() async throws {
    let journal = try scratch.open()
    let writer = try #require(journal.writer)
    let pages = try await writer.writeWithoutTransaction { db in
      try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
    }
    try await writer.writeWithoutTransaction { db in
      _ = try Int.fetchOne(db, sql: "PRAGMA max_page_count = \(pages)")
    }
    let long = decision(String(repeating: "x", count: 20_000))
    let error = await #expect(throws: JournalError.self) { try await journal.record(long) }
    #expect(error?.kind == .full)
    #expect(try await journal.decisions().isEmpty)
    try await writer.writeWithoutTransaction { db in
      _ = try Int.fetchOne(db, sql: "PRAGMA max_page_count = 100000")
    }
    #expect(try await journal.record(long).rawValue == 1)
  }

  @Test("is no trouble for a call whose task is cancelled: what has begun is recorded")
  func cancelled() async throws {
    let journal = try scratch.open()
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await journal.record(decision())
    }
    #expect(try await task.value.rawValue == 1)
    #expect(try await journal.decisions().count == 1)
  }
}
