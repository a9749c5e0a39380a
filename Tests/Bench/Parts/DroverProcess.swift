import Foundation
import Glibc

/// A `drover serve` of the release build, as an operator runs it.
final class DroverProcess {
  let port: UInt16
  let id: pid_t
  private let child: Child

  convenience init(watching sockets: String?, controlSocket: String) throws {
    try self.init(sockets.map { ["--qemu.socket", $0] } ?? [], controlSocket: controlSocket)
  }

  /// - Parameter flags: What is watched.
  init(_ flags: [String], controlSocket: String) throws {
    let program = URL(fileURLWithPath: ownPath).deletingLastPathComponent().appendingPathComponent("drover")
      .path
    guard access(program, X_OK) == 0 else {
      throw BenchError("there is no \(program); `swift build -c release --product drover` makes it")
    }
    port = try Loopback.freePort()
    child = try Child(
      [
        program, "serve", "--web.listen-address", "127.0.0.1:\(port)", "--control.socket", controlSocket,
        "--journal.path", "\(controlSocket).journal.db", "--log.level", "error",
      ] + flags)
    id = child.id
  }

  /// Waits for a first answer with status 200.
  func waitUntilAnswered(_ path: String) throws {
    try wait("an answer of drover at \(path)") {
      guard let client = RawClient(port: port, path: path) else { return false }
      return try client.get().status == 200
    }
  }

  /// Waits until it knows as many VMs: what watches nothing costs nothing.
  func waitUntilWatching(_ count: Int) throws {
    try wait("an inventory of \(count) VMs") {
      let body = try RawClient.connected(port: port, path: "/metrics?collect[]=nodes").get().body
      return String(decoding: body, as: UTF8.self).split(separator: "\n").contains {
        $0.hasPrefix("drover_node_vms{") && $0.hasSuffix(" \(count)")
      }
    }
  }

  var processorSeconds: Double { Meters.processorSeconds(id) }
  var resident: Double { Meters.resident("\(id)") }
}
