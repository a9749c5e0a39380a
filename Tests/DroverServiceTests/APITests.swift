import Testing

@testable import DroverCore
@testable import DroverService

@Suite("The API's migrations")
struct APITests {
  private func json(_ value: some Encodable) throws -> String {
    String(decoding: try APICoding.encode(value), as: UTF8.self)
  }

  @Test("a running one, exactly")
  func running() throws {
    #expect(
      try json(sampleItem())
        == #"{"asOf":"2026-11-23T17:00:00.123Z","backend":"qemu","bestRemainingBytes":3221225472,"#
        + #""completion":{"action":"none","deadlineAt":"2026-11-23T18:44:35.123Z","enforcedBy":"none","#
        + #""setBy":"config","timeoutSeconds":6400,"uncertaintySeconds":0,"usedSeconds":125},"#
        + #""dirtyBytesPerSecond":5242880,"#
        + #""evidence":"3.0 GiB remaining; dirties 5.0 MiB/s of 42.0 MiB/s sent","#
        + #""expectedEndAt":"2026-11-23T17:01:23.123Z","guestRunsOn":"source","host":"rack1","#
        + #""id":"0b1f-1700000000000","interruptions":{"count":0,"seconds":0},"iterations":2,"namespace":null,"#
        + #""origin":"unknown","phase":"precopy","phaseEnteredAt":"2026-11-23T16:58:00.123Z","#
        + #""progress":{"deadlineAt":"2026-11-23T17:02:27.123Z","enforcedBy":"none","setBy":"config","#
        + #""timeoutSeconds":150,"uncertaintySeconds":0,"usedSeconds":3},"progressRatio":0.625,"remainingBytes":3221225472,"#
        + #""sampleAgeLimitSeconds":10.5,"sampleAgeSeconds":0.4,"sampledAt":"2026-11-23T16:59:59.723Z","sizeBytes":8589934592,"#
        + #""source":"rack1","startedAt":"2026-11-23T16:57:55.123Z","target":"rack2","#
        + #""transferBytesPerSecond":44040192,"transferredBytes":7516192768,"verdict":"converging","vm":"web"}"#
    )
  }

  @Test("an ended one tells outcome, cause, certainty and the source's words")
  func over() throws {
    let item = sampleItem(
      sampleView(scope: .namespace("shop"), ended(.failed, .connectionLost, text: "reset by \"peer\"")))
    #expect(
      try json(item.ending) == #"{"cause":"connection_lost","certainty":"reported","durationSeconds":113,"#
        + #""endedAt":"2026-11-23T16:59:48.123Z","outcome":"failed","text":"reset by \"peer\""}"#)
    #expect(item.phase == "failed")
    #expect(item.namespace == "shop")
    #expect(item.host == nil)
    #expect(item.completion?.deadlineAt == nil)
    #expect(item.completion?.usedSeconds == nil)
    #expect(item.progressRatio == nil)
    #expect(try json(item).contains(#""host":null"#))
  }

  @Test("what is not known is absent")
  func absent() throws {
    let item = sampleItem(
      sampleView { view in
        view.sample = Sample()
        view.completion = nil
        view.progressBudget = nil
        view.progress = nil
        view.transferRate = nil
        view.facts.size = nil
      })
    let text = try json(item)
    for key in [
      "completion", "progress", "remainingBytes", "sizeBytes", "ending", "iterations", "progressRatio",
      "keepalive", "connections", "networkLost", "uncertaintySeconds", "object", "requestedTarget",
      "network", "migrationPolicy", "productStatus", "pending", "createdAt", "documentedSeconds",
    ] {
      #expect(!text.contains("\"\(key)\""))
    }
  }

  @Test("a keepalive that is measured, and the connections, exactly")
  func network() throws {
    let item = sampleItem(sampleView(watched(spread: .milliseconds(1500))))
    #expect(
      try json(item.keepalive)
        == #"{"basis":"measured","deadlineAt":"2026-11-23T17:00:28.123Z","intervalSeconds":5,"method":"measured","#
        + #""timeoutSeconds":30,"uncertaintySeconds":1.5,"usedSeconds":2}"#)
    #expect(
      try json(item.connections)
        == #"{"control":{"isAwaited":false,"lastHeardAt":"2026-11-23T16:59:58.123Z","retransmits":1,"#
        + #""unackedBytes":0},"data":{"isAwaited":true,"lastHeardAt":"2026-11-23T17:00:00.123Z","#
        + #""retransmits":17,"unackedBytes":524288}}"#)
    #expect(try !json(item).contains("networkLost"))
  }

  @Test("a keepalive that is inferred tells why, and that it may be an interval later")
  func inferredKeepalive() throws {
    let item = sampleItem(sampleView(watched(.inferred(.remote), control: nil, data: nil)))
    #expect(
      try json(item.keepalive)
        == #"{"basis":"remote","deadlineAt":"2026-11-23T17:00:25.123Z","intervalSeconds":5,"method":"inferred","#
        + #""timeoutSeconds":30,"uncertaintySeconds":5,"usedSeconds":5}"#)
    #expect(item.connections == nil)
  }

  @Test("a keepalive of which there is nothing to count from yet has its time-out only")
  func unbegunKeepalive() throws {
    let item = sampleItem(
      sampleView { view in
        view.progress = nil
        watched(.inferred(.ssh), control: nil, data: nil)(&view)
      })
    #expect(
      try json(item.keepalive)
        == #"{"basis":"ssh","intervalSeconds":5,"method":"inferred","timeoutSeconds":30}"#)
  }

  @Test(
    "no keepalive tells why there is none",
    arguments: [(KeepaliveBasis.Absence.notPeerToPeer, "not_peer_to_peer"), (.disabled, "disabled")])
  func noKeepalive(reason: KeepaliveBasis.Absence, name: String) throws {
    let item = sampleItem(sampleView(watched(.none(reason), control: nil)))
    #expect(try json(item.keepalive) == #"{"basis":"\#(name)"}"#)
    #expect(item.connections?.data?.retransmits == 17 && item.connections?.control == nil)
  }

  @Test("lost networks are listed, the management network first")
  func lostNetworks() throws {
    let item = sampleItem(sampleView(watched(control: 12, data: 12)))
    #expect(try json(item).contains(#""networkLost":["management","migration"]"#))
    #expect(item.verdict == "network_lost")
  }

  @Test("a deadline that is not known to the second has its uncertainty beside it")
  func uncertainty() {
    let item = sampleItem(sampleView { $0.progress?.dropUncertainty = .seconds(60) })
    #expect(item.progress?.uncertaintySeconds == 60)
    #expect(item.completion?.uncertaintySeconds == 0)
    #expect(sampleItem(sampleView(ended(.succeeded))).progress?.uncertaintySeconds == nil)
  }

  @Test("reads back what it wrote, also from a newer server")
  func decodes() throws {
    let list = MigrationList([
      sampleItem(), sampleItem(sampleView(id: "2", ended(.aborted, .userAbort))),
      sampleItem(sampleView(id: "3", watched(control: 12))),
      sampleItem(sampleView(id: "4", watched(.inferred(.denied), control: nil))),
      sampleItem(sampleView(id: "5", scope: .namespace("shop"), clustered)),
      sampleItem(sampleView(id: "6", scope: .namespace("shop"), waiting(.quota, text: "exceeded quota"))),
    ])
    #expect(try APICoding.decode(MigrationList.self, from: APICoding.encode(list)) == list)
    let newer = try json(list).replacing(#"{"asOf""#, with: #"{"aNewKey":{"x":1},"asOf""#)
    #expect(try APICoding.decode(MigrationList.self, from: Array(newer.utf8)) == list)
  }

  @Test("a list is sorted by start, then id")
  func sorted() throws {
    let views = [
      sampleView(id: "c", startedAt: noon), sampleView(id: "b", startedAt: noon),
      sampleView(id: "z", startedAt: noon - .seconds(1)),
    ]
    let list = MigrationList(sampleSnapshot(views), epochOffset: sampleOffset, now: noon)
    #expect(list.items.map(\.id) == ["z", "b", "c"])
    #expect(try json(MigrationList([])) == #"{"backends":[],"items":[]}"#)
  }

  @Test("a back end that is down is a warning, with the age of what it saw last")
  func backends() {
    func item(isUp: Bool, last: Timestamp?) -> BackendItem {
      BackendItem(
        name: "rack1", type: "qemu", isUp: isUp, lastSuccessAt: last, asOf: Timestamp(noon, sampleOffset))
    }
    #expect(item(isUp: true, last: nil).warning == nil)
    #expect(item(isUp: false, last: nil).warning == "back end rack1 is down: it has not answered yet")
    #expect(
      item(isUp: false, last: Timestamp(noon - .seconds(34), sampleOffset)).warning
        == "back end rack1 is down: the oldest answer is from 34s ago")
    var told = item(isUp: false, last: nil)
    told.downSince = Timestamp(noon - .seconds(90), sampleOffset)
    told.problem = "virConnectOpen: refused"
    #expect(
      told.warning
        == "back end rack1 is down: it has not answered yet; down for 1m 30s: virConnectOpen: refused")
  }

  @Test("a migration whose sample lies in the future is 0 s old")
  func futureSample() {
    #expect(sampleItem(sampleView { $0.sampledAt = noon + .seconds(1) }).sampleAgeSeconds == 0)
  }
}

