import MicroHTTP
import PeerTools
import Testing

@testable import DroverService

@Suite("What a request may do")
struct AuthorizerTests {
  private let scratch: Scratch
  private let said = Lines()
  private let token: String
  private let rules: [AccessRule]

  init() throws {
    scratch = try Scratch()
    token = try scratch.write("alertmanager.token", "t0ken")
    rules = [
      AccessRule(.tokenFile(token), [.alerts]), AccessRule(.uid(7), [.abort, .migrate]),
      AccessRule(.certificate("robot"), [.abort]), AccessRule(.user("alice"), [.abort]),
    ]
  }

  private func authorizer(
    web text: String? = nil, switches: [ControlSwitch: SwitchState] = [.manual: .enabled, .drain: .enabled]
  ) throws -> Authorizer {
    let web = try text.map { try WebFile(scratch.write("web.yml", $0), log: said.logger()) }
    let authorizer = Authorizer(web: web, ownUID: 1000, log: said.logger())
    authorizer.apply(rules, switches)
    return authorizer
  }

  private func request(
    _ peer: Peer = .tcp(address: "127.0.0.1"), _ headers: Headers = [:], certificate: PeerCertificate? = nil,
    method: MicroHTTP.Method = .post
  ) -> Request {
    Request(method, "/api/v1/migrations/x/abort", headers: headers, peer: peer, certificate: certificate)
  }

  private func allowed(_ authorization: Authorization) -> String? {
    if case .allowed(let requester) = authorization { requester.description } else { nil }
  }

  private let robot = PeerCertificate(subject: "CN=robot", commonName: "robot", names: [], isVerified: true)
  private let users = "basic_auth_users: {alice: \(secretHash), bob: \(otherHash)}"

