import Foundation
import Testing

@testable import QEMURig

@Suite("StreamRelay")
struct StreamRelayTests {
  @Test("bytes pass both ways, an end passes too")
  func passes() async throws {
    try await withWire { wire in
      try wire.near.send(Array("question".utf8), "test")
      #expect(try await wire.text(at: wire.farInbox, "question"))
      try wire.far.send(Array("answer".utf8), "test")
      #expect(try await wire.text(at: wire.nearInbox, "answer"))
      #expect(wire.relay.bytesForwarded == 8)
      wire.near.shut()
      try await wire.ended(wire.farInbox)
    }
  }

  @Test("nothing passes while the wire is cut; everything does when it is healed")
  func cut() async throws {
    try await withWire { wire in
      wire.relay.cut()
      try wire.near.send(Array("late".utf8), "test")
      // The other direction tells that the relay has had its chance.
      try wire.far.send(Array("late".utf8), "test")
      await #expect(throws: RigError.self) {
        try await withDeadline(.milliseconds(300), "bytes") { [inbox = wire.farInbox] in
          _ = try await inbox.first { _ in true }
        }
      }
      #expect(wire.relay.bytesForwarded == 0)
      wire.relay.heal()
      #expect(try await wire.text(at: wire.farInbox, "late"))
      #expect(try await wire.text(at: wire.nearInbox, "late"))
    }
  }

  @Test("a severed wire ends both sides, also while it is cut")
  func sever() async throws {
    try await withWire { wire in
      wire.relay.cut()
      wire.relay.sever()
      try await wire.ended(wire.nearInbox)
      try await wire.ended(wire.farInbox)
    }
  }

  @Test("a closed relay takes no more connections")
  func close() async throws {
    try await withWire { wire in
      wire.relay.close()
      try await wire.ended(wire.nearInbox)
      #expect(throws: RigError.self) { _ = try UnixSocket.connect(to: wire.path) }
    }
  }

  @Test("a path that no socket address holds is refused with its remedy")
  func longPath() {
    #expect {
      _ = try StreamRelay(listeningAt: "/tmp/" + String(repeating: "x", count: 200), forwardingTo: "/tmp/y")
    } throws: {
      ($0 as? RigError)?.remedy == "set TMPDIR to a shorter path"
    }
  }

  private func withWire(_ body: (Wire) async throws -> Void) async throws {
    let wire = try await Wire()
    do {
      try await body(wire)
    } catch {
      wire.relay.close()
      throw error
    }
    wire.relay.close()
  }
}

/// A relay with a connection through it.
private final class Wire: Sendable {
  let directory: RigDirectory
  let path: String
  let relay: StreamRelay
  let near: SocketReader
  let far: SocketReader
  let nearInbox = Inbox<String>(keeping: 10000)
  let farInbox = Inbox<String>(keeping: 10000)

  init() async throws {
    directory = try RigDirectory()
    path = "\(directory.path)/relay"
    let listener = try UnixSocket.listen(at: "\(directory.path)/target")
    relay = try StreamRelay(listeningAt: path, forwardingTo: "\(directory.path)/target")
    near = SocketReader(try UnixSocket.connect(to: path))
    var taken: SocketReader?
    try await eventually("the relay connects") {
      guard let accepted = try? UnixSocket.accept(from: listener) else { return false }
      taken = SocketReader(accepted)
      return true
    }
    far = try #require(taken)
    for (reader, inbox) in [(near, nearInbox), (far, farInbox)] {
      try reader.start { bytes in
        guard let bytes else { return inbox.finish(RigError(.disconnected, "wire", "ended")) }
        for byte in bytes { inbox.deliver(String(UnicodeScalar(byte))) }
      }
    }
  }

  func text(at inbox: Inbox<String>, _ expected: String) async throws -> Bool {
    try await eventually("\(expected) arrives") { inbox.received >= expected.utf8.count }
    return inbox.messages.joined() == expected
  }

  func ended(_ inbox: Inbox<String>) async throws {
    await #expect {
      try await withDeadline(.seconds(30), "end") { _ = try await inbox.first { _ in false } }
    } throws: {
      ($0 as? RigError)?.code == .disconnected
    }
  }
}
