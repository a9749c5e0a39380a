import DroverCore
import MicroHTTP
import PeerTools
import Synchronization
import Testing

@testable import DroverService

/// A cluster that knows some tokens.
final class KnownTokens: AccessReviewer {
  struct State: Sendable {
    var users: [String: ReviewedUser]
    /// Where it says nothing at all.
    var error: ControlError?
    /// Tokens about which it says nothing.
    var failing: Set<String> = []
    var asked: [(token: String, audience: String, verbs: Set<String>)] = []
    var gate: (@Sendable () async -> Void)?
  }
  let state: Mutex<State>

  init(_ users: [String: ReviewedUser] = [:]) { state = Mutex(State(users: users)) }

  var count: Int { state.withLock(\.asked.count) }

  func review(
    _ token: String, audience: String, verbs: Set<String>
  ) async throws(ControlError) -> ReviewedUser? {
    let gate = state.withLock { state in
      state.asked.append((token, audience, verbs))
      return state.gate
    }
    await gate?()
    return try state.withLock { state -> Result<ReviewedUser?, ControlError> in
      if let error = state.error { return .failure(error) }
      if state.failing.contains(token) { return .failure(Self.away) }
      var user = state.users[token]
      user?.verbs.formIntersection(verbs)
      return .success(user)
    }.get()
  }

  static let away = ControlError(
    .timeout, call: "asking", cause: "no answer within 3 s", remedy: "look at it")
}

@Suite("Tokens that a cluster knows")
struct ReviewTests {
  private let scratch: Scratch
  private let said = Lines()
  private let cluster = KnownTokens([
    "ops": ReviewedUser(name: "system:serviceaccount:ops:bot", verbs: ["abort", "drain", "read"]),
    "viewer": ReviewedUser(name: "viewer", verbs: ["read"]),
    "nobody": ReviewedUser(name: "nobody", verbs: []),
  ])
  private let prod = ClusterAuthority(backend: BackendName(rawValue: "prod"))

  init() throws { scratch = try Scratch() }

  private func authorizer(_ rights: Set<Right> = [.abort, .migrate, .drain], web text: String? = nil) throws
    -> Authorizer
  {
    let web = try text.map { try WebFile(scratch.write("web.yml", $0), log: said.logger()) }
    let authorizer = Authorizer(web: web, ownUID: 1000, log: said.logger()) { [cluster] name in
      name.rawValue == "prod" ? cluster : nil
    }
    let own = AccessRule(.tokenFile(try scratch.write("own.token", "own")), [.abort])
    authorizer.apply(
      [own, AccessRule(.kubernetes(prod), rights)], [.manual: .enabled, .drain: .enabled],
      clusters: [prod.backend])
    return authorizer
  }

  private func request(
    _ token: String, _ method: MicroHTTP.Method = .post, peer: Peer = .tcp(address: "::1"),
    _ more: Headers = [:]
  ) -> Request {
    var headers = more
    headers["Authorization"] = "Bearer \(token)"
    return Request(method, "/api/v1/migrations/x/abort", headers: headers, peer: peer)
  }

  private func who(_ authorization: Authorization) -> String? {
    if case .allowed(let requester) = authorization { requester.description } else { nil }
  }

