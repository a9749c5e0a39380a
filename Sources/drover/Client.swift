import ArgumentParser
import CurlClient
import DroverService
import FoundationEssentials
import Glibc
import Synchronization

/// What every command that asks a running server takes.
struct ClientOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      The server: http://host:10950 or unix:///run/drover/control.sock. Default: the control socket where one \
      answers, else http://localhost:10950.
      """, valueName: "url"))
  var server: String?

  @Option(
    name: .customLong("token-file"),
    help: ArgumentHelp("File with the token to show to the server.", valueName: "path"), completion: .file())
  var tokenFile: String?

  @Option(
    name: .customLong("ca-file"),
    help: ArgumentHelp(
      "PEM file of who may sign the server's certificate. Default: those that this system trusts.",
      valueName: "path"),
    completion: .file())
  var caFile: String?

  @Option(
    name: .customLong("cert-file"),
    help: ArgumentHelp("PEM file of the certificate to show to the server.", valueName: "path"),
    completion: .file())
  var certificateFile: String?

  @Option(
    name: .customLong("key-file"),
    help: ArgumentHelp("PEM file of its key. Default: it is beside the certificate.", valueName: "path"),
    completion: .file())
  var keyFile: String?

  func makeClient(environment: Environment = .current) throws -> DroverClient {
    var tls = TLSOptions()
    if let caFile { tls.authorities = .file(caFile) }
    tls.clientCertificate = certificateFile.map(PEMSource.file)
    tls.clientKey = keyFile.map(PEMSource.file)
    let addresses = try addresses(environment)
    if caFile ?? certificateFile ?? keyFile != nil, !addresses.contains(where: \.isEncrypted) {
      throw Failure(
        "--ca-file, --cert-file and --key-file are for a server at https://: name one with --server https://host:port"
      )
    }
    return DroverClient(
      addresses: addresses, token: try tokenFile.map(Self.token), tls: tls)
  }

  private func addresses(_ environment: Environment) throws -> [ServerAddress] {
    if let server { return [try ServerAddress(parsing: server)] }
    let local = try ServerAddress(parsing: "http://localhost:10950")
    guard
      let path = ControlSocket.defaultPath(environment: environment.variables, isRoot: environment.isRoot),
      access(path, F_OK) == 0
    else { return [local] }
    return [try ServerAddress(parsing: "unix://\(path)"), local]
  }

  private static func token(in file: String) throws -> BearerToken {
    guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
      let cause = access(file, R_OK) == 0 ? "it is no UTF-8 text" : String(cString: strerror(errno))
      throw Failure("the token file \(file) cannot be read: \(cause)")
    }
    // Editors end a file with a line end.
    let end = text.lastIndex { !$0.isWhitespace }.map(text.index(after:)) ?? text.startIndex
    guard end > text.startIndex else {
      throw Failure("the token file \(file) is empty: put the token into it")
    }
    guard !text[..<end].contains(where: \.isWhitespace) else {
      throw Failure("the token file \(file) holds more than one word: put the token alone into it")
    }
    return BearerToken(String(text[..<end]))
  }
}

/// Asks a running server.
final class DroverClient: Sendable {
  /// Where one may be, until the first that answers; from then on that one.
  private let addresses: Mutex<[ServerAddress]>
  private let token: BearerToken?
  private let tls: TLSOptions
  private let http = CurlClient()

  init(addresses: [ServerAddress], token: BearerToken?, tls: TLSOptions = TLSOptions()) {
    self.addresses = Mutex(addresses)
    self.token = token
    self.tls = tls
  }

  func migrations() async throws -> MigrationList { try await get("/api/v1/migrations") }

  func vms() async throws -> VMList { try await get("/api/v1/vms") }

  func migration(_ name: String) async throws -> MigrationItem {
    try await get("/api/v1/migrations/" + Self.segment(name))
  }

  func why(_ name: String) async throws -> WhyItem {
    // It asks the system what could be done, which may take a while.
    try await read(response(to: "/api/v1/why/" + Self.segment(name), within: .seconds(30)))
  }

  /// Reads what decides at this moment, which may take the server up to 10 s.
  func eligibility(of vm: VMPath) async throws -> EligibilityItem {
    let path = [vm.backend, vm.scope, vm.name].map(Self.segment).joined(separator: "/")
    return try await read(response(to: "/api/v1/vms/\(path)/eligibility", within: .seconds(20)))
  }

  /// Asks for a list; what is nil is not asked for.
  func list<Answer: Decodable>(
    _ path: String, _ query: [(String, String?)], within deadline: Duration = .seconds(10)
  ) async throws -> Answer {
    let items = query.compactMap { name, value in value.map { "\(name)=\(Self.segment($0))" } }
    return try await read(response(to: path + "?" + items.joined(separator: "&"), within: deadline))
  }

  /// One segment of a path or a query, percent-encoded.
  static func segment(_ name: String) -> String {
    let allowed = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~".utf8)
    return name.utf8.map { byte in
      if allowed.contains(byte) { return String(UnicodeScalar(byte)) }
      let digits = String(byte, radix: 16, uppercase: true)
      return "%" + (digits.count < 2 ? "0" : "") + digits
    }.joined()
  }

  func nodes() async throws -> NodeList { try await get("/api/v1/nodes") }

  /// Asks for something to be done.
  func act<Answer: Decodable>(
    _ path: String, _ body: some Encodable, by method: Request.Method = .post
  ) async throws -> Answer {
    try await read(response(to: path, method: method, body: try APICoding.encode(body)))
  }

  /// Asks for what is at a path.
  func get<Answer: Decodable>(_ path: String) async throws -> Answer {
    try await read(response(to: path))
  }

  private func read<Answer: Decodable>(_ answer: (ServerAddress, Response)) throws -> Answer {
    let (address, response) = answer
    guard (200..<300).contains(response.status) else {
      let problem = try? APICoding.decode(Problem.self, from: response.body)
      let remedy =
        response.status == 401 && problem != nil
        ? "\nThis command shows a token with --token-file, or a certificate with --cert-file; users of web.yml are for "
          + "browsers and Prometheus." : ""
      throw Failure(
        (problem?.detail ?? "\(address) answered with status \(response.status): is it drover?") + remedy)
    }
    do {
      return try APICoding.decode(Answer.self, from: response.body)
    } catch {
      throw Failure(
        "\(address) answered with something that this drover cannot read: another version, or another program; "
          + "name the server with --server")
    }
  }

  private func response(
    to path: String, method: Request.Method = .get, body: [UInt8] = [],
    within deadline: Duration = .seconds(10)
  ) async throws -> (ServerAddress, Response) {
    var failures: [CurlError] = []
    for address in addresses.withLock(\.self) {
      do throws(CurlError) {
        var request = Request(
          method, Endpoint(address, path: path), headers: ["Accept": "application/json"], body: body)
        request.bearerToken = token
        request.tls = tls
        // What acts looks at the live state first, and waits for a machine that hangs.
        request.totalDeadline = method == .get ? deadline : .seconds(60)
        let response = try await http.send(request)
        addresses.withLock { $0 = [address] }
        return (address, response)
      } catch {
        guard error.code != .cancelled else { throw error }
        // What may have been done must not be asked for again elsewhere.
        guard method == .get || ["connect", "refused"].contains(error.shortDescription) else {
          throw Failure("\(error)\nIt may have been done all the same: drover list shows it.")
        }
        failures.append(error)
      }
    }
    // Where TLS failed, somebody does serve there.
    let isSilent = failures.contains { $0.shortDescription != "tls" }
    throw Failure(
      failures.map(\.description).joined(separator: "\n")
        + (isSilent
          ? "\nIs drover serving there? Start it with `drover serve`, or say where it is with --server." : "")
    )
  }

  /// RFC 9457.
  private struct Problem: Decodable {
    var detail: String
  }
}

/// Says something on standard error.
func warnLine(_ text: String) {
  try? write(Array("warning: \(text)\n".utf8), to: STDERR_FILENO)
}

/// Says on standard error which back ends are down: an empty list then does not mean that nothing migrates.
func warn(of backends: [BackendItem]) {
  for warning in backends.compactMap(\.warning) { warnLine(warning) }
}
