import CurlClient
import Foundation
import Glibc
import Testing

/// The tests that start nghttpx, one after the other.
@Suite(.serialized) enum BehindTLS {}

/// TLS and HTTP/2 in front of a server of this process: nghttpx, which speaks HTTP/1.1 to it.
final class TLSFront: Sendable {
  struct Options {
    var pair: Certificates.Pair?
    /// Who has to have signed the client's certificate; nil: none is asked for.
    var clientAuthority: [UInt8]?
    /// In ALPN's words, the preferred first.
    var protocols = "h2,http/1.1"
    /// The latest version of TLS that it speaks.
    var version = "TLSv1.3"
  }

  /// One finished request as nghttpx saw it.
  struct Record {
    /// The same for all requests of one connection.
    let port: Substring
    let alpn: Substring
    /// "-" for none.
    let serverName: Substring
    let clientSubject: Substring
  }

  /// Runs what it is given until its standard input ends, which is at the latest when the tests do.
  private static let untilInputEnds = """
    exec 3<&0
    (cat <&3 >/dev/null; kill -KILL $$) &
    exec "$@" 3<&-
    """

  let address: ServerAddress
  private let process: Process
  private let life: Pipe
  private let directory: TemporaryDirectory

  init(_ server: TestServer, _ options: Options = Options()) async throws {
    directory = try TemporaryDirectory()
    let socket = try #require(server.address.socketPath, "nghttpx takes the server by its Unix socket")
    let pair = try options.pair ?? Certificates.all.server
    let certificate = try directory.write("certificate.pem", pair.certificate)
    let key = try directory.write("key.pem", pair.key)
    let log = try directory.write("log", [])
    _ = try directory.write("requests", [])
    var arguments = [
      "nghttpx", "--conf=/dev/null", "--single-process", "--no-ocsp", "--workers=1",
      "--tls-max-proto-version=\(options.version)",
      "--backend=unix:\(socket)", "--npn-list=\(options.protocols)",
      "--accesslog-file=\(directory.file("requests"))",
      "--accesslog-format=$remote_port $alpn $tls_sni $tls_client_subject_name",
    ]
    if let authority = options.clientAuthority {
      let path = try directory.write("clients.pem", authority)
      arguments += ["--verify-client", "--verify-client-cacert=\(path)"]
    }
    while true {
      let port = try Self.freePort()
      let process = Process()
      let life = Pipe()
      process.executableURL = URL(fileURLWithPath: "/bin/sh")
      process.arguments =
        ["-c", Self.untilInputEnds, "sh"] + arguments + ["--frontend=127.0.0.1,\(port)", key, certificate]
      process.standardInput = life
      process.standardOutput = FileHandle.nullDevice
      process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
      try process.run()
      let isListening = try await eventually { [directory] in
        let text = String(decoding: try directory.read("log"), as: UTF8.self)
        return text.contains("Listening on") ? true : process.isRunning ? nil : false
      }
      if isListening {
        self.process = process
        self.life = life
        address = try ServerAddress(parsing: "https://127.0.0.1:\(port)")
        return
      }
      // Somebody else took the port in the meantime.
      let text = String(decoding: try directory.read("log"), as: UTF8.self)
      try #require(text.contains("in use"), "nghttpx (package nghttp2-proxy): \(text)")
    }
  }

  func stop() {
    try? life.fileHandleForWriting.close()
    process.waitUntilExit()
  }

  func endpoint(_ path: String = "/") -> Endpoint { Endpoint(address, path: path) }

  /// The requests that are over.
  var records: [Record] {
    get throws {
      String(decoding: try directory.read("requests"), as: UTF8.self).split(separator: "\n").map {
        let fields = $0.split(separator: " ", maxSplits: 3)
        return Record(port: fields[0], alpn: fields[1], serverName: fields[2], clientSubject: fields[3])
      }
    }
  }

  private static func freePort() throws -> Int {
    let (fd, address) = try TestServer.bindOnLoopback()
    close(fd)
    return try #require(address.description.split(separator: ":").last.flatMap { Int($0) })
  }
}

/// Runs a test against a server behind TLS and a client of its own, and ends all three.
func withTLS(
  _ options: TLSFront.Options = .init(),
  handler: @escaping @Sendable (Connection) -> Void = { $0.answerAll() },
  test: (TLSFront, CurlClient) async throws -> Void
) async throws {
  try await withServer(.unix, handler: handler) { server, client in
    let front = try await TLSFront(server, options)
    defer { front.stop() }
    try await test(front, client)
  }
}

/// A request that trusts the tests' own authority.
func trusting(_ method: Request.Method = .get, _ endpoint: Endpoint) throws -> Request {
  var request = patient(method, endpoint)
  request.tls.authorities = .pem(try Certificates.all.authority)
  return request
}

/// A request that gives a busy machine time for the handshake.
func patient(_ method: Request.Method = .get, _ endpoint: Endpoint) -> Request {
  var request = Request(method, endpoint)
  request.connectDeadline = .seconds(20)
  return request
}
