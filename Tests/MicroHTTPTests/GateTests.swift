import MicroHTTP
import Testing

@Suite("The gate before the routes", .timeLimit(.minutes(2)))
struct GateTests {
  private static func router(_ acted: Counter) -> Router {
    var router = Router()
    for (path, isGated) in [("/now", true), ("/open", false)] {
      router.on(
        .get, path, isGated: isGated,
        .immediate { _ in
          acted.add()
          return Response(headers: ["X-Own": "route"], body: .bytes(Array("done".utf8)))
        })
    }
    router.on(
      .get, "/later",
      .deferred { _ in
        acted.add()
        return .text("done")
      })
    router.gate = RequestGate(fields: { [.init("X-Own", "gate"), .init("X-More", "gate")] }) { request in
      switch request.query.first?.name {
      case "no": .refused(.text("no", status: 403))
      case "slowly-no":
        .undecided {
          await Task.yield()
          return .text("no", status: 403)
        }
      case "slowly":
        .undecided {
          await Task.yield()
          return nil
        }
      default: .open
      }
    }
    return router
  }

  @Test("what it refuses, at once or after a while, reaches no handler", arguments: ["no", "slowly-no"])
  func refused(answer: String) async throws {
    let acted = Counter()
    let router = Self.router(acted)
    try await withServer(router) { server in
      for path in ["/now", "/later", "/missing"] {
        let target = path + "?" + answer
        let answered = try await server.get(target)
        #expect(answered.status == 403)
        #expect(await router.respond(to: Request(.get, target)).status == 403)
      }
      let deleted = try await server.get("/now?\(answer)", method: "DELETE")
      #expect(deleted.status == 403)
      #expect(acted.value == 0)
      let open = try await server.get("/open?\(answer)")
      #expect(open.text == "done")
    }
  }

  @Test(
    "what it lets pass, at once or after a while, is answered by its handler", arguments: ["yes", "slowly"])
  func passed(answer: String) async throws {
    let acted = Counter()
    try await withServer(Self.router(acted)) { server in
      let now = try await server.get("/now?\(answer)")
      let later = try await server.get("/later?\(answer)")
      let missing = try await server.get("/missing?\(answer)")
      #expect(now.text == "done" && later.text == "done" && missing.status == 404)
      #expect(acted.value == 2)
    }
  }

  @Test(
    "its header fields are on every answer over TCP that has none of the name, and on none of a Unix socket")
  func fields() async throws {
    let path = try temporaryDirectory() + "/s"
    try await withServer(Self.router(Counter()), at: ["127.0.0.1:0", "unix:\(path)"]) { server in
      let answer = try await server.get("/now")
      #expect(answer.header("X-Own") == "route" && answer.header("X-More") == "gate")
      #expect(try await server.get("/missing").header("X-Own") == "gate")
      #expect(try await server.get("/now?no").header("X-More") == "gate")
      let address = server.addresses[1]
      let local = try await blocking { try RawClient(address).get("/now") }
      #expect(local?.status == 200 && local?.header("X-More") == nil)
    }
  }
}
