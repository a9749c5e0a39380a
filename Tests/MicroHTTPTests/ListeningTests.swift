import Foundation
import Glibc
import MicroHTTP
import Testing

@Suite("Listening", .timeLimit(.minutes(2)))
struct ListeningTests {
  private static let router: Router = {
    var router = Router()
    router.on(.get, "/peer", .immediate { .text("\($0.peer)") })
    return router
  }()

  private static func failure(_ addresses: String...) throws -> HTTPServerError? {
    do throws(HTTPServerError) {
      var listeners: [Listener] = []
      for address in addresses { listeners.append(Listener(try ListenAddress(address))) }
      _ = try HTTPServer(listeners: listeners, router: router) { _ in }
      return nil
    } catch {
      return error
    }
  }

  @Test(
    "an address is read and written",
    arguments: [
      (":10950", ListenAddress.tcp(host: nil, port: 10950)),
      ("0.0.0.0:10950", .tcp(host: "0.0.0.0", port: 10950)),
      ("[::1]:0", .tcp(host: "::1", port: 0)),
      ("localhost:65535", .tcp(host: "localhost", port: 65535)),
      ("unix:/run/x.sock", .unix(path: "/run/x.sock")),
    ])
  func parse(text: String, address: ListenAddress) throws {
    #expect(try ListenAddress(text) == address)
    #expect(address.description == text)
  }

  @Test("a bare absolute path is a Unix socket")
  func barePath() throws {
    #expect(try ListenAddress("/run/x.sock") == .unix(path: "/run/x.sock"))
  }

  @Test(
    "a bad address is refused by name and with a remedy",
    arguments: [
      "", "10950", "host", ":", ":x", ":-1", ":+1", ":65536", "::1:80", "[::1]", "[::1:80", "[host]:80",
      "http://host:80", "a b:80", "unix:", "unix:relative", "unix:/", "/run/", "unix:/a\0b",
    ])
  func parseFailure(text: String) throws {
    let error = try #require(throws: HTTPServerError.self) { try ListenAddress(text) }
    #expect(error.code == .badAddress)
    #expect(error.description.contains("\"\(text)\""))
    #expect(!error.remedy.isEmpty)
  }

  @Test("several listeners serve at once, port 0 tells the real port, both families reach the wildcard")
  func families() async throws {
    try await withServer(Self.router, at: ["127.0.0.1:0", "[::1]:0", ":0", "localhost:0"]) { server in
      let ports = server.addresses.map { address in
        if case .tcp(_, let port) = address { port } else { UInt16(0) }
      }
      #expect(!ports.contains(0))
      for (host, port, peer) in [
        ("127.0.0.1", ports[0], "127.0.0.1"), ("::1", ports[1], "::1"), ("127.0.0.1", ports[2], "127.0.0.1"),
        ("::1", ports[2], "::1"), ("127.0.0.1", ports[3], "127.0.0.1"),
      ] {
        let answer = try await blocking { try RawClient(.tcp(host: host, port: port)).get("/peer") }
        #expect(answer?.text == "tcp(address: \"\(peer)\")")
      }
    }
  }

  @Test("a Unix socket tells who calls, anybody may connect, and it is gone afterwards")
  func unix() async throws {
    let directory = try temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let path = "\(directory)/a/b/s.sock"
    try await withServer(Self.router, at: ["unix:\(path)"]) { server in
      let answer = try await server.get("/peer")
      #expect(answer.text == "unix(uid: \(getuid()), gid: \(getgid()), pid: \(getpid()))")
      var status = stat()
      #expect(lstat(path, &status) == 0)
      #expect(status.st_mode & 0o777 == 0o666)
      #expect(lstat("\(directory)/a", &status) == 0)
      #expect(status.st_mode & 0o777 == 0o755)
    }
    #expect(access(path, F_OK) != 0)
  }

  @Test("a client with a bound Unix socket is served")
  func boundUnixClient() async throws {
    let directory = try temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try await withServer(Self.router, at: ["\(directory)/s.sock"]) { server in
      let answer = try await blocking {
        let client = try RawClient(server.address, from: "\(directory)/" + String(repeating: "c", count: 70))
        return client.get("/peer")
      }
      #expect(answer?.status == 200)
    }
  }

  @Test("a stale socket file is replaced, a live one and another file are not")
  func stale() async throws {
    let directory = try temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let path = "\(directory)/s.sock"
    do {
      // Closed without unlink, as after a kill.
      let dead = try HTTPServer(listeners: [Listener(.unix(path: path))], router: Self.router) { _ in }
      rename(path, "\(path).kept")
      _ = dead
    }
    rename("\(path).kept", path)
    #expect(access(path, F_OK) == 0)
    try await withServer(Self.router, at: [path]) { server in
      #expect(try await server.get("/peer").status == 200)
      let error = try #require(try Self.failure(path))
      #expect(error.code == .addressInUse)
      #expect(error.description.contains(path))
      #expect(error.remedy == "choose another path, or end the process that listens there")
      #expect(try await server.get("/peer").status == 200)
    }
    #expect(FileManager.default.createFile(atPath: path, contents: nil))
    #expect(try Self.failure(path)?.code == .notASocket)
    #expect(access(path, F_OK) == 0)
  }

  @Test("a file that another process put at the path stays")
  func foreignFile() async throws {
    let directory = try temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let path = "\(directory)/s.sock"
    try await withServer(Self.router, at: [path]) { _ in
      #expect(rename(path, "\(path).old") == 0)
      #expect(FileManager.default.createFile(atPath: path, contents: nil))
    }
    #expect(access(path, F_OK) == 0)
  }

  @Test("a path that is too long, a missing directory and a foreign address are named")
  func refusals() throws {
    let long = "/tmp/" + String(repeating: "x", count: 120)
    #expect(try Self.failure(long)?.code == .pathTooLong)
    let missing = try #require(try Self.failure("/tmp/microhttp-missing/s.sock"))
    #expect(missing.description.contains("/tmp/microhttp-missing/s.sock"))
    #expect(missing.remedy == "create the directory")
    #expect(try Self.failure("192.0.2.1:0")?.code == .addressUnavailable)
    #expect(try Self.failure("bad..name:0")?.code == .addressUnavailable)
  }

  @Test("an address in use is named with a remedy, and a failed start leaves nothing bound")
  func inUse() throws {
    let first = try HTTPServer(listeners: [Listener(.tcp(host: "127.0.0.1", port: 0))], router: Self.router) {
      _ in
    }
    let taken = first.boundAddresses[0].description
    let error = try #require(try Self.failure("127.0.0.1:0", taken))
    #expect(error.code == .addressInUse)
    #expect(error.shortDescription == "address_in_use")
    #expect(
      error.description
        == "cannot listen on \(taken): bind: Address already in use; choose another port, or end the process that listens there"
    )
  }

  @Test("a server runs once")
  func twice() async throws {
    let server = try HTTPServer(listeners: [], router: Self.router) { _ in }
    try await withThrowingTaskGroup { group in
      for _ in 0..<2 { group.addTask { try await server.run() } }
      let error = try await #require(throws: HTTPServerError.self) { try await group.next() }
      #expect(error.code == .alreadyRun)
      group.cancelAll()
    }
  }
}
