import CurlClient
import Foundation
import Kubernetes
import Synchronization
import Testing

@Suite struct ClientTests {
  @Test func aRequestSaysWhoAsksAndForWhat() async throws {
    try await withServer(credentials: Credentials(token: "secret")) { _ in
      .json(thing("a", version: 1), headers: ["Date": "Sun, 06 Nov 1994 08:49:37 GMT"])
    } test: { client, server in
      let thing: Thing = try await client.get(things.named("a", in: "ns"))
      #expect(thing.spec.size == 1)
      let ask = server.asks[0]
      #expect(ask.method == "GET")
      #expect(ask.path == "/apis/example.org/v1/namespaces/ns/things/a")
      #expect(ask.headers["user-agent"] == "drover/1.2.3")
      #expect(ask.headers["accept"] == "application/json")
      #expect(ask.headers["accept-encoding"] == nil)
      #expect(ask.headers["authorization"] == "Bearer secret")
      #expect(client.serverClock?.server.timeIntervalSince1970 == 784_111_777)
      #expect(client.serverClock?.offset == 783_111_777.0)
    }
  }

  @Test func changesAreSentInTheirForms() async throws {
    try await withServer { _ in
      .json(thing("a", version: 2), status: 201)
    } test: { client, server in
      let path = things.named("a", in: "ns")
      let made = try await client.create(["kind": "Thing"] as JSONValue, in: things.within("ns"))
      #expect(try made.decoded(as: Thing.self).metadata.name == "a")
      try await client.patch(path, with: .json([.test("/a", 1)]), dryRun: true)
      try await client.patch(path.subresource("status"), with: .merge(["a": 1]))
      try await client.update(path.subresource("migrate"), with: [:] as JSONValue)
      try await client.delete(path, if: Preconditions(uid: "u", resourceVersion: "9"))
      let asks = server.asks
      #expect(asks.map(\.method) == ["POST", "PATCH", "PATCH", "PUT", "DELETE"])
      #expect(
        asks.map { $0.headers["content-type"] } == [
          "application/json", "application/json-patch+json", "application/merge-patch+json",
          "application/json",
          "application/json",
        ])
      #expect(asks[1].query == ["dryRun": "All"])
      #expect(asks[2].path.hasSuffix("/things/a/status"))
      let options = try JSONDecoder().decode(JSONValue.self, from: Data(asks[4].body.utf8))
      #expect(
        options == [
          "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": ["uid": "u", "resourceVersion": "9"],
        ])
    }
  }

  @Test func aReadComesBackWhenTheServerAsksForThat() async throws {
    let time = TestTime()
    try await withServer(time: time) { ask in
      switch ask.number {
      case 0: .json(status(429, "TooManyRequests"), status: 429, headers: ["Retry-After": "2"])
      case 1: .json(status(503, "ServiceUnavailable", details: #"{"retryAfterSeconds":900}"#), status: 503)
      default: .json(thing("a", version: 1))
      }
    } test: { client, server in
      let _: Thing = try await client.get(things.named("a", in: "ns"))
      #expect(time.slept == [.seconds(2), .seconds(10)])
      #expect(server.asks.count == 3)
    }
  }

  @Test func aServerThatAlwaysAsksForPatienceIsGivenUp() async throws {
    try await withServer { _ in
      .json(status(429, "TooManyRequests"), status: 429, headers: ["Retry-After": "1"])
    } test: { client, server in
      let error = await failure { () throws(KubernetesError) in _ = try await client.version() }
      #expect(error?.kind == .throttled)
      #expect(server.asks.count == 4)
    }
  }

  @Test func nothingIsRepeatedWithoutATimeAndNoChangeEver() async throws {
    try await withServer { ask in
      ask.method == "GET"
        ? .json("busy", status: 503)
        : .json(status(429, "TooManyRequests"), status: 429, headers: ["Retry-After": "1"])
    } test: { client, server in
      let busy = await failure { () throws(KubernetesError) in _ = try await client.version() }
      #expect(busy?.kind == .unavailable)
      let error = await failure { () throws(KubernetesError) in
        try await client.create([:] as JSONValue, in: things.within("ns"))
      }
      #expect(error?.kind == .throttled)
      await #expect(throws: KubernetesError.self) {
        try await client.delete(things.named("a", in: "ns"), if: Preconditions())
      }
      #expect(server.asks.map(\.method) == ["GET", "POST", "DELETE"])
    }
  }

  @Test func aRefusedTokenIsReadAnewAndShownOnce() async throws {
    let directory = try TestDirectory()
    let file = try directory.write("old\n", to: "token")
    try await withServer(credentials: Credentials(tokenFile: file, timing: TestTime().timing)) { ask in
      ask.headers["authorization"] == "Bearer new"
        ? .json(thing("a", version: 1), status: 201) : .json(status(401, "Unauthorized"), status: 401)
    } test: { client, server in
      // Refused, and nothing new to show.
      let refused = await failure { () throws(KubernetesError) in _ = try await client.version() }
      #expect(refused?.kind == .unauthorized)
      #expect(server.asks.count == 1)
      try directory.write("new\n", to: "token")
      try await client.create([:] as JSONValue, in: things.within("ns"))
      #expect(
        server.asks.map { $0.headers["authorization"] } == ["Bearer old", "Bearer old", "Bearer new"])
    }
  }

  @Test func aRightThatIsMissingIsNamed() async throws {
    try await withServer { _ in
      .json(status(403, "Forbidden", "no"), status: 403)
    } test: { client, _ in
      let some = await failure { () throws(KubernetesError) in
        let _: ObjectList<Thing> = try await client.list(things.within("ns"))
      }
      #expect(some?.kind == .forbidden)
      #expect(
        some?.description.hasSuffix(
          "grant the verb 'list' on 'things' in the API group 'example.org' in namespace 'ns'") == true)
      let all = await failure { () throws(KubernetesError) in
        try await client.update(
          Resource(plural: "nodes", isNamespaced: false).named("n").subresource("status"),
          with: [:] as JSONValue)
      }
      #expect(
        all?.description.hasSuffix(
          "grant the verb 'update' on 'nodes/status' in the core API group (a ClusterRole)") == true)
    }
  }

  @Test(arguments: [
    (400, "BadRequest", "bad_request"), (401, "Unauthorized", "unauthorized"), (404, "NotFound", "not_found"),
    (405, "MethodNotAllowed", "bad_request"), (409, "Conflict", "conflict"),
    (409, "AlreadyExists", "already_exists"), (410, "Expired", "gone"), (422, "Invalid", "invalid"),
    (500, "InternalError", "server"), (503, "ServiceUnavailable", "unavailable"), (504, "Timeout", "timeout"),
    (302, "Found", "other"),
  ])
  func everyRefusalHasAShortForm(code: Int, reason: String, short: String) async throws {
    try await withServer { _ in
      .json(status(code, reason, "so it is"), status: code)
    } test: { client, _ in
      let error = await failure { () throws(KubernetesError) in _ = try await client.version() }
      #expect(error?.shortDescription == short)
      #expect(
        error?.description.contains("get /version: the server answered \(code) \(reason): so it is") == true)
    }
  }

  @Test func aPageInPlaceOfAnAnswerIsShownInShort() async throws {
    try await withServer { _ in
      .json("<html>\n  bad\u{1B} gateway\n</html>" + String(repeating: "x", count: 5000), status: 502)
    } test: { client, _ in
      let error = await failure { () throws(KubernetesError) in _ = try await client.version() }
      #expect(error?.kind == .server)
      #expect(error?.description.contains("502: <html> bad gateway </html>") == true)
      #expect((error?.description.utf8.count ?? 0) < 1200)
    }
  }

  @Test func causesAndDetailsAreKept() async throws {
    let details =
      #"{"name":"a","kind":"things","causes":[{"reason":"FieldValueInvalid","message":"m","field":"spec.x"}]}"#
    try await withServer { _ in
      .json(status(422, "Invalid", details: details), status: 422)
    } test: { client, _ in
      guard
        case .status(let status) = await failure({ () throws(KubernetesError) in
          _ = try await client.version()
        })
      else {
        Issue.record("no status")
        return
      }
      #expect((status.name, status.kind) == ("a", "things"))
      #expect(status.causes.map(\.field) == ["spec.x"])
    }
  }

  @Test func anAnswerOfAnotherShapeIsAnErrorThatSaysWhere() async throws {
    try await withServer { _ in
      .json(#"{"metadata":{"name":"a","uid":"u"},"spec":{"size":"big"}}"#)
    } test: {
      client, _ in
      let error = await failure { () throws(KubernetesError) in
        let _: Thing = try await client.get(things.named("a", in: "ns"))
      }
      #expect(error?.kind == .malformed)
      #expect(error?.description.contains("no Int at .spec.size") == true)
    }
  }

  @Test func aServerThatIsNotThereIsOneWord() async throws {
    try await withServer { _ in
      Reply()
    } test: { client, server in
      server.stop()
      // The listener may take one more connection before it is closed.
      for _ in 0..<100 {
        let error = await failure { () throws(KubernetesError) in _ = try await client.version() }
        if error?.kind == .connect { return }
        try await Task.sleep(for: .milliseconds(20))
      }
      Issue.record("still there")
    }
  }

  @Test func requestsAreCountedByWhatTheyWereAndHowTheyEnded() async throws {
    try await withServer { ask in
      ask.path == "/version" ? .json("", status: 500) : .json(thingList([], version: 1))
    } test: { client, _ in
      for _ in 0..<2 { let _: ObjectList<Thing> = try await client.list(things.within("ns")) }
      _ = await failure { () throws(KubernetesError) in _ = try await client.version() }
      let counts = client.counters.snapshot().map { "\($0.verb) \($0.resource) \($0.code) \($1)" }
      #expect(Set(counts) == ["list things.example.org 200 2", "get raw 500 1"])
    }
  }

  @Test func aPodsOwnPageIsTextAsItIs() async throws {
    try await withServer { _ in
      .json("metric 1\n")
    } test: { client, server in
      let path = ResourcePath.podProxy("p", in: "n", scheme: "https", port: 8443, path: "/metrics")
      let page = try await client.text(path)
      #expect(page.text == "metric 1\n")
      #expect(server.asks[0].path.contains("/pods/https%3Ap%3A8443/proxy/metrics"))
      #expect(server.asks[0].headers["accept"] == "*/*")
    }
  }
}

