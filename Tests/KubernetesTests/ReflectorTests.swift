import Foundation
import Kubernetes
import Testing

@Suite struct ReflectorTests {
  let empty = Reply.json(thingList([], version: 10))

  @Test func aListIsToldThenWhatChanges() async throws {
    let (told, asks) = try await reflect(
      script(
        lists: [.json(thingList([thing("a", version: 1), thing("b", version: 2)], version: 10))],
        watches: [
          .stream([
            event("ADDED", thing("c", version: 11)) + event("MODIFIED", thing("a", version: 12)),
            bookmark(20),
            event("DELETED", thing("b", version: 21)),
          ])
        ]), things.within("ns"), ListSelection(labels: "a=b")
    ) { told, _ in told.words.count == 6 }
    #expect(
      told == [
        "initial ns/a 1", "initial ns/b 2", "synced first", "object ns/c 11", "object ns/a 12",
        "gone ns/b 21",
      ])
    #expect(asks[0].path == "/apis/example.org/v1/namespaces/ns/things")
    #expect(asks[0].query == ["labelSelector": "a=b", "limit": "500", "resourceVersion": "0"])
    #expect(
      asks[1].query == [
        "labelSelector": "a=b", "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": "10",
        "timeoutSeconds": "240",
      ])
  }

  @Test func eventsAreFoundWhereverTheBodyIsCut() async throws {
    let body = event("ADDED", thing("ä", version: 11)) + event("DELETED", thing("ä", version: 12))
    let parts = body.map { String($0) }
    let (told, _) = try await reflect(script(lists: [empty], watches: [.stream(parts)])) { told, _ in
      told.words.count == 3
    }
    #expect(told == ["synced first", "object ns/ä 11", "gone ns/ä 12"])
  }

  @Test func pagesMakeOneList() async throws {
    let (told, asks) = try await reflect(
      script(
        lists: [
          .json(thingList([thing("a", version: 1)], version: 10, next: "t")),
          .json(thingList([thing("b", version: 2)], version: 10)),
        ], watches: [])
    ) { told, server in server.asks.count == 3 }
    #expect(told == ["initial ns/a 1", "initial ns/b 2", "synced first"])
    #expect(asks[1].query == ["limit": "500", "continue": "t"])
    #expect(asks[2].query["resourceVersion"] == "10")
  }

  @Test func aPageThatComesTooLateMakesTheListComeInOnePiece() async throws {
    let (told, asks) = try await reflect(
      script(
        lists: [
          .json(thingList([thing("a", version: 1)], version: 10, next: "t")),
          .json(status(410, "Expired"), status: 410),
          .json(thingList([thing("b", version: 2)], version: 12)),
        ], watches: [])
    ) { told, server in server.asks.count == 4 }
    #expect(told == ["initial ns/a 1", "initial ns/b 2", "gone ns/a unseen", "synced first"])
    #expect(asks[2].query.isEmpty)
  }

  @Test func aWatchThatEndsIsGoneOnWithFromTheLastVersion() async throws {
    let (told, asks) = try await reflect(
      script(
        lists: [empty],
        watches: [
          .stream([event("ADDED", thing("a", version: 11))], .clean), .stream([bookmark(40)], .clean),
          .stream([event("MODIFIED", thing("a", version: 41))], .cut),
        ])
    ) { told, server in server.asks.count == 5 }
    #expect(asks.dropFirst().map { $0.query["resourceVersion"] } == ["10", "11", "40", "41"])
    #expect(told == ["synced first", "object ns/a 11", "object ns/a 41", "failed closed 0"])
  }

  @Test(arguments: [
    Reply.json(status(410, "Expired"), status: 410),
    Reply.stream([event("ERROR", status(410, "Expired", "too old resource version: 10 (99)"))]),
  ])
  func aVersionThatIsTooOldIsListedAnew(refusal: Reply) async throws {
    let (told, asks) = try await reflect(
      script(
        lists: [
          .json(thingList([thing("a", version: 1), thing("b", version: 2)], version: 10)),
          .json(thingList([thing("b", version: 2), thing("c", version: 30, uid: "new")], version: 31)),
        ], watches: [refusal])
    ) { told, server in server.asks.count == 4 }
    #expect(
      told == [
        "initial ns/a 1", "initial ns/b 2", "synced first", "object ns/b 2", "object ns/c 30",
        "gone ns/a unseen", "synced",
      ])
    // Nothing older than what is newest will do now.
    #expect(asks[2].query == ["limit": "500"])
    #expect(asks[3].query["resourceVersion"] == "31")
  }

  @Test(arguments: [500, 504]) func anErrorInsideAWatchIsToldAndListedAnew(code: Int) async throws {
    let (told, _) = try await reflect(
      script(
        lists: [empty, empty],
        watches: [.stream([event("ERROR", status(code, "Some")), event("ADDED", thing("no", version: 1))])])
    ) { told, _ in told.words.contains("synced") }
    #expect(told == ["synced first", "failed \(code == 500 ? "server" : "timeout") 0", "synced"])
  }

  @Test func aListThatFailsIsTriedAgainAndNothingIsGoneMeanwhile() async throws {
    let whole = thingList([thing("a", version: 1), thing("b", version: 2)], version: 10)
    let (told, _) = try await reflect(
      script(
        lists: [
          .json("busy", status: 503), .stream([String(whole.dropLast(60))], .cut), .json("<html>"),
          .json(whole),
        ], watches: [])
    ) { told, _ in told.words.contains("synced first") }
    #expect(
      told.filter { $0.hasPrefix("failed") } == [
        "failed unavailable 0", "failed closed 0", "failed malformed 1",
      ])
    #expect(!told.contains { $0.hasPrefix("gone") || $0.hasPrefix("object") })
    #expect(told.suffix(3) == ["initial ns/a 1", "initial ns/b 2", "synced first"])
  }

  @Test(arguments: [(404, "not_found"), (403, "forbidden")])
  func whatIsNotThereIsAskedForOnceAMinute(code: Int, word: String) async throws {
    let time = TestTime()
    let (told, _) = try await reflect(
      script(
        lists: [
          .json("404 page not found", status: code), .json("404 page not found", status: code),
          .json(thingList([thing("a", version: 1)], version: 10)),
        ], watches: []), time: time
    ) { told, _ in told.words.contains("synced first") }
    #expect(told == ["failed \(word) 60", "failed \(word) 60", "initial ns/a 1", "synced first"])
    #expect(time.slept == [.seconds(60), .seconds(60)])
  }

  @Test func oneBadObjectIsLeftOutAndNotTakenForGone() async throws {
    let bad = thing("bad", version: 2, size: #""large""#)
    let nameless = #"{"metadata":{"name":"half"},"spec":{"size":1}}"#
    let (told, _) = try await reflect(
      script(
        lists: [
          .json(thingList([thing("bad", version: 1)], version: 5)),
          .json(thingList([thing("a", version: 1), bad, nameless], version: 10)),
        ],
        watches: [
          .json(status(410, "Expired"), status: 410),
          .stream([
            event("MODIFIED", bad) + "rubbish\n" + event("WHAT", "{}") + event("DELETED", bad)
              + event("ADDED", thing("b", version: 12))
          ]),
        ])
    ) { told, _ in told.words.last == "object ns/b 12" }
    #expect(
      told == [
        "initial ns/bad 1", "synced first", "object ns/a 1", "malformed ns/bad",
        "malformed 'half': no uid at .metadata", "synced", "malformed ns/bad",
        "malformed an event: no JSON object",
        "malformed an event of the unknown type 'WHAT'",
        "malformed ns/bad", "gone ns/bad unseen", "object ns/b 12",
      ])
  }

  @Test func aServerThatEndsEveryWatchAtOnceIsNotAskedWithoutPause() async throws {
    let time = TestTime()
    let (_, _) = try await reflect(
      script(lists: [empty], watches: Array(repeating: .stream([], .clean), count: 4)), time: time
    ) { told, server in server.asks.count == 6 }
    #expect(time.slept.prefix(4) == [.milliseconds(250), .milliseconds(500), .seconds(1), .seconds(2)])
  }

  @Test func signsOfLifeAreTold() async throws {
    let told = Told()
    try await withServer(
      script(lists: [empty], watches: [.stream([bookmark(11), bookmark(12)])])
    ) { client, server in
      let run = Task { await Reflector<Thing>(client, things.all).run { told.take($0) } }
      let deadline = ContinuousClock.now + .seconds(30)
      while told.fresh < 3, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(2)) }
      #expect(told.fresh >= 3)
      run.cancel()
      await run.value
    }
  }

  @Test func itEndsWithItsTaskAndWithItsClient() async throws {
    try await withServer(script(lists: [empty], watches: [])) { client, server in
      let told = Told()
      let run = Task { await Reflector<Thing>(client, things.all).run { told.take($0) } }
      while server.asks.count < 2 { try await Task.sleep(for: .milliseconds(2)) }
      run.cancel()
      await run.value
      #expect(told.words == ["synced first"])
    }
    let told = Told()
    var running: Task<Void, Never>?
    try await withServer(script(lists: [empty], watches: [])) { client, server in
      running = Task { await Reflector<Thing>(client, things.all).run { told.take($0) } }
      while server.asks.count < 2 { try await Task.sleep(for: .milliseconds(2)) }
    }
    // The HTTP client was shut down with the test's server.
    await running?.value
    #expect(told.words == ["synced first"])
  }

  @Test func theServersClockComesWithTheList() async throws {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT"
    try await withServer { ask in
      ask.isWatch ? .stream([]) : .json(thingList([], version: 1), headers: ["Date": date])
    } test: { client, _ in
      let times = AsyncStream.makeStream(of: Date?.self)
      let run = Task {
        await Reflector<Thing>(client, things.all).run { event in
          if case .synced(let time, _) = event { times.continuation.yield(time) }
        }
      }
      let first = await times.stream.first { _ in true }
      #expect(first??.timeIntervalSince1970 == 784_111_777)
      run.cancel()
      await run.value
    }
  }
}
