import CurlClient
import Foundation
import Glibc
import Testing

/// A directory that goes with its last reference.
final class HandlerDirectory: Sendable {
  let path = "/tmp/drover-handler-\(UUID().uuidString)"

  init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { "\(path)/\(name)" }

  func read(_ name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: file(name))))
  }

  func text(_ name: String) -> String {
    (try? String(contentsOfFile: file(name), encoding: .utf8)) ?? ""
  }

  /// Writes a file at once, and returns its path.
  @discardableResult
  func write(_ name: String, _ text: String) throws -> String {
    try Data(text.utf8).write(to: URL(fileURLWithPath: file(name)), options: .atomic)
    return file(name)
  }
}

/// A program of another package, killed with its last reference.
final class HandlerProgram {
  private let process = Process()
  private let log: String
  let directory: HandlerDirectory

  init(_ words: [String], in directory: HandlerDirectory) throws {
    self.directory = directory
    log = "\(UUID().uuidString).log"
    try directory.write(log, "")
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
    process.standardInput = FileHandle.nullDevice
    let output = try FileHandle(forWritingTo: URL(fileURLWithPath: directory.file(log)))
    process.standardOutput = output
    process.standardError = output
    try process.run()
  }

  deinit {
    guard process.isRunning else { return }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  /// What it has written so far.
  var output: String { directory.text(log) }

  /// Ends a wait where it has ended.
  func mustRun() throws { try #require(process.isRunning, "it has ended: \(output)") }

  /// Runs a program to its end.
  static func run(_ words: [String], in directory: HandlerDirectory) throws {
    let program = try HandlerProgram(words, in: directory)
    program.process.waitUntilExit()
    try #require(program.process.terminationStatus == 0, "\(words): \(program.output)")
  }
}

/// PEM texts that `openssl` makes once for all tests.
struct HandlerCertificates {
  /// A certificate and its key.
  struct Pair {
    let certificate: [UInt8]
    let key: [UInt8]

    /// Writes both, and returns their paths.
    func write(to directory: HandlerDirectory) throws -> (certificate: String, key: String) {
      (
        try directory.write("certificate.pem", String(decoding: certificate, as: UTF8.self)),
        try directory.write("key.pem", String(decoding: key, as: UTF8.self))
      )
    }
  }

  /// Signed both pairs.
  let authority: [UInt8]
  let otherAuthority: [UInt8]
  /// Names no address, as that of virt-handler.
  let handler: Pair
  /// Names 127.0.0.1.
  let server: Pair

  private static let made = Result { try HandlerCertificates() }

  static var all: HandlerCertificates { get throws { try made.get() } }

  private init() throws {
    let directory = try HandlerDirectory()
    func openssl(_ arguments: String) throws {
      try HandlerProgram.run(["openssl"] + arguments.split(separator: " ").map(String.init), in: directory)
    }
    let newKey = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    for name in ["authority", "other"] {
      try openssl("req -x509 \(newKey) -keyout \(name).key -out \(name).pem -subj /CN=\(name) -days 2")
    }
    func pair(_ name: String, _ extra: String) throws -> Pair {
      try openssl(
        """
        req -x509 \(newKey) -keyout \(name).key -out \(name).pem -subj /CN=\(name) -days 2 \
        -CA authority.pem -CAkey authority.key -addext basicConstraints=critical,CA:FALSE \(extra)
        """)
      return Pair(certificate: try directory.read("\(name).pem"), key: try directory.read("\(name).key"))
    }
    handler = try pair("handler", "")
    server = try pair("server", "-addext subjectAltName=IP:127.0.0.1")
    authority = try directory.read("authority.pem")
    otherAuthority = try directory.read("other.pem")
  }
}

/// A stand-in for virt-handler's port 8443: one connection at a time, each answered with what is in a file.
struct HandlerFront {
  let port: UInt16
  private let program: HandlerProgram

  init(on host: String = "127.0.0.1") async throws {
    let directory = try HandlerDirectory()
    let files = try HandlerCertificates.all.handler.write(to: directory)
    let program = try HandlerProgram(
      [
        "openssl", "s_server", "-HTTP", "-accept", "\(host):0", "-cert", files.certificate, "-key", files.key,
      ], in: directory)
    self.program = program
    port = try await eventually("a port in \(program.output)") {
      try program.mustRun()
      return program.output.firstMatch(of: /ACCEPT \S*:(\d+)\n/).flatMap { UInt16($0.1) }
    }
  }

  /// Sets the whole answer to `GET /metrics`.
  func answer(_ body: String, status: String = "200 OK", headers: [String] = Self.usualHeaders) throws {
    let head = (["HTTP/1.1 \(status)"] + headers).map { "\($0)\r\n" }.joined()
    try program.directory.write("metrics", "\(head)\r\n\(body)")
  }

  static let usualHeaders = [
    "Date: Mon, 02 Mar 2026 10:00:31 GMT", "Content-Type: text/plain; version=0.0.4; charset=utf-8",
  ]
}

/// A condition that did not come about in time.
struct HandlerMissed: Error, CustomStringConvertible {
  let description: String
}

/// Waits until `look` finds something; the error says what was waited for.
func eventually<Found>(
  _ what: @autoclosure () -> String, within limit: Duration = .seconds(30),
  _ look: () async throws -> Found?
) async throws -> Found {
  let end = ContinuousClock.now + limit
  while true {
    if let found = try await look() { return found }
    guard ContinuousClock.now < end else { throw HandlerMissed(description: "\(what()), within \(limit)") }
    try await Task.sleep(for: .milliseconds(20))
  }
}

extension CurlClient {
  /// What a server that these authorities vouch for has there.
  func get(_ endpoint: Endpoint, trusting authorities: [UInt8]) async throws -> (status: Int, body: [UInt8]) {
    var request = Request(.get, endpoint)
    request.tls.authorities = .pem(authorities)
    let response = try await send(request)
    return (response.status, response.body)
  }
}

/// A TCP port of 127.0.0.1 that nobody else gets; where it listens, nobody ever takes a connection.
final class DeafPort {
  let port: UInt16
  private let descriptor: Int32

  init(listens: Bool) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = descriptor
    let status = withUnsafeMutablePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
        bind(descriptor, name, length) == 0 ? getsockname(descriptor, name, &length) : -1
      }
    }
    try #require(status == 0)
    if listens { try #require(listen(descriptor, 8) == 0) }
    port = UInt16(bigEndian: name.sin_port)
  }

  deinit { close(descriptor) }
}
