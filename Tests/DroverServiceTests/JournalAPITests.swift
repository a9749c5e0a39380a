import Journal
import MicroHTTP
import Testing

@testable import DroverCore
@testable import DroverService

@Suite("The journal over the API and in tables")
struct JournalAPITests {
  private var migration: PastMigration {
    var migration = PastMigration(
      sampleView(id: "m-1", scope: .namespace("shop"), vm: "db") {
        clustered(&$0)
        ended(.failed, .completionTimeout, text: "too slow")(&$0)
      }, epochOffset: sampleOffset)
    migration.iterations = 17
    return migration
  }

  private var decision: Decision {
    var decision = Decision(
      madeAt: 1_795_453_200_123, action: .abort, trigger: .alert, kind: .refused,
      migration: MigrationID("m-1"),
      vm: VMRef(backend: BackendName(rawValue: "qemu"), scope: .host("rack1"), name: "web"),
      requester: "alert DroverMigrationStalled", refusal: .postcopy, text: "the guest would be lost")
    decision.id = DecisionID(rawValue: 7)
    decision.evidence = [.init("phase", "postcopy")]
    return decision
  }

  private func json(_ value: some Encodable) throws -> String {
    String(decoding: try APICoding.encode(value), as: UTF8.self)
  }

  @Test("a migration has all that is known, and what is not is absent")
  func history() throws {
    #expect(
      try json(HistoryItem(migration)) == #"{"backend":"qemu","bestRemainingBytes":3221225472,"#
        + #""cause":"completion_timeout","certainty":"reported","completion":{"action":"abort","#
        + #""enforcedBy":"kubevirt","setBy":"version_default","timeoutSeconds":1350,"uncertaintySeconds":150},"#
        + #""createdAt":"2026-11-23T16:57:00.123Z","domain":"\#(migration.domain)","downtimeSeconds":0.087,"#
        + #""durationSeconds":113,"endedAt":"2026-11-23T16:59:48.123Z","guestRunsOn":"source","host":null,"#
        + #""id":"m-1","iterations":17,"memoryBytes":8589934592,"migrationPolicy":"slow-ones","#
        + #""namespace":"shop","network":"harvester-system/vm-migration","object":"web-x7k2p","#
        + #""origin":"evacuation","outcome":"failed","progress":{"enforcedBy":"kubevirt","setBy":"kubevirt","#
        + #""timeoutSeconds":150},"requestedTarget":"rack2","sizeBytes":8589934592,"source":"rack1","#
        + #""startedAt":"2026-11-23T16:57:55.123Z","target":"rack2","text":"too slow","#
        + #""transferredBytes":7516192768,"usedPostcopy":false,"vm":"db"}"#)
    let vm = VMRef(backend: BackendName(rawValue: "b"), scope: .host("h"), name: "v")
    guard let id = MigrationID("m") else { return }
    #expect(
      try json(HistoryList(items: [HistoryItem(PastMigration(id: id, vm: vm, domain: "d", startedAt: 0))]))
        == #"{"items":[{"backend":"b","domain":"d","guestRunsOn":"unknown","host":"h","id":"m","namespace":null,"#
        + #""origin":"unknown","source":"","startedAt":"1970-01-01T00:00:00.000Z","target":"","usedPostcopy":false,"#
        + #""vm":"v"}]}"#)
  }

  @Test(
    "a VM is named by its name, by its host before it, or by its back end, too",
    arguments: [
      ("vm=v", [nil, nil, "v"]), ("vm=h/v", [nil, "h", "v"]), ("vm=b/h/v", ["b", "h", "v"]),
      ("vm=h/v&backend=b", ["b", "h", "v"]), ("vm=h/v/w&backend=b", ["b", nil, "h/v/w"]),
      ("vm=x/v&host=h", [nil, nil, "x/v"]), ("backend=b", ["b", nil, nil]),
    ] as [(String, [String?])])
  func vmNames(query: String, parts: [String?]) throws {
    let reader = try QueryReader(
      Request(.get, "/?\(query)"), names: ["vm", "backend", "namespace", "host", "migration", "outcome"])
    let filter = try HistoryFilter(reader)
    #expect([filter.backend?.rawValue, filter.scopeName, filter.vm] == parts)
  }

  @Test("of one whose end nobody has seen nothing is told that was so at its beginning", arguments: [nil, 1])
  func open(endedAt: Int64?) {
    var open = migration
    (open.endedAt, open.outcome) = (endedAt, nil)
    let item = HistoryItem(open)
    #expect(item.transferredBytes == nil && item.bestRemainingBytes == nil && item.iterations == nil)
    #expect(item.guestRunsOn == "unknown" && item.source == "rack1")
  }

  @Test("a decision has its evidence and its result")
  func decisions() throws {
    #expect(
      try json(DecisionItem(decision)) == #"{"action":"abort","backend":"qemu","evidence":[{"name":"phase","#
        + #""value":"postcopy"}],"host":"rack1","id":7,"kind":"refused","madeAt":"2026-11-23T17:00:00.123Z","#
        + #""migration":"m-1","namespace":null,"refusal":"postcopy","#
        + #""requester":"alert DroverMigrationStalled","text":"the guest would be lost","trigger":"alert","#
        + #""vm":"web"}"#)
    var acted = decision
    acted.kind = .acted
    acted.refusal = nil
    acted.result = .endedOtherwise
    acted.resultAt = 1_795_453_200_123
    acted.resultText = "it succeeded"
    let item = DecisionItem(acted)
    #expect(item.result == "ended_otherwise" && item.resultText == "it succeeded")
    #expect(item.resultAt?.description == "2026-11-23T17:00:00.123Z")
    #expect(try APICoding.decode(DecisionItem.self, from: APICoding.encode(item)) == item)
  }

  @Test("are tables that end in what can be copied")
  func tables() {
    var open = migration
    open.endedAt = nil
    open.outcome = nil
    open.cause = nil
    open.duration = nil
    var lost = open
    lost.endedAt = 1
    #expect(
      MigrationTables(TerminalStyle(width: 40)).history([migration, open, lost].map(HistoryItem.init)) == """
        STARTED              VM       OUTCOME  CAUSE                 TOOK     SENT  LEAST LEFT  DOWNTIME  FROM   TO     ORIGIN      ID
        2026-11-23 16:57:55  shop/db  failed   completion timeout  1m 53s  7.0 GiB     3.0 GiB      87ms  rack1  rack2  evacuation  m-1
        2026-11-23 16:57:55  shop/db  open     -                        -        -           -      87ms  rack1  rack2  evacuation  m-1
        2026-11-23 16:57:55  shop/db  unseen   -                        -        -           -      87ms  rack1  rack2  evacuation  m-1

        """)
    #expect(
      MigrationTables(TerminalStyle(width: 40)).decisions([DecisionItem(decision)]) == """
        ID  MADE                 ACTION  ABOUT      DECISION  WHY       RESULT  ASKED BY                      MIGRATION
         7  2026-11-23 17:00:00  abort   rack1/web  refused   postcopy  -       alert DroverMigrationStalled  m-1
          the guest would be lost

        """)
    var unknown = decision
    unknown.vm = nil
    unknown.evidence = [.init("alert_vm", "db-1")]
    #expect(MigrationTables(TerminalStyle()).decisions([DecisionItem(unknown)]).contains("  db-1   "))
    #expect(MigrationTables(TerminalStyle()).history([]) == "No migrations.\n")
    #expect(MigrationTables(TerminalStyle()).decisions([]) == "No decisions.\n")
  }
}
