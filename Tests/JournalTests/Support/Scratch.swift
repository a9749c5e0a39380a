import DroverCore
import Foundation
import Posix
import Synchronization
import Testing

@testable import Journal

/// A directory that goes with the process: journals are used longer than anybody holds it.
final class Scratch: Sendable {
  private static let paths: Mutex<[String]> = {
    atexit {
      for path in Scratch.paths.withLock(\.self) {
        chmod(path, 0o700)
        try? FileManager.default.removeItem(atPath: path)
      }
    }
    return Mutex([])
  }()

  let path: String
  var journal: String { "\(path)/journal.db" }

  init() throws {
    var name = Array("/tmp/drover-journal-XXXXXX".utf8CString)
    try #require(mkdtemp(&name) != nil)
    path = String(decoding: name.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    Self.paths.withLock { $0.append(path) }
  }

  func open() throws(JournalError) -> Journal { try Journal.open(path: journal) }

  /// How opening fails; nil where it does not.
  func refusedKind() -> JournalError.Kind? {
    do throws(JournalError) {
      return try open().refusal?.kind
    } catch {
      return error.kind
    }
  }
}

/// A `journal-writer`, or another program; killed with its last reference.
final class Child: Sendable {
  let pid: Int32
  private let file: String
  private let isOver = Mutex(false)

  static let writer: String = {
    let runner = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return URL(filePath: runner).deletingLastPathComponent().appending(path: "journal-writer").path
  }()

  init(_ words: [String], in scratch: Scratch) throws {
    file = "\(scratch.path)/\(UUID().uuidString.prefix(8)).out"
    var pid: Int32 = 0
    let environment = ["PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    let status = spawnProcess(
      &pid, words, environment: environment, standardOutput: .file(file), standardError: .file("\(file).err"))
    try #require(status == 0, "\(words): \(String(cString: strerror(status)))")
    self.pid = pid
  }

  deinit { stop() }

  /// What it has written in whole lines.
  var lines: [Substring] {
    let text = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
    return text[..<(text.lastIndex(of: "\n") ?? text.startIndex)].split(separator: "\n")
  }

  var errors: String { (try? String(contentsOfFile: "\(file).err", encoding: .utf8)) ?? "" }

  /// Kills it at this moment and waits until it is gone.
  func stop() {
    isOver.withLock { isOver in
      guard !isOver else { return }
      kill(pid, SIGKILL)
      while waitpid(pid, nil, 0) < 0, errno == EINTR {}
      isOver = true
    }
  }

  /// Waits for its end; its lines then.
  func result() throws -> [Substring] {
    var status: Int32 = 0
    isOver.withLock { isOver in
      while waitpid(pid, &status, 0) < 0, errno == EINTR {}
      isOver = true
    }
    try #require(status == 0, "it ended with \(status): \(lines) \(errors)")
    return lines
  }
}

/// Waits until a condition holds.
func eventually(_ what: String, within limit: Duration = .seconds(180), _ condition: () throws -> Bool)
  async throws
{
  let end = ContinuousClock.now + limit
  while try !condition() {
    try #require(ContinuousClock.now < end, "\(what), within \(limit)")
    try await Task.sleep(for: .milliseconds(10))
  }
}
