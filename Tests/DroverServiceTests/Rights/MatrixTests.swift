import DroverCore
import Foundation
import Logging
import MicroHTTP
import PeerTools
import Synchronization
import Testing

@testable import DroverService

/// Every acting route, asked by everybody who must not act, over real connections.
@Suite("Nobody acts without the right", .timeLimit(.minutes(10)))
struct MatrixTests {
  /// How somebody comes who must not act, and what answers.
  struct Attempt: Sendable, CustomTestStringConvertible {
    var name: String
    var headers: [String] = []
    var isOnSocket = false
    /// Another user of this machine, who is granted nothing.
    var isOther = false
    var switches = MatrixTests.allSwitches
    var status: Int
    var words: String
    var testDescription: String { name }
  }

  static let allSwitches: [ControlSwitch: SwitchState] = [
    .manual: .enabled, .drain: .enabled, .alerts: .enabled,
  ]

  private static let browsers = [
    ("a foreign Origin", "Origin: https://evil.test"),
    ("an Origin of our own", "Origin: http://127.0.0.1:10950"),
    ("Sec-Fetch-Site", "Sec-Fetch-Site: cross-site"),
  ]

  static let attempts: [Attempt] =
    [
      Attempt(name: "TCP, no credential", status: 401, words: "no credential was shown"),
      Attempt(
        name: "TCP, wrong token", headers: ["Authorization: Bearer wrong"], status: 401, words: "is not right"
      ),
      Attempt(
        name: "TCP, a user", headers: ["Authorization: Basic cm9vdDpyb290"], status: 401,
        words: "is not right"),
      Attempt(
        name: "TCP, Alertmanager's token", headers: ["Authorization: Bearer alerts"], status: 403,
        words: "token alerts.token has not"),
      Attempt(
        name: "TCP, a token that may read", headers: ["Authorization: Bearer reads"], status: 403,
        words: "token reads.token has not"),
      Attempt(
        name: "TCP, a cluster's token without the right", headers: ["Authorization: Bearer cluster-viewer"],
        status: 403, words: "user viewer of the cluster prod has not"),
      Attempt(
        name: "TCP, a token about which the cluster says nothing",
        headers: ["Authorization: Bearer cluster-away"], status: 503, words: "review_failed"),
      Attempt(
        name: "socket, another uid, a cluster's token without the right",
        headers: ["Authorization: Bearer cluster-viewer"], isOnSocket: true, isOther: true, status: 403,
        words: "user viewer of the cluster prod has not"),
      Attempt(
        name: "TCP, a cluster's token with all rights, a page",
        headers: [
          "Authorization: Bearer cluster-all", "Origin: https://evil.test",
        ], status: 403, words: "browser"),
      Attempt(
        name: "socket, another uid", isOnSocket: true, isOther: true, status: 403,
        words: "on the control socket has not"),
      Attempt(
        name: "socket, another uid, wrong token", headers: ["Authorization: Bearer wrong"], isOnSocket: true,
        isOther: true, status: 403, words: "none that is granted"),
      Attempt(
        name: "socket, another uid, Alertmanager's token", headers: ["Authorization: Bearer alerts"],
        isOnSocket: true, isOther: true, status: 403, words: "has not"),
    ]
    + browsers.flatMap { name, field in
      [
        Attempt(
          name: "TCP, all rights, \(name)", headers: ["Authorization: Bearer all", field], status: 403,
          words: "browser"),
        Attempt(
          name: "socket, all rights, \(name)", headers: ["Authorization: Bearer all", field],
          isOnSocket: true,
          status: 403, words: "browser"),
      ]
    }

  /// Only where a switch arms the route.
  static let disarmed = [
    Attempt(
      name: "TCP, all rights, switch disabled", headers: ["Authorization: Bearer all"], switches: [:],
      status: 403, words: "is disabled"),
    Attempt(
      name: "TCP, a cluster's token with all rights, switch disabled",
      headers: ["Authorization: Bearer cluster-all"], switches: [:], status: 403, words: "is disabled"),
    Attempt(
      name: "socket, all rights, switch disabled", headers: ["Authorization: Bearer all"], isOnSocket: true,
      switches: [:], status: 403, words: "is disabled"),
  ]

  private let scratch: Scratch
  private let rules: [AccessRule]

  init() throws {
    scratch = try Scratch()
    rules = [
      AccessRule(.tokenFile(try scratch.write("alerts.token", "alerts")), [.alerts]),
      AccessRule(.tokenFile(try scratch.write("reads.token", "reads")), [.read]),
      AccessRule(.tokenFile(try scratch.write("all.token", "all")), Set(Right.allCases)),
      AccessRule(.uid(Self.granted), [.abort, .migrate, .drain, .alerts]),
      AccessRule(.kubernetes(ClusterAuthority(backend: Self.prod)), Set(Right.allCases)),
    ]
  }