  @Test("who has the right is allowed, and named")
  func allowed() throws {
    let authorizer = try authorizer(web: users)
    func asked(_ request: Request, _ rights: Set<Right>) -> String? {
      allowed(authorizer.authorize(request, rights, switch: .manual))
    }
    #expect(
      asked(request(.unix(uid: 0, gid: 0, pid: 1)), Set(Right.allCases)) == "uid 0 on the control socket")
    #expect(asked(request(.unix(uid: 1000, gid: 0, pid: 1)), [.drain]) == "uid 1000 on the control socket")
    #expect(asked(request(.unix(uid: 7, gid: 0, pid: 1)), [.abort]) == "uid 7 on the control socket")
    #expect(
      asked(request(headers("Bearer t0ken")), [.alerts]) == "token alertmanager.token")
    #expect(asked(request(certificate: robot), [.abort]) == "certificate CN=robot")
    #expect(asked(request(headers(basic("alice", "secret"))), [.abort]) == "user alice")
    #expect(authorizer.refusals.isEmpty)
  }

  private func headers(_ value: String) -> Headers { ["Authorization": value] }
  private func request(_ headers: Headers) -> Request { request(.tcp(address: "::1"), headers) }

  @Test(
    "over TCP, without a credential, it is 401, on whatever address",
    arguments: ["127.0.0.1", "::1", "10.0.0.1"])
  func anonymous(address: String) throws {
    let answer = try #require(
      refusal(authorizer().authorize(request(.tcp(address: address)), [.abort], switch: .manual)))
    #expect(answer.status == 401)
    #expect(answer.headers.values(of: "WWW-Authenticate") == [#"Bearer realm="drover""#])
    #expect(
      answer.detail.contains("needs the right abort: no credential was shown; an address is no identity"))
    #expect(answer.headers["Content-Type"] == "application/problem+json")
  }

  @Test(
    "a token or password that is not right is 401, and says so",
    arguments: ["Bearer wrong", "Bearer ", "Basic !", "Digest x"])
  func wrong(value: String) throws {
    let answer = try #require(
      refusal(authorizer(web: users).authorize(request(headers(value)), [.alerts], switch: nil)))
    #expect(answer.status == 401)
    #expect(
      answer.headers.values(of: "WWW-Authenticate")
        == [#"Basic realm="drover""#, #"Bearer realm="drover", error="invalid_token""#])
    #expect(answer.detail.contains("that was shown is not right"))
  }

  @Test("a wrong password, an unknown user and a user while web.yml has none are nobody")
  func passwords() throws {
    for (user, password) in [("alice", "other"), ("nobody", "secret"), ("alice", "")] {
      let answer = refusal(
        try authorizer(web: users).authorize(request(headers(basic(user, password))), [.abort], switch: nil))
      #expect(answer?.status == 401)
    }
    let answer = refusal(
      try authorizer().authorize(request(headers(basic("alice", "secret"))), [.abort], switch: nil))
    #expect(answer?.status == 401)
    #expect(said.text.contains("a user that web.yml does not know"))
  }

  @Test("a credential without the right is 403, and it says how to grant it")
  func missing() throws {
    let authorizer = try authorizer(web: users)
    func detail(_ request: Request, _ rights: Set<Right>) throws -> String {
      let answer = try #require(refusal(authorizer.authorize(request, rights, switch: .manual)))
      #expect(answer.status == 403 && answer.headers["WWW-Authenticate"] == nil)
      return answer.detail
    }
    #expect(
      try detail(request(.unix(uid: 8, gid: 0, pid: 1)), [.abort, .drain]).contains(
        "this needs the rights abort and drain, which uid 8 on the control socket has not; grant it in the "
          + "configuration: access: [{uid: 8, rights: [abort, drain]}]"))
    // What it has is not asked for again.
    #expect(
      try detail(request(.unix(uid: 7, gid: 0, pid: 1)), [.abort, .drain]).contains("rights: [drain]"))
    let alertmanager = try detail(request(headers("Bearer t0ken")), [.abort])
    #expect(alertmanager.contains("token alertmanager.token has not"))
    #expect(!alertmanager.contains(scratch.path))
    #expect(try detail(request(headers(basic("bob", "other"))), [.abort]).contains("user bob has not"))
    #expect(try detail(request(certificate: robot), [.drain]).contains("certificate CN=robot has not"))
    #expect(
      try detail(request(.unix(uid: 8, gid: 0, pid: 1), headers("Bearer wrong")), [.abort]).contains(
        "the token shown is none that is granted"))
    #expect(authorizer.refusals == [.missingRight: 6])
  }

  @Test("an unverified certificate is no credential")
  func unverified() throws {
    var certificate = robot
    certificate.isVerified = false
    let answer = refusal(
      try authorizer().authorize(request(certificate: certificate), [.abort], switch: .manual))
    #expect(answer?.status == 401)
  }

  @Test(
    "a disabled switch refuses whoever has the right, root too, and is named",
    arguments: ControlSwitch.allCases)
  func disabled(controlSwitch: ControlSwitch) throws {
    let root = request(.unix(uid: 0, gid: 0, pid: 1))
    for switches in [[:], [controlSwitch: SwitchState.disabled]] {
      let authorizer = try authorizer(switches: switches)
      let answer = try #require(refusal(authorizer.authorize(root, [.abort], switch: controlSwitch)))
      #expect(answer.status == 403)
      #expect(
        answer.detail.contains(
          "the switch control.switches.\(controlSwitch.rawValue) is disabled; enable it in the configuration: "
            + "control: {switches: {\(controlSwitch.rawValue): enabled}}"))
      #expect(allowed(authorizer.authorize(root, [.abort], switch: nil)) != nil)
      #expect(!authorizer.isEnabled(controlSwitch))
    }
    let other: ControlSwitch = controlSwitch == .manual ? .drain : .manual
    let armed = try authorizer(switches: [controlSwitch: .enabled])
    #expect(allowed(armed.authorize(root, [.abort], switch: controlSwitch)) != nil)
    #expect(allowed(armed.authorize(root, [.abort], switch: other)) == nil)
  }

  @Test(
    "nothing of a browser acts, whoever it runs as",
    arguments: [
      ["Origin": "http://localhost:10950"], ["Origin": "null"], ["Sec-Fetch-Site": "cross-site"],
      ["Sec-Fetch-Site": "same-origin"], ["sec-fetch-site": "none"],
    ] as [Headers])
  func browsers(headers: Headers) throws {
    let authorizer = try authorizer()
    for peer in [Peer.unix(uid: 0, gid: 0, pid: 1), .tcp(address: "127.0.0.1")] {
      var headers = headers
      headers["Authorization"] = "Bearer t0ken"
      let answer = refusal(authorizer.authorize(request(peer, headers), [.alerts], switch: nil))
      #expect(answer?.status == 403 && answer?.detail.contains("browser") == true)
      #expect(refusal(authorizer.administers(request(peer, headers)))?.status == 403)
      // Also where a route forgets to ask.
      guard case .refused(let stopped) = authorizer.gate.admit(request(peer, headers)) else {
        Issue.record("let in")
        continue
      }
      #expect(stopped.status == 403)
    }
  }

  @Test("which switches a configuration changes is told, and nothing where it changes none")
  func switchChanges() {
    #expect(
      ControlSwitch.changes(from: [.manual: .enabled, .policies: .shadow], to: [.policies: .enabled])
        == "manual enabled -> disabled, policies shadow -> enabled")
    #expect(ControlSwitch.changes(from: [:], to: [.alerts: .disabled]) == "")
  }

  @Test("root and drover's own user have it re-read, over the socket; a granted uid or token does not")
  func administers() throws {
    let authorizer = try authorizer()
    for uid in [UInt32(0), 1000] {
      #expect(allowed(authorizer.administers(request(.unix(uid: uid, gid: 1, pid: 1)))) != nil)
    }
    for peer in [Peer.unix(uid: 7, gid: 0, pid: 1), .tcp(address: "127.0.0.1")] {
      let answer = refusal(authorizer.administers(request(peer, headers("Bearer t0ken"))))
      #expect(answer?.status == 403 && answer?.detail.contains("only root and drover's own user") == true)
    }
  }

  @Test("where no right is asked for nobody acts")
  func noRight() throws {
    let authorizer = try authorizer()
    #expect(refusal(authorizer.authorize(request(), [], switch: nil))?.status == 401)
    #expect(refusal(authorizer.authorize(request(headers("Bearer t0ken")), [], switch: nil))?.status == 403)
  }

  @Test("where web.yml asks for a user a uid on the socket needs the right to read, else it reads freely")
  func readingOnTheSocket() throws {
    func isOpen(_ authorizer: Authorizer, uid: UInt32, _ headers: Headers = [:]) -> Bool {
      let request = request(.unix(uid: uid, gid: 0, pid: 1), headers, method: .get)
      guard case .open = authorizer.gate.admit(request) else { return false }
      return true
    }
    let closed = try authorizer(web: users)
    #expect(isOpen(closed, uid: 0) && isOpen(closed, uid: 1000))
    #expect(!isOpen(closed, uid: 8))
    // A password is for TCP.
    #expect(!isOpen(closed, uid: 8, headers(basic("alice", "secret"))))
    closed.apply([AccessRule(.uid(8), [.read])], [:])
    #expect(isOpen(closed, uid: 8))
    #expect(isOpen(try authorizer(), uid: 8))
  }

  @Test("a right that is taken away, and a token that is exchanged, are gone at once")
  func change() throws {
    let authorizer = try authorizer()
    let alert = request(headers("Bearer t0ken"))
    #expect(allowed(authorizer.authorize(alert, [.alerts], switch: nil)) != nil)
    try scratch.write("alertmanager.token", "new")
    #expect(refusal(authorizer.authorize(alert, [.alerts], switch: nil))?.status == 401)
    #expect(allowed(authorizer.authorize(request(headers("Bearer new")), [.alerts], switch: nil)) != nil)
    authorizer.apply([], [:])
    #expect(
      refusal(authorizer.authorize(request(headers("Bearer new")), [.alerts], switch: nil))?.status == 401)
  }

  @Test("a refusal is logged without what was shown, and counted")
  func logged() throws {
    let authorizer = try authorizer(web: users)
    _ = authorizer.authorize(request(headers("Bearer hunter2")), [.abort], switch: nil)
    _ = authorizer.authorize(request(headers(basic("alice", "hunter2"))), [.abort], switch: nil)
    _ = authorizer.authorize(request(), [.abort], switch: nil)
    #expect(authorizer.refusals == [.wrongCredential: 2, .noCredential: 1])
    #expect(said.all.count { $0.contains("request refused") } == 3)
    #expect(!said.text.contains("hunter2") && !said.text.contains(basic("alice", "hunter2")))
  }
}