@Suite("Which migration somebody meant")
struct MigrationLookupTests {
  private static let views = [
    sampleView(id: "1", vm: "web", ended(.succeeded)), sampleView(id: "2", vm: "web"),
    sampleView(id: "3", vm: "db", ended(.failed, .other)),
    sampleView(id: "4", vm: "db", ended(.failed, .other)),
    sampleView(id: "5", scope: .namespace("shop"), vm: "cache"),
    sampleView(id: "6", scope: .host("shop"), vm: "cache"),
    sampleView(id: "7", vm: "a/b"),
    sampleView(id: "8", scope: .host("h"), vm: "once", ended(.aborted, .userAbort)),
    sampleView(id: "9a", scope: .namespace("ns"), vm: "a") { $0.facts.object = "a-x7k2p" },
    sampleView(id: "9b", scope: .namespace("ns"), vm: "b") { $0.facts.object = "a" },
  ]

  @Test(
    "an id, a scope and a name, or a name alone; running ones first, nothing guessed",
    arguments: [
      ("1", ["1"]), ("rack1/web", ["2"]), ("rack1/db", ["3", "4"]), ("shop/cache", ["5", "6"]),
      ("rack1/a/b", ["7"]), ("qemu/h/once", ["8"]), ("other/h/once", []), ("qemu/shop/cache", ["5", "6"]),
      ("h/once", ["8"]), ("ns/a-x7k2p", ["9a"]), ("ns/a", ["9a", "9b"]), ("ns/b", ["9b"]), ("ns/", []),
      ("web", ["2"]), ("once", ["8"]), ("cache", ["5", "6"]), ("db", ["3", "4"]), ("rack1/", []), ("", []),
      ("rack2/web", []), ("9", []),
    ])
  func finds(typed: String, ids: [String]) {
    func found<Migration: MigrationNames>(_ lookup: MigrationLookup<Migration>) -> [String] {
      switch lookup {
      case .found(let migration): [migration.lookupID]
      case .none: []
      case .ambiguous(let migrations): migrations.map(\.lookupID)
      }
    }
    #expect(found(MigrationLookup(typed, in: Self.views)) == ids)
    #expect(found(MigrationLookup(typed, in: Self.views.map { sampleItem($0) })) == ids)
    #expect(found(MigrationLookup(typed, in: sampleSnapshot(Self.views).migrations)) == ids)
  }
}