  @Test("whom the cluster grants a right, and the configuration too, acts, and is named")
  func granted() async throws {
    let authorizer = try authorizer()
    #expect(
      who(await authorizer.authorize(request("ops"), .abort))
        == "user system:serviceaccount:ops:bot of the cluster prod")
    #expect(
      who(
        await authorizer.authorize(request("ops", peer: .unix(uid: 8, gid: 8, pid: 1)), .abort))
        == "user system:serviceaccount:ops:bot of the cluster prod")
  }

  @Test(
    "what the cluster does not grant is refused, and what the configuration does not is not even asked for")
  func bounded() async throws {
    let authorizer = try authorizer([.abort])
    let migrate = try #require(refusal(await authorizer.authorize(request("ops"), .migrate)))
    #expect(migrate.status == 403)
    #expect(
      migrate.detail.contains(
        "the right migrate, which user system:serviceaccount:ops:bot of the cluster prod has not"))
    #expect(
      migrate.detail.contains("access: [{kubernetes: prod, rights: [migrate]}], and grant it in the cluster"))
    #expect(cluster.state.withLock { $0.asked.allSatisfy { $0.verbs.isEmpty } })
    let drain = try #require(refusal(await authorizer.authorize(request("ops"), .drain)))
    #expect(drain.status == 403)
    let abort = try #require(refusal(await authorizer.authorize(request("viewer"), .abort)))
    #expect(abort.status == 403)
    #expect(
      abort.detail.contains(
        "has not; grant it in the cluster: a ClusterRole with the verbs [abort] on migrations.drover.io"))
  }

  @Test("more than the configuration lets a cluster grant is not granted, whatever the cluster says")
  func most() {
    let rules = AccessRules(rules: [AccessRule(.kubernetes(prod), [.abort])], ownUID: 0)
    #expect(rules.rights(of: .cluster(user: "admin", prod, Set(Right.allCases))) == [.abort])
    let edge = ClusterAuthority(backend: BackendName(rawValue: "edge"))
    #expect(rules.rights(of: .cluster(user: "admin", edge, Set(Right.allCases))) == [])
  }

  @Test("a token that nobody knows is 401, and is said to nobody")
  func stranger() async throws {
    let authorizer = try authorizer()
    let answer = try #require(refusal(await authorizer.authorize(request("hunter2"), .abort)))
    #expect(answer.status == 401 && answer.headers["WWW-Authenticate"]?.contains("invalid_token") == true)
    #expect(!said.text.contains("hunter2"))
  }

  @Test("where the cluster gives no answer nobody acts: 503, with the reason")
  func away() async throws {
    let authorizer = try authorizer()
    cluster.state.withLock { $0.error = KnownTokens.away }
    for token in ["ops", "hunter2"] {
      let answer = try #require(refusal(await authorizer.authorize(request(token), .abort)))
      #expect(answer.status == 503 && answer.detail.contains(#""reasons":["review_failed"]"#))
      #expect(answer.detail.contains("no answer within 3 s"))
    }
    #expect(who(await authorizer.authorize(request("own"), .abort)) == "token own.token")
    // A failure is not remembered.
    cluster.state.withLock { $0.error = nil }
    #expect(who(await authorizer.authorize(request("ops"), .abort)) != nil)
  }

  @Test("a cluster is asked only where its word makes a difference")
  func spared() async throws {
    let authorizer = try authorizer()
    _ = await authorizer.authorize(request("own"), .abort)
    _ = await authorizer.authorize(request("ops", peer: .unix(uid: 0, gid: 0, pid: 1)), .abort)
    _ = await authorizer.authorize(Request(.post, "/x", headers: [:], peer: .tcp(address: "::1")), .abort)
    _ = await authorizer.authorize(
      request("ops", .post, peer: .tcp(address: "::1"), ["Origin": "https://x"]), .abort)
    _ = await authorizer.authorize(request("two words"), .abort)
    #expect(cluster.count == 0)
    _ = await authorizer.authorize(request("ops"), .abort)
    _ = await authorizer.authorize(request("ops"), .abort)
    for _ in 1...3 { _ = await authorizer.authorize(request("hunter2"), .abort) }
    #expect(cluster.count == 2)
    // What other rules may have granted is asked anew.
    authorizer.apply([AccessRule(.kubernetes(prod), [.abort])], [.manual: .enabled], clusters: [prod.backend])
    _ = await authorizer.authorize(request("ops"), .abort)
    #expect(cluster.count == 3)
  }

  @Test("a switch that is disabled refuses those whom a cluster grants the right, too")
  func disarmed() async throws {
    let authorizer = try authorizer()
    authorizer.apply([AccessRule(.kubernetes(prod), [.abort])], [:], clusters: [prod.backend])
    let answer = try #require(refusal(await authorizer.authorize(request("ops"), .abort)))
    #expect(answer.status == 403 && answer.detail.contains("control.switches.manual is disabled"))
  }

  @Test("too many at once wait for nobody: 429, and Alertmanager is told to come again")
  func busy() async throws {
    let authorizer = try authorizer([.abort, .alerts])
    let (gate, open) = AsyncStream<Void>.makeStream()
    cluster.state.withLock { $0.gate = { for await _ in gate { return } } }
    let waiting = (0..<ReviewBook.width).map { number in
      Task { _ = await authorizer.authorize(request("t\(number)"), .abort) }
    }
    while cluster.count < ReviewBook.width { await Task.yield() }
    let answer = try #require(refusal(await authorizer.authorize(request("one more"), .abort)))
    #expect(answer.status == 401, "no token at all")
    let busy = try #require(refusal(await authorizer.authorize(request("more"), .abort)))
    #expect(busy.status == 429 && busy.detail.contains("too_many"))
    let alert = Request(
      .post, "/api/v1/alerts", headers: ["Authorization": "Bearer more"], peer: .tcp(address: "::1"))
    #expect(refusal(await authorizer.authorize(alert, .alerts))?.status == 503)
    open.finish()
    for task in waiting { await task.value }
    cluster.state.withLock { $0.gate = nil }
    #expect(who(await authorizer.authorize(request("ops"), .abort)) != nil)
  }

  @Test("where web.yml asks for a user, the cluster's right to read is one")
  func reading() async throws {
    let closed = try authorizer([.read, .abort], web: "basic_auth_users: {alice: \(secretHash)}")
    func admitted(_ request: Request) async -> Int? {
      switch closed.gate.admit(request) {
      case .open: return nil
      case .refused(let response): return response.status
      case .undecided(let decide): return await decide()?.status
      }
    }
    #expect(await admitted(request("ops", .get)) == nil)
    #expect(await admitted(request("nobody", .get)) == 403)
    #expect(await admitted(request("hunter2", .get)) == 401)
    // Whoever acts is asked for the right by the route.
    #expect(await admitted(request("nobody")) == nil)
    #expect(await admitted(request("hunter2")) == 401)
    cluster.state.withLock { $0.error = KnownTokens.away }
    #expect(await admitted(request("other", .get)) == 503)
  }

  @Test("a back end of another name knows nobody, and the log says so")
  func noCluster() async throws {
    let authorizer = try authorizer()
    authorizer.apply(
      [AccessRule(.kubernetes(ClusterAuthority(backend: BackendName(rawValue: "edge"))), [.abort])],
      [.manual: .enabled], clusters: [prod.backend])
    #expect(refusal(await authorizer.authorize(request("ops"), .abort))?.status == 503)
    #expect(said.text.contains("a back end that is no cluster's") && said.text.contains("edge"))
  }
}

