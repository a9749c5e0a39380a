import FoundationEssentials
import Glibc
import QEMURig
import Synchronization

/// An etcd and a real kube-apiserver 1.20 on this machine: TLS, RBAC, tokens.
///
/// Nothing else of Kubernetes runs. They go down with this value, and with this process however that ends,
/// and leave nothing behind.
public final class APIServer: Sendable {
  /// A directory that goes with the server; for whatever a test needs for as long.
  public let directory: String
  /// The port of the API server on 127.0.0.1; it stays the same over restarts.
  public let port: Int
  /// The port of etcd's client interface (HTTP, with the JSON gateway below `/v3`) on 127.0.0.1.
  public let etcdPort: Int
  /// The file with the certificate of the authority that signed the server's.
  public let caFile: String

  private let helper: Helper
  private let accepted = Mutex(User.all)

  private init(helper: Helper, directory: String, port: Int, etcdPort: Int, caFile: String) {
    self.helper = helper
    self.directory = directory
    self.port = port
    self.etcdPort = etcdPort
    self.caFile = caFile
  }

  /// The address, `https://127.0.0.1:<port>`.
  public var address: String { "https://127.0.0.1:\(port)" }

  /// Where `Tests/Lab/kube/build-apiserver.sh` leaves the executable.
  public static var executable: String {
    let cache = ProcessInfo.processInfo.environment["DROVER_KUBE_CACHE"] ?? ""
    return "\(cache.isEmpty ? "/var/cache/drover-lab" : cache)/kube-apiserver-1.20.2/kube-apiserver"
  }

  // MARK: Up and down

  /// Starts both and returns when the API server says that it is ready, after about 5 s.
  ///
  /// - Parameter saved: A directory that ``save(to:)`` has made, which is copied.
  public static func start(from saved: String? = nil) async throws -> APIServer {
    let helper = try Helper("server.py", [executable])
    var request: [String: JSONValue] = ["users": User.file(User.all)]
    request["from"] = saved.map(JSONValue.string)
    let answer = try await helper.perform("start", request)
    guard let directory = answer["directory"]?.string, let port = answer["port"]?.int,
      let etcdPort = answer["etcdPort"]?.int, let ca = answer["ca"]?.string
    else { throw KubeLabError("start", "an answer without the parts: \(answer.text)") }
    return APIServer(
      helper: helper, directory: directory, port: Int(port), etcdPort: Int(etcdPort), caFile: ca)
  }

  /// Lends `body` a server that is ended whatever happened.
  public static func with<R: Sendable>(
    from saved: String? = nil, _ body: (APIServer) async throws -> R
  ) async throws -> R {
    let server = try await start(from: saved)
    do {
      let result = try await body(server)
      await server.stop()
      return result
    } catch {
      await server.stop()
      throw error
    }
  }

  /// Ends both and removes the directory.
  public func stop() async { await helper.end() }

  /// Kills the API server with SIGKILL, in the middle of whatever it does; etcd stays.
  public func kill() async throws { try await helper.perform("kill") }

  /// Starts a killed API server again, on the same data and port, and returns when it is ready.
  public func launch() async throws { try await helper.perform("launch") }

  /// Kills the API server and starts it again.
  ///
  /// Its watch cache begins anew: a watch that is resumed from before the last change of anything at all gets
  /// 410.
  public func restart() async throws {
    try await kill()
    try await launch()
  }

  /// Stops the API server's process, which then accepts connections and answers nothing, until ``resume()``.
  public func suspend() async throws { try await signal(SIGSTOP) }

  /// Lets a suspended API server go on.
  public func resume() async throws { try await signal(SIGCONT) }

  private func signal(_ number: Int32) async throws {
    try await helper.perform("signal", ["process": "apiserver", "number": .int(Int64(number))])
  }

  // MARK: etcd

  /// Makes etcd forget all but the newest state of everything.
  ///
  /// Lists that go on from before get 410; the watch cache may still serve watches.
  ///
  /// - Returns: The revision, which is a resourceVersion, from which on etcd knows everything.
  @discardableResult
  public func compact() async throws -> Int {
    Int(try await helper.perform("compact").int ?? 0)
  }

  /// Copies etcd's data into a directory, for ``start(from:)``; both are restarted on the way.
  public func save(to directory: String) async throws {
    try await helper.perform("save", ["to": .string(directory)])
  }

  /// Puts `count` copies of each template into etcd, past the API server, which hears of them as of any
  /// change.
  ///
  /// - Parameters:
  ///   - templates: An etcd key and the JSON of an object as etcd holds it. In both, `{i}` is the number of
  ///     the copy in five digits, `{uid:WORD}` a uid that is the same for a word in a copy, and `{WORD}` one
  ///     of `words`.
  ///   - words: What stands for a word, in turn.
  func load(
    _ templates: [(key: String, json: String)], words: [String: [String]], count: Int
  ) async throws {
    let list = templates.map { JSONValue.object(["key": .string($0.key), "json": .string($0.json)]) }
    try await helper.perform(
      "load",
      [
        "templates": .array(list), "count": .int(Int64(count)),
        "words": .object(words.mapValues { .array($0.map(JSONValue.string)) }),
      ])
  }

  // MARK: Who has asked

  /// A request that somebody has made.
  public struct Request: Hashable, Sendable {
    /// What for: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    public let verb: String
    /// Such as `pods`, or `pods/proxy` for a subresource; empty for a path that is no resource's.
    public let resource: String
    /// Empty for all namespaces.
    public let namespace: String
    /// Empty for all objects.
    public let name: String
    /// The path with its query.
    public let uri: String
    /// The client's User-Agent.
    public let agent: String
    /// What was answered; for a watch, whether it began.
    public let status: Int
  }

  /// What somebody has asked for since the server was started first, the oldest first.
  ///
  /// Not for ``User/admin``, who is the lab.
  ///
  /// - Parameter user: A name of the token file, or `system:serviceaccount:<namespace>:<name>`.
  public func requests(of user: String = User.drover.name) async throws -> [Request] {
    try await helper.perform("audit", ["user": .string(user)]).array.map { asked in
      func text(_ key: String) -> String { asked[key]?.string ?? "" }
      return Request(
        verb: text("verb"), resource: text("resource"), namespace: text("namespace"), name: text("name"),
        uri: text("uri"), agent: text("agent"), status: Int(asked["status"]?.int ?? 0))
    }
  }

  // MARK: Who may ask

  /// The files of a certificate for a client, and of its key.
  public func clientCertificate(
    of name: String, groups: [String] = []
  ) async throws -> (certificate: String, key: String) {
    let answer = try await helper.perform(
      "certificate", ["name": .string(name), "groups": .array(groups.map(JSONValue.string))])
    guard let certificate = answer["certificate"]?.string, let key = answer["key"]?.string else {
      throw KubeLabError("certificate", "an answer without the parts: \(answer.text)")
    }
    return (certificate, key)
  }

  /// Lets just these tokens of the token file in; the server, which reads it once only, is restarted.
  ///
  /// - Parameter users: The lab itself asks as ``User/admin``, who had better be among them.
  public func accept(_ users: [User]) async throws {
    try await helper.perform("tokens", ["users": User.file(users)])
    accepted.withLock { $0 = users }
    try await restart()
  }

  /// Brings a server that a test has killed, suspended, or closed to somebody back to what it was.
  func reset() async throws {
    try await launch()
    if accepted.withLock({ $0 }) != User.all { try await accept(User.all) }
  }
}