  private static let prod = BackendName(rawValue: "prod")

  /// What the API server of that back end knows.
  private static func cluster() -> KnownTokens {
    let cluster = KnownTokens([
      "cluster-viewer": ReviewedUser(name: "viewer", verbs: ["read"]),
      "cluster-all": ReviewedUser(name: "admin", verbs: Set(Right.allCases.map(\.rawValue))),
    ])
    cluster.state.withLock { $0.failing = ["cluster-away"] }
    return cluster
  }

  // Without root nobody can be another user: the server then takes somebody else for its own.
  private static let isRoot = geteuid() == 0
  private static let other: UInt32 = isRoot ? 65534 : geteuid()
  private static let granted: UInt32 = 65533
  private static let own: UInt32 = isRoot ? 0 : 4_000_000

  private func serve(
    _ switches: [ControlSwitch: SwitchState], _ rules: [AccessRule]? = nil,
    _ body: @Sendable (_ tcp: String, _ socket: String, _ acted: Acted) async throws -> Void
  ) async throws {
    let cluster = Self.cluster()
    let authorizer = Authorizer(web: nil, ownUID: Self.own, log: Lines().logger()) { name in
      name == Self.prod ? cluster : nil
    }
    authorizer.apply(rules ?? self.rules, switches, clusters: [Self.prod])
    let acted = Acted()
    var router = Router()
    router.gate = authorizer.gate
    for route in ActingRoute.all {
      router.on(route, asking: authorizer) { _, requester in
        acted.add(requester)
        return .text(requester)
      }
    }
    let path = scratch.file("control.sock")
    try await withRights(router, at: [.tcp(host: "127.0.0.1", port: 0), .unix(path: path)]) { addresses in
      try await body("\(addresses[0])", path, acted)
    }
  }

  final class Acted: Sendable {
    private let kept = Mutex<[String]>([])
    var all: [String] { kept.withLock(\.self) }
    func add(_ who: String) { kept.withLock { $0.append(who) } }
  }

  private func ask(
    _ route: ActingRoute, _ attempt: Attempt, _ tcp: String, _ socket: String, as uid: UInt32? = nil,
    query: String = "", body: String? = nil
  ) async throws -> CurlAnswer {
    let path = route.pattern.replacing(/\{[a-z]+\}/, with: "x") + query
    let headers = attempt.headers.flatMap { ["--header", $0] }
    let place = attempt.isOnSocket ? ["--unix-socket", socket, "http://x\(path)"] : ["http://\(tcp)\(path)"]
    return try await curl(
      ["--request", route.method.rawValue] + (body.map { ["--data", $0] } ?? []) + headers + place,
      as: uid ?? (Self.isRoot && attempt.isOther ? Self.other : nil), in: scratch)
  }

  @Test("not these", arguments: attempts + disarmed)
  func refused(attempt: Attempt) async throws {
    try await serve(attempt.switches) { tcp, socket, acted in
      for route in ActingRoute.all where !attempt.switches.isEmpty || route.controlSwitch != nil {
        // That token is for this route, whoever shows it.
        if route == .alerts, attempt.headers == ["Authorization: Bearer alerts"] { continue }
        let answer = try await ask(route, attempt, tcp, socket)
        #expect(answer.status == attempt.status, "\(route.pattern) \(answer)")
        #expect(answer.header("Content-Type") == "application/problem+json")
        #expect(answer.body.contains(attempt.words), "\(route.pattern) \(answer)")
        #expect((answer.header("WWW-Authenticate") != nil) == (attempt.status == 401))
      }
      #expect(acted.all == [])
    }
  }

