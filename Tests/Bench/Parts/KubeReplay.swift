import CLinux
import Foundation
import Glibc
import Synchronization

/// An API server of plain HTTP that answers lists as they were recorded, and then tells events at a set rate.
final class KubeReplay: Sendable {
  /// Lists, by path without query.
  private let lists: [String: [UInt8]]
  private let descriptor: Int32
  private let watches = Mutex<[String: Int32]>([:])
  let port: UInt16

  init(lists: [String: [UInt8]]) throws {
    self.lists = lists
    (descriptor, port) = try Loopback.listen()
    // The listener of this program does not block.
    _ = fcntl(descriptor, F_SETFL, 0)
    let descriptor = descriptor
    Thread { [weak self] in
      while true {
        let connection = accept(descriptor, nil, nil)
        guard connection >= 0 else { return }
        guard let self else {
          close(connection)
          return
        }
        Thread { self.serve(connection) }.start()
      }
    }.start()
  }

  /// Who asks it, and where it is.
  var kubeconfig: String {
    """
    {apiVersion: v1, kind: Config, current-context: replay, users: [],
     clusters: [{name: replay, cluster: {server: "http://127.0.0.1:\(port)"}}],
     contexts: [{name: replay, context: {cluster: replay}}]}
    """
  }

  /// Lets nobody in any more; whoever is in is hung up on.
  func end() {
    shutdown(descriptor, Int32(SHUT_RDWR))
    close(descriptor)
    for watch in watches.withLock({ $0.values }) { shutdown(watch, Int32(SHUT_RDWR)) }
  }

  /// Whether somebody watches `path`.
  func isWatched(_ path: String) -> Bool { watches.withLock { $0[path] != nil } }

  /// What came of telling events.
  struct Told {
    var seconds: Double
    /// The longest time that events were told later than they were to be.
    var latest: Double
  }

  /// Tells events to whoever watches `path`, so many a second; returns when the last is sent.
  func tell(_ events: [[UInt8]], to path: String, rate: Double) throws -> Told {
    guard let watch = watches.withLock({ $0[path] }) else { throw BenchError("nobody watches \(path)") }
    let began = Meters.nanoseconds
    let group = max(1, Int(rate / 200))
    var latest = 0.0
    for start in stride(from: 0, to: events.count, by: group) {
      let isDue = began + UInt64(Double(start) / rate * 1e9)
      while Meters.nanoseconds < isDue { usleep(UInt32((isDue - min(isDue, Meters.nanoseconds)) / 1000 + 1)) }
      let body = events[start..<min(start + group, events.count)].flatMap(\.self)
      guard Self.send(watch, Self.chunk(body)) else { throw BenchError("the watch of \(path) has ended") }
      latest = max(latest, Double(Meters.nanoseconds - isDue) / 1e9)
    }
    return Told(seconds: Double(Meters.nanoseconds - began) / 1e9, latest: latest)
  }

  // MARK: One connection

  private func serve(_ connection: Int32) {
    var pending: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    while true {
      let count = recv(connection, &buffer, buffer.count, 0)
      guard count > 0 else { break }
      pending += buffer[..<count]
      guard let end = String(decoding: pending, as: UTF8.self).range(of: "\r\n\r\n") else { continue }
      let head = String(decoding: pending, as: UTF8.self)[..<end.lowerBound]
      pending = []
      let words = head.split(separator: " ", maxSplits: 2)
      let parts = (words.count > 1 ? words[1] : "/").split(separator: "?", maxSplits: 1)
      answer(String(parts[0]), isWatch: parts.count > 1 && parts[1].contains("watch=true"), on: connection)
    }
    watches.withLock { watches in watches = watches.filter { $0.value != connection } }
    close(connection)
  }

  private func answer(_ path: String, isWatch: Bool, on connection: Int32) {
    let common = "Content-Type: application/json\r\n"
    guard let list = lists[path] else {
      let body =
        path == "/version"
        ? #"{"major":"1","minor":"20","gitVersion":"v1.20.2"}"#
        : #"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}"#
      let status = path == "/version" ? "200 OK" : "404 Not Found"
      let text = "HTTP/1.1 \(status)\r\n\(common)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
      _ = Self.send(connection, Array(text.utf8))
      return
    }
    if isWatch {
      _ = Self.send(
        connection, Array("HTTP/1.1 200 OK\r\n\(common)Transfer-Encoding: chunked\r\n\r\n".utf8))
      watches.withLock { $0[path] = connection }
    } else {
      _ = Self.send(
        connection, Array("HTTP/1.1 200 OK\r\n\(common)Content-Length: \(list.count)\r\n\r\n".utf8))
      _ = Self.send(connection, list)
    }
  }

  private static func chunk(_ body: [UInt8]) -> [UInt8] {
    Array("\(String(body.count, radix: 16))\r\n".utf8) + body + Array("\r\n".utf8)
  }

  private static func send(_ connection: Int32, _ bytes: [UInt8]) -> Bool {
    bytes.withUnsafeBytes { bytes in
      var sent = 0
      while sent < bytes.count {
        let count = Glibc.send(
          connection, bytes.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
        guard count > 0 || errno == EINTR else { return false }
        sent += max(count, 0)
      }
      return true
    }
  }
}
