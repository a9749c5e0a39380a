import Foundation
import Synchronization

@testable import ProgramSupport

/// As far as QMP tells, the source of one migration after the other, none of which ends by itself in time; it counts
/// what ends them.
final class FakeQEMU: Sendable {
  /// A migration, and what came of it.
  struct Course: Sendable {
    /// When it began, in milliseconds since 1970.
    let startedAt: Int64
    /// When each `migrate_cancel` came.
    var cancels: [Int64] = []

    /// Whether somebody ended it before it did so itself.
    var isCancelled: Bool { cancels.first.map { $0 < startedAt + FakeQEMU.longest } ?? false }

    /// When it is over: 150 ms after the first cancel, or by itself.
    var endsAt: Int64 { isCancelled ? (cancels.first ?? 0) + 150 : startedAt + FakeQEMU.longest }
  }

  /// What becomes of a wish to end it.
  enum Stage: Sendable { case arrived, answered }

  /// After so many milliseconds a migration ends by itself: one whose abort a kill has prevented is not the last.
  static let longest: Int64 = 7000
  private static let memory = 1 << 30
  private static let pause: Int64 = 800

  let name: String
  let uuid: String
  private let courses: Courses
  private let listener: QMPListener

  private final class Courses: Sendable {
    let all: Mutex<[Course]>
    let hook = Mutex<(@Sendable (Stage) -> Void)?>(nil)

    init() { all = Mutex([Course(startedAt: unixNow())]) }

    /// The migration of this moment.
    func now() -> Course {
      all.withLock { all in
        let now = unixNow()
        if let last = all.last, now > last.endsAt + FakeQEMU.pause {
          all.append(Course(startedAt: now))
        }
        return all[all.count - 1]
      }
    }

    func cancel() {
      // One that comes after the end is one too many as well.
      all.withLock { $0[$0.count - 1].cancels.append(unixNow()) }
    }
  }

  init(_ number: Int, in directory: String) throws {
    let name = "fake-\(number)"
    let uuid = String(format: "6f1c8a52-5f3c-4d1e-9b7a-%012x", number + 1)
    (self.name, self.uuid) = (name, uuid)
    let courses = Courses()
    self.courses = courses
    listener = try QMPListener("\(directory)/\(name).qmp") { peer in
      guard
        sendAll(
          Array(
            (#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": []}}"#
              + "\r\n").utf8), to: peer)
      else { return }
      forEachLine(of: peer) { line in
        guard let request = try? JSONSerialization.jsonObject(with: Data(line)) as? [String: Any],
          let command = request["execute"] as? String, let id = request["id"] as? String
        else { return false }
        if command == "migrate_cancel" {
          courses.cancel()
          courses.hook.withLock(\.self)?(.arrived)
        }
        let answer = Self.answer(to: command, name, uuid, courses)
        let isSent = sendAll(Array((#"{"return": \#(answer), "id": "\#(id)"}"# + "\r\n").utf8), to: peer)
        if command == "migrate_cancel" { courses.hook.withLock(\.self)?(.answered) }
        return isSent
      }
    }
  }

  /// All migrations so far.
  var all: [Course] { courses.all.withLock(\.self) }

  func onCancel(_ body: (@Sendable (Stage) -> Void)?) { courses.hook.withLock { $0 = body } }

  func stop() { listener.stop() }

  private static func answer(to command: String, _ name: String, _ uuid: String, _ courses: Courses) -> String
  {
    switch command {
    case "query-status": #"{"status": "running", "running": true, "singlestep": false}"#
    case "query-name": #"{"name": "\#(name)"}"#
    case "query-uuid": #"{"UUID": "\#(uuid)"}"#
    case "query-memory-size-summary": #"{"base-memory": \#(memory)}"#
    case "query-block": "[]"
    case "query-migrate-parameters": #"{"downtime-limit": 300, "max-bandwidth": 134217728}"#
    case "query-migrate": migration(courses.now())
    default: "{}"
    }
  }

  /// As QEMU 7.2 tells it: passes of half a second, each with as much to send as the one before.
  private static func migration(_ course: Course) -> String {
    let now = unixNow()
    guard now < course.endsAt else {
      return course.isCancelled ? #"{"status": "cancelled"}"# : completed(course)
    }
    let time = now - course.startedAt
    let rate = Int64(64 << 20)
    let sent = rate * time / 1000
    let left = Int64(32 << 20) - sent % Int64(32 << 20)
    let status = course.cancels.isEmpty ? "active" : "cancelling"
    return #"{"status": "\#(status)", "total-time": \#(time), "setup-time": 1, "expected-downtime": 900, "#
      + counters(sent: sent, left: left, passes: 1 + time / 500) + "}"
  }

  private static func completed(_ course: Course) -> String {
    #"{"status": "completed", "total-time": \#(longest), "setup-time": 1, "downtime": 20, "#
      + counters(sent: longest * 64 << 10, left: 0, passes: 15) + "}"
  }

  private static func counters(sent: Int64, left: Int64, passes: Int64) -> String {
    #""ram": {"total": \#(memory), "transferred": \#(sent), "remaining": \#(left), "#
      + #""dirty-pages-rate": 16384, "dirty-sync-count": \#(passes), "page-size": 4096, "mbps": 536.8, "#
      + #""postcopy-requests": 0, "duplicate": 1, "#
      + #""normal": 1, "normal-bytes": 4096, "skipped": 0, "multifd-bytes": 0, "pages-per-second": 16384}"#
  }
}
