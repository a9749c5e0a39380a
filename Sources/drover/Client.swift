import ArgumentParser
import CurlClient
import DroverService
import FoundationEssentials
import Glibc

enum OutputFormat: String, CaseIterable, ExpressibleByArgument {
  case table, json
}

/// What every command that asks a running server takes.
struct ClientOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      The server: http://host:10950 or unix:///run/drover/control.sock. Default: the control socket if there is one, \
      else http://localhost:10950.
      """, valueName: "url"))
  var server: String?

  @Option(
    name: .customLong("token-file"),
    help: ArgumentHelp("File with the token to show to the server.", valueName: "path"), completion: .file())
  var tokenFile: String?

  func makeClient(environment: Environment = .current) throws -> DroverClient {
    let text: String
    if let server {
      text = server
    } else if let path = ControlSocket.defaultPath(environment: environment.variables, isRoot: environment.isRoot), access(path, W_OK) == 0 {
      text = "unix://\(path)"
    } else {
      text = "http://localhost:10950"
    }
    return DroverClient(address: try ServerAddress(parsing: text), token: try tokenFile.map(Self.token))
  }

  private static func token(in file: String) throws -> BearerToken {
    do {
      return BearerToken(String(try String(contentsOfFile: file, encoding: .utf8).filter { !$0.isWhitespace }))
    } catch {
      throw Failure("the token file \(file) cannot be read: \(error)")
    }
  }
}

/// Asks a running server.
struct DroverClient: Sendable {
  let address: ServerAddress
  let token: BearerToken?
  private let http = CurlClient()

  func migrations() async throws -> MigrationList { try await get("/api/v1/migrations") }

  func migration(_ name: String) async throws -> MigrationItem {
    let allowed = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~".utf8)
    let segment = name.utf8.map { byte in
      if allowed.contains(byte) { return String(UnicodeScalar(byte)) }
      let digits = String(byte, radix: 16, uppercase: true)
      return "%" + (digits.count < 2 ? "0" : "") + digits
    }
    return try await get("/api/v1/migrations/" + segment.joined())
  }

  private func get<Answer: Decodable>(_ path: String) async throws -> Answer {
    let response: Response
    do {
      var request = Request(.get, Endpoint(address, path: path), headers: ["Accept": "application/json"])
      request.bearerToken = token
      response = try await http.send(request)
    } catch {
      throw Failure("\(error)\nIs drover serving there? Start it with `drover serve`, or name it with --server.")
    }
    guard response.status == 200 else {
      let problem = try? APICoding.decode(Problem.self, from: response.body)
      throw Failure(problem?.detail ?? "\(address) answered with status \(response.status)")
    }
    do {
      return try APICoding.decode(Answer.self, from: response.body)
    } catch {
      throw Failure("\(address) answered with something else than drover does: \(error)")
    }
  }

  /// RFC 9457.
  private struct Problem: Decodable {
    var detail: String
  }
}

/// An error whose text is all there is to say; the exit code is 1.
struct Failure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

func printJSON(_ value: some Encodable) throws {
  var bytes = try APICoding.encode(value)
  bytes.append(UInt8(ascii: "\n"))
  write(bytes)
}

/// Writes to standard output at once, without a buffer.
func write(_ bytes: [UInt8]) {
  var rest = bytes[...]
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
    if count < 0, errno == EINTR { continue }
    guard count > 0 else { return }
    rest = rest.dropFirst(count)
  }
}