@Suite struct ListTests {
  @Test func aListIsFollowedPageByPage() async throws {
    try await withServer { ask in
      ask.query["continue"] == "t"
        ? .json(thingList([thing("c", version: 3)], version: 5))
        : .json(
          thingList([thing("a", version: 1), thing("b", version: 2, size: "null")], version: 5, next: "t"))
    } test: { client, server in
      let list: ObjectList<Thing> = try await client.list(
        things.all, ListSelection(labels: "a=b,c", fields: "metadata.name=x"))
      #expect(list.objects.map(\.metadata.name) == ["a", "c"])
      #expect(list.malformed.map(\.key?.name) == ["b"])
      #expect((list.resourceVersion, list.next) == ("5", nil))
      #expect(
        server.asks[0].query == [
          "limit": "500", "labelSelector": "a=b,c", "fieldSelector": "metadata.name=x",
        ])
      #expect(server.asks[1].query["continue"] == "t")
    }
  }

  @Test func aPageThatComesTooLateMakesOneListOfAll() async throws {
    try await withServer { ask in
      if ask.query["continue"] != nil { return .json(status(410, "Expired"), status: 410) }
      return ask.query["limit"] == nil
        ? .json(thingList([thing("a", version: 1), thing("b", version: 2)], version: 9))
        : .json(thingList([thing("a", version: 1)], version: 5, next: "t"))
    } test: { client, _ in
      let list: ObjectList<Thing> = try await client.list(things.all)
      #expect(list.objects.map(\.metadata.name) == ["a", "b"])
      #expect(list.resourceVersion == "9")
    }
  }

  @Test func aListThatEndsTooEarlyIsAnError() async throws {
    let body = thingList([thing("a", version: 1)], version: 5)
    try await withServer { ask in
      ask.number == 0 ? .json(String(body.dropLast(9))) : .stream([String(body.dropLast(60))], .cut)
    } test: { client, _ in
      for kind in [KubernetesError.Kind.malformed, .closed] {
        let error = await failure { () throws(KubernetesError) in
          let _: ObjectList<Thing> = try await client.listPage(things.all)
        }
        #expect(error?.kind == kind)
      }
    }
  }
}
