import CurlClient
import DroverService
import Foundation

/// Asks a server, as any client does.
struct Web: Sendable {
  /// What it is called on a command line.
  let url: String
  private let address: ServerAddress
  private static let client = CurlClient()

  init(_ url: String) throws {
    self.url = url
    address = try ServerAddress(parsing: url)
  }

  var hostAndPort: String { String(url.dropFirst("http://".count)) }

  func get(_ path: String, accept: String = "*/*") async throws -> Answer {
    try await send(Request(.get, Endpoint(address, path: path), headers: ["Accept": accept]))
  }

  func post(_ path: String, origin: String? = nil) async throws -> Answer {
    try await send(
      Request(.post, Endpoint(address, path: path), headers: origin.map { ["Origin": $0] } ?? [:]))
  }

  /// Asks with a body.
  func send(_ method: Request.Method, _ path: String, _ body: String) async throws -> Answer {
    try await send(Request(method, Endpoint(address, path: path), body: Array(body.utf8)))
  }

  /// The metrics in the text format.
  func metrics() async throws -> Metrics { Metrics(try await get("/metrics").text) }

  func migrations() async throws -> [MigrationItem] {
    try APICoding.decode(MigrationList.self, from: try await get("/api/v1/migrations").body).items
  }

  /// The latest decisions of the journal, the last one first.
  func decisions() async throws -> [DecisionItem] {
    try APICoding.decode(DecisionList.self, from: try await get("/api/v1/decisions?limit=1000").body).items
  }

  private func send(_ request: Request) async throws -> Answer {
    var request = request
    request.totalDeadline = .seconds(10)
    let response = try await Self.client.send(request)
    return Answer(
      status: response.status, body: response.body, duration: response.duration, headers: response.headers)
  }
}

/// What a server answered.
struct Answer: Sendable {
  let status: Int
  let body: [UInt8]
  let duration: Duration
  fileprivate let headers: HTTPHeaders

  var text: String { String(decoding: body, as: UTF8.self) }

  subscript(header: String) -> String { headers[header] ?? "" }
}

/// A scrape in the text format, for questions about single samples.
struct Metrics {
  let text: String

  init(_ text: String) { self.text = text }

  /// The values of a family, by their labels as they are written.
  subscript(_ name: String) -> [String: Double] {
    var samples: [String: Double] = [:]
    for line in text.split(separator: "\n") where line.hasPrefix(name) {
      let rest = line.dropFirst(name.count)
      guard rest.first == "{" || rest.first == " ", let blank = rest.lastIndex(of: " ") else { continue }
      samples[String(rest[..<blank])] = Double(rest[rest.index(after: blank)...])
    }
    return samples
  }

  /// The value whose labels contain the text; nil where there is not exactly one.
  func value(_ name: String, _ labels: String = "") -> Double? {
    let found = self[name].filter { $0.key.contains(labels) || labels.isEmpty }
    return found.count == 1 ? found.first?.value : nil
  }
}

/// A TCP port of 127.0.0.1 that nobody listens on.
func freePort() throws -> UInt16 {
  let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
  defer { close(number) }
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
  var length = socklen_t(MemoryLayout<sockaddr_in>.size)
  let status = withUnsafeMutablePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
      bind(number, address, length) == 0 ? getsockname(number, address, &length) : -1
    }
  }
  guard status == 0 else { throw Missed(description: "no free port") }
  return UInt16(bigEndian: address.sin_port)
}