  @Test("a question needs no switch, where one can be asked, but the right; anything else is no question")
  func questions() async throws {
    let all = ["Authorization: Bearer all"]
    let entitled = Attempt(name: "", headers: all, status: 0, words: "")
    let stranger = Attempt(name: "", status: 401, words: "")
    let reader = Attempt(name: "", headers: ["Authorization: Bearer reads"], status: 403, words: "")
    try await serve([:]) { tcp, socket, acted in
      for route in ActingRoute.all where route.controlSwitch != nil {
        let question = #"{"dryRun": true}"#
        let asked = try await ask(route, entitled, tcp, socket, body: question)
        #expect(asked.status == (route.takesQuestions ? 200 : 403), "\(route.pattern) \(asked)")
        for body in [#"{"dryRun": false}"#, #"{"dryRun": "true"}"#, #"{"dryrun": true}"#, "[]", ""] {
          let answer = try await ask(route, entitled, tcp, socket, body: body)
          #expect(
            answer.status == 403 && answer.body.contains("is disabled"), "\(route.pattern) \(body) \(answer)")
        }
        for attempt in [stranger, reader] {
          let answer = try await ask(route, attempt, tcp, socket, body: question)
          #expect(answer.status == attempt.status, "\(route.pattern) \(answer)")
        }
      }
      #expect(acted.all.count == ActingRoute.all.count(where: \.takesQuestions))
    }
  }

  @Test("what can only be done is not done for a question, and a question beside the body is none")
  func misplacedQuestions() async throws {
    let entitled = Attempt(name: "", headers: ["Authorization: Bearer all"], status: 400, words: "")
    try await serve(Self.allSwitches) { tcp, socket, acted in
      for route in ActingRoute.all {
        let beside = try await ask(route, entitled, tcp, socket, query: "?dryRun=true")
        #expect(beside.status == 400 && beside.body.contains("dryRun"), "\(route.pattern) \(beside)")
        guard !route.takesQuestions else { continue }
        let asked = try await ask(route, entitled, tcp, socket, body: #"{"dryRun": true}"#)
        #expect(asked.status == 400 && asked.body.contains("nothing was done"), "\(route.pattern) \(asked)")
      }
      #expect(acted.all == [])
    }
  }

  @Test("one right less is not enough, and the refusal names it")
  func oneRightLess() async throws {
    for route in ActingRoute.all {
      for missing in route.rights {
        let token = try scratch.write("less.token", "less")
        let rights = Set(Right.allCases).subtracting([missing])
        try await serve(Self.allSwitches, [AccessRule(.tokenFile(token), rights)]) {
          tcp, socket, acted in
          let attempt = Attempt(name: "", headers: ["Authorization: Bearer less"], status: 403, words: "")
          let answer = try await ask(route, attempt, tcp, socket)
          #expect(
            answer.status == 403 && answer.body.contains("the right \(missing.rawValue), "), "\(answer)")
          #expect(acted.all == [])
        }
      }
    }
  }

  @Test(
    "these do: a token with all rights over TCP and on the socket, and who is granted or the server's own there"
  )
  func allowed() async throws {
    try await serve(Self.allSwitches) { tcp, socket, acted in
      for route in ActingRoute.all {
        let token = ["Authorization: Bearer all"]
        var answers = [
          try await ask(route, Attempt(name: "", headers: token, status: 200, words: ""), tcp, socket),
          try await ask(
            route, Attempt(name: "", headers: token, isOnSocket: true, status: 200, words: ""), tcp, socket),
        ]
        if Self.isRoot {
          for uid in [Self.own, Self.granted] {
            answers.append(
              try await ask(
                route, Attempt(name: "", isOnSocket: true, status: 200, words: ""), tcp, socket, as: uid))
          }
        }
        for answer in answers { #expect(answer.status == 200, "\(route.pattern) \(answer)") }
      }
      let each = ["token all.token", "uid 0 on the control socket", "uid 65533 on the control socket"]
      #expect(Set(acted.all).isSubset(of: each))
      #expect(acted.all.count == ActingRoute.all.count * (Self.isRoot ? 4 : 2))
    }
  }

  @Test("whom a cluster grants all rights may do all of it, over TCP and on the socket")
  func cluster() async throws {
    try await serve(Self.allSwitches) { tcp, socket, acted in
      for route in ActingRoute.all {
        for isOnSocket in [false, true] {
          let attempt = Attempt(
            name: "", headers: ["Authorization: Bearer cluster-all"], isOnSocket: isOnSocket, isOther: true,
            status: 200, words: "")
          let answer = try await ask(route, attempt, tcp, socket)
          #expect(answer.status == 200, "\(route.pattern) \(answer)")
        }
      }
      #expect(Set(acted.all) == ["user admin of the cluster prod"])
    }
  }

  @Test("every acting route needs a right, and all but those that end a drain or a hold a switch")
  func routes() {
    #expect(ActingRoute.all.allSatisfy { !$0.rights.isEmpty && !$0.rights.contains(.read) })
    #expect(ActingRoute.all.filter { $0.controlSwitch == nil } == [.endDrain, .resetHold])
    #expect(Set(ActingRoute.all).count == 8)
  }

  @Test("Alertmanager's token tells of alerts and does nothing else, over TCP")
  func alertmanager() async throws {
    try await serve(Self.allSwitches) { tcp, socket, acted in
      for route in ActingRoute.all {
        let attempt = Attempt(name: "", headers: ["Authorization: Bearer alerts"], status: 200, words: "")
        let answer = try await ask(route, attempt, tcp, socket)
        #expect(answer.status == (route == .alerts ? 200 : 403), "\(route.pattern) \(answer)")
      }
      #expect(acted.all == ["token alerts.token"])
    }
  }

  @Test("the shadow of a switch lets alerts in, and its absence does not")
  func shadow() async throws {
    try await serve([.alerts: .shadow]) { tcp, socket, acted in
      let attempt = Attempt(name: "", headers: ["Authorization: Bearer alerts"], status: 200, words: "")
      let answer = try await ask(.alerts, attempt, tcp, socket)
      #expect(answer.status == 200)
    }
  }
}
