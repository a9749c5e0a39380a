import Testing

@testable import DroverCore
@testable import KubeVirtBackend

/// A migration that starts at second 10 and fails.
struct FailingMigration: Sendable {
  /// What KubeVirt says of it.
  var text = ""
  var abortStatus = ""
  var isRequested = false
  var end = 100.0
  /// When the last byte went; nil where nobody counts.
  var lastByte: Double?
  var mode = "PreCopy"
  var kubeVirt = MadeKubeVirt(version: "1.9.0")
  var vmi = MadeVMI()

  /// How it is said to have ended; `before` is what happens just before that.
  func ending(before: (inout ClusterScript) -> Void = { _ in }) -> String {
    var script = ClusterScript(kubeVirt: kubeVirt, vmis: [vmi])
    script.isAnswering = true
    script.advance(to: 11)
    script.put(vmi.with(MadeState(start: 10, mode: mode)))
    script.put(.running(at: 10))
    if let lastByte {
      for n in 1..<Int((end - 10) / 5) {
        let at = 10 + 5 * Double(n)
        script.advance(to: at)
        script.copy(point(at: at, sent: (min(at, lastByte) - 10) * 0.05, remaining: 4, total: 8.6))
      }
    }
    script.advance(to: end)
    before(&script)
    var state = MadeState(start: 10, mode: mode).failed(text, at: end, abortStatus: abortStatus)
    state.isAbortRequested = isRequested
    script.put(vmi.with(state))
    script.advance(to: end + 1)
    var vmim = MadeVMIM.running(at: 10).entering("Failed", at: end + 1)
    vmim.state = state
    script.put(vmim)
    script.remove(vmim)
    script.advance(to: end + 5)
    return script.endings.joined(separator: ", ")
  }
}

@Suite("Why a migration failed")
struct CauseTests {
  private static let aborted = "Live migration has been aborted"