@Suite("What clusters have said of tokens")
struct ReviewBookTests {
  private let start = ContinuousClock.now
  private let key = ReviewBook.Key(
    authority: ClusterAuthority(backend: BackendName(rawValue: "prod")), digest: [1])

  @Test("counts for 10 s, a refusal as well, each right by itself")
  func lifetime() {
    var book = ReviewBook(at: start)
    #expect(book.word(key, [], at: start) == nil)
    book.note(key, .stranger, asked: [.abort], at: start)
    #expect(book.word(key, [.abort], at: start + .seconds(9)) == .stranger)
    #expect(book.word(key, [.abort], at: start + .seconds(10)) == nil)
    book.note(key, .user("a", []), asked: [.abort], at: start)
    #expect(book.word(key, [.abort], at: start + .seconds(9)) == .user("a", []))
    #expect(book.word(key, [.drain], at: start) == nil)
    book.note(key, .user("a", [.drain]), asked: [.drain], at: start + .seconds(5))
    #expect(book.word(key, [.abort, .drain], at: start + .seconds(9)) == .user("a", [.drain]))
    #expect(book.word(key, [.abort, .drain], at: start + .seconds(11)) == nil)
    #expect(book.word(key, [.drain], at: start + .seconds(11)) == .user("a", [.drain]))
  }

  @Test("a token that is another's now has none of the rights that it had")
  func another() {
    var book = ReviewBook(at: start)
    book.note(key, .user("a", [.abort]), asked: [.abort], at: start)
    book.note(key, .user("b", []), asked: [.drain], at: start)
    #expect(book.word(key, [.abort], at: start) == nil)
    var other = key
    other.authority.audience = "drover"
    #expect(book.word(other, [.drain], at: start) == nil)
  }

  @Test("strangers have a cluster asked so often and no oftener, and fill no memory")
  func bounds() {
    var book = ReviewBook(at: start)
    for number in 0..<ReviewBook.burst {
      let mayAsk = book.begin(at: start)
      #expect(mayAsk)
      book.end()
      var other = key
      other.digest = [UInt8(number)]
      book.note(other, .stranger, asked: [], at: start)
    }
    let (atOnce, later) = (book.begin(at: start), book.begin(at: start + .milliseconds(60)))
    #expect(!atOnce && later)
    book.note(key, .stranger, asked: [], at: start + .seconds(10))
    #expect(book.count == 1)
  }
}