  @Test("KubeVirt's own words up to 1.8")
  func oldWords() {
    let cases: [(String, Bool, String)] = [
      ("Live migration aborted ", true, "aborted user_abort reported"),
      (
        "Live migration is not completed after 1350 seconds and has been aborted", false,
        "failed completion_timeout reported"
      ),
      (
        "Live migration stuck for 151 seconds and has been aborted", false, "failed progress_timeout reported"
      ),
      ("Target pod is down", false, "failed target_lost reported"),
      (
        "Volume migration cannot be performed because the destination volume is smaller then the source volume: a (1), b (2)",
        false, "failed storage reported"
      ),
      (
        "Volume migration cannot be performed because the destination volume is smaller than the source volume: a (1), b (2)",
        false, "failed storage reported"
      ),
    ]
    for (text, isRequested, ending) in cases {
      let isAbort = text.contains("aborted")
      #expect(
        FailingMigration(text: text, abortStatus: isAbort ? "Succeeded" : "", isRequested: isRequested)
          .ending() == ending)
    }
  }

  struct Timed: Sendable {
    var end: Double
    var lastByte: Double?
    var isRequested = false
    var mode = "PreCopy"
    var ending: String
  }

  @Test(
    "From 1.9 one text stands for three causes: the request or the time tells",
    arguments: [
      Timed(end: 60, isRequested: true, ending: "aborted user_abort reported"),
      Timed(end: 1361, isRequested: true, ending: "aborted user_abort reported"),
      Timed(end: 1361, ending: "failed completion_timeout inferred"),
      Timed(end: 1361, lastByte: 1355, ending: "failed completion_timeout inferred"),
      Timed(end: 1361, lastByte: 1300, ending: "failed completion_timeout inferred"),
      Timed(end: 252, lastByte: 100, ending: "failed progress_timeout inferred"),
      // Nobody counted the bytes; before its time it can only be a stall.
      Timed(end: 252, ending: "failed progress_timeout inferred"),
      Timed(end: 163, ending: "failed progress_timeout inferred"),
      // Too early for either, or bytes were seen to flow.
      Timed(end: 60, ending: "failed unknown inferred"),
      Timed(end: 252, lastByte: 250, ending: "failed unknown inferred"),
      Timed(end: 200, lastByte: 100, ending: "failed unknown inferred"),
      // Twice the time while the guest is suspended.
      Timed(end: 1361, lastByte: 1355, mode: "Paused", ending: "failed unknown inferred"),
      Timed(end: 2711, lastByte: 2705, mode: "Paused", ending: "failed completion_timeout inferred"),
    ])
  func newWords(timed: Timed) {
    let migration = FailingMigration(
      text: Self.aborted, abortStatus: "Succeeded", isRequested: timed.isRequested, end: timed.end,
      lastByte: timed.lastByte, mode: timed.mode)
    #expect(migration.ending() == timed.ending)
    var cancelled = migration
    cancelled.text = "Live migration failed operation aborted: migration out job: canceled by client"
    #expect(cancelled.ending() == timed.ending)
  }

  @Test("KubeVirt's stall detector aborts while bytes flow")
  func stallDetector() {
    var migration = FailingMigration(text: Self.aborted, abortStatus: "Succeeded", end: 252, lastByte: 250)
    migration.kubeVirt.featureGates = ["MigrationStallDetection"]
    #expect(migration.ending() == "failed progress_timeout inferred")
    migration.end = 1400
    #expect(migration.ending() == "failed completion_timeout inferred")
  }

  static let connection = [
    "internal error: client socket is closed", "End of file while reading data: Input/output error",
    "Unable to read from monitor: Connection reset by peer",
    "operation failed: Lost connection to destination host",
  ]

  @Test(
    "A connection that is gone after a keepalive's silence was closed by it, after a time-out's by that",
    arguments: connection, [true, false])
  func connections(text: String, isOld: Bool) {
    let told =
      isOld
      ? "Live migration failed error encountered during MigrateToURI3 libvirt api call: virError(Code=1, Domain=7, Message='\(text)')"
      : "virError(Code=1, Domain=7, Message='\(text)')"
    var migration = FailingMigration(text: told, end: 131, lastByte: 100)
    for end in [122.0, 126, 131, 135] {
      migration.end = end
      #expect(migration.ending() == "failed keepalive inferred")
    }
    migration.end = 252
    #expect(migration.ending() == "failed progress_timeout inferred")
    // Neither: the connection was cut, or nobody counted.
    for (end, lastByte) in [(131.0, 130.0), (112, 100), (180, 100)] {
      (migration.end, migration.lastByte) = (end, lastByte)
      #expect(migration.ending() == "failed connection_lost reported")
    }
    migration.lastByte = nil
    #expect(migration.ending() == "failed connection_lost reported")
    #expect(
      migration.ending { $0.put(MadeNode(name: "node-b", ready: "Unknown")) } == "failed target_lost inferred"
    )
    #expect(
      migration.ending { $0.put(MadeNode(name: "node-a", ready: "Unknown")) } == "failed source_lost inferred"
    )
  }

  @Test("A keepalive that is named is reported, whenever it was")
  func keepalive() {
    for (end, lastByte) in [(131.0, 100.0 as Double?), (252, 100), (131, 130), (60, nil)] {
      let text = "internal error: connection closed due to keepalive timeout"
      #expect(
        FailingMigration(text: text, end: end, lastByte: lastByte).ending() == "failed keepalive reported")
    }
  }

  @Test(
    "libvirt's words are handed on",
    arguments: [
      (
        "operation failed: guest CPU doesn't match specification: missing features: avx512f", "target_refused"
      ),
      ("unsupported configuration: Target CPU feature count 1 does not match", "target_refused"),
      (
        "operation failed: unable to connect to server at '10.0.0.1:49152': Connection refused",
        "target_refused"
      ),
      ("Cannot access storage file '/x': No such file or directory", "storage"),
      ("unable to write: No space left on device", "storage"),
      ("Failed to get \"write\" lock", "storage"), ("domain is not running", "guest_shutdown"),
      ("operation failed: domain 'x' is not running", "guest_shutdown"),
      ("internal error: QEMU unexpectedly closed the monitor", "target_lost"),
      ("something that nobody has ever seen", "other"),
    ])
  func libvirt(text: String, cause: String) {
    #expect(FailingMigration(text: text).ending() == "failed \(cause) reported")
    #expect(FailingMigration(text: "Live migration failed \(text)").ending() == "failed \(cause) reported")
  }

  @Test("An abort that was asked for but not carried out ended nothing")
  func abortInVain() {
    var migration = FailingMigration(
      text: "Live migration failed client socket is closed", isRequested: true, end: 131, lastByte: 130)
    #expect(migration.ending() == "failed connection_lost reported")
    migration.abortStatus = "Succeeded"
    #expect(migration.ending() == "aborted user_abort reported")
    migration.text = "something else"
    migration.abortStatus = ""
    #expect(migration.ending() == "aborted user_abort reported")
  }

  @Test("Whatever ends it in post-copy, it is broken, and nobody aborted it")
  func postcopy() {
    for (text, isRequested) in [("client socket is closed", false), (Self.aborted, true), ("", false)] {
      let migration = FailingMigration(text: text, isRequested: isRequested, mode: "PostCopy")
      #expect(migration.ending() == "failed postcopy_broken inferred")
    }
  }

  @Test("What became of VMI and nodes tells where there are no words")
  func silent() {
    let migration = FailingMigration()
    #expect(migration.ending() == "failed unknown inferred")
    func with(_ phase: String) -> FailingMigration {
      var changed = migration
      changed.vmi.phase = phase
      return changed
    }
    #expect(with("Failed").ending() == "failed guest_crashed inferred")
    #expect(with("Succeeded").ending() == "failed guest_shutdown inferred")
    #expect(
      migration.ending { $0.put(MadeNode(name: "node-a", ready: "Unknown")) } == "failed source_lost inferred"
    )
    #expect(
      migration.ending { $0.put(MadeNode(name: "node-b", ready: "False")) } == "failed target_lost inferred")
  }

  @Test("A VMI that vanishes takes its migration with it")
  func vanished() {
    var script = ClusterScript()
    script.put(MadeVMI().with(MadeState(start: 5)))
    script.advance(to: 10)
    script.put(.running())
    script.remove(MadeVMI())
    #expect(script.view()?.guest == .unknown)
    script.put(MadeVMIM.running().entering("Failed", at: 11))
    script.advance(to: 14)
    #expect(script.endings == ["failed vm_lost inferred"])
  }

  static let events: [(String, String)] = [
    ("Migration failed because vmi does not exist.", "failed vm_lost reported"),
    ("Migration failed vmi shutdown during migration.", "failed guest_shutdown reported"),
    ("Migration failed due to being canceled", "aborted user_abort reported"),
    ("Migration failed because target pod shutdown during migration", "failed target_lost reported"),
    ("Migration target pod was removed during active migration.", "failed target_lost reported"),
    (
      "Migration failed because target attachment pod shutdown during migration",
      "failed target_lost reported"
    ),
    ("VMI's migration state was cleared during the active migration.", "failed superseded reported"),
    (
      "VMI's migration state was taken over by another migration job during active migration.",
      "failed superseded reported"
    ),
    (
      "VMI is not eligible for migration because another migration job is in progress.",
      "failed superseded reported"
    ),
    ("source node reported migration failed", "failed unknown inferred"),
  ]

  enum Order: CaseIterable, Sendable { case before, after, unknownBefore }

  @Test(
    "Events tell, before the end, just after it, or before their object", arguments: events, Order.allCases)
  func event(event: (message: String, ending: String), order: Order) {
    for uid in ["m1-uid", ""] {
      var script = ClusterScript()
      let told = MadeEvent(message: event.message, aboutUID: uid)
      let others = [
        MadeEvent(message: "Migration failed due to being canceled", about: "m2", aboutUID: "m2-uid"),
        MadeEvent(message: "Migration failed due to being canceled", aboutUID: "an older m1"),
        MadeEvent(message: "Migration failed due to being canceled", kind: "VirtualMachineInstance"),
        MadeEvent(message: "Migration failed due to being canceled", namespace: "other"),
      ]
      if order == .unknownBefore {
        for event in others + [told] { script.put(event) }
        script.advance(to: 3)
      } else {
        script.put(MadeVMIM().entering("Pending", at: 0))
      }
      if order == .before { script.put(told) }
      script.advance(to: 3)
      script.put(MadeVMIM().entering("Failed", at: 3))
      if order == .after {
        #expect(script.endings.isEmpty)
        script.advance(to: 4)
        script.put(told)
      }
      script.advance(to: 9)
      #expect(script.endings == [event.ending])
    }
  }

  @Test("Events that nobody asks for are forgotten, and are not many")
  func orphans() {
    var script = ClusterScript()
    for n in 0..<2000 {
      script.put(
        MadeEvent(message: "Migration failed due to being canceled", about: "x\(n)", aboutUID: "x\(n)-uid"))
    }
    script.advance(to: 62)
    script.put(MadeVMIM(name: "x1").entering("Failed", at: 61))
    script.advance(to: 70)
    #expect(script.endings == ["failed unknown inferred"])
  }
}
