import Testing

@testable import DroverCore
@testable import KubeVirtBackend

@Suite("Whether a copy will end, by what virt-handler tells")
struct VerdictTests {
  /// A pre-copy of 8 GiB whose passes are sent at `rate` GB a second while the guest dirties `dirty`.
  private struct Copying {
    var rate = 0.5
    var dirty = 0.1
    var method = "LiveMigration"
    var memory: JSON = "8Gi"
    var script = ClusterScript()
    var sent = 0.0
    var remaining = 8.6
    /// What the guest has dirtied since the pass began.
    var dirtied = 0.0
    var pass = 1

    mutating func begin() {
      script.advance(to: 6)
      script.put(MadeVMI(memory: memory, method: method).with(MadeState(start: 5)))
      script.put(.running())
    }

    /// Goes on for so many polls, or until it ends.
    mutating func follow(_ polls: Int) {
      for _ in 0..<polls {
        for _ in 0..<50 {
          sent += rate / 10
          remaining -= rate / 10
          dirtied += dirty / 10
          if remaining <= 0 {
            remaining = min(dirtied, 8.6)
            dirtied = 0
            pass += 1
          }
        }
        script.advance(to: script.now + 5)
        script.copy(
          point(at: script.now, sent: sent, remaining: remaining, total: 8.6, dirty: pass == 1 ? 0 : dirty))
      }
    }

    var verdict: Verdict? { script.view()?.verdict }
  }

  @Test(
    "In the first pass nothing is said, since nobody has measured",
    arguments: ["LiveMigration", "BlockMigration"])
  func firstPass(method: String) {
    var copying = Copying(method: method)
    copying.begin()
    copying.follow(3)
    #expect(copying.pass == 1 && copying.script.view()?.sample.dirtyRate == nil)
    #expect(copying.verdict?.kind == .unknown && copying.verdict?.evidence == .firstPass)
  }

  @Test("After it the trend tells when it ends", arguments: ["LiveMigration", "BlockMigration"])
  func converging(method: String) throws {
    var copying = Copying(method: method)
    copying.begin()
    copying.follow(4)
    #expect(copying.pass == 2)
    let verdict = try #require(copying.verdict)
    #expect(verdict.kind == .converging)
    guard case .trend(let remaining, let dirty, let transfer) = verdict.evidence else {
      Issue.record("\(verdict.evidence)")
      return
    }
    #expect(dirty == 100_000_000 && abs(Double(transfer.value) - 5e8) < 1e6)
    let end = try #require(verdict.expectedEnd)
    #expect(abs((end - TestTime.moment(copying.script.now)).inSeconds - Double(remaining.count) / 4e8) < 0.1)
  }

  @Test("It is slow where the trend ends after the deadline")
  func slow() {
    var copying = Copying(rate: 0.5, dirty: 0.499)
    copying.script.put(MadeKubeVirt(migrations: ["completionTimeoutPerGiB": 10]))
    copying.begin()
    copying.follow(5)
    #expect(copying.verdict?.kind == .slow && copying.verdict?.expectedEnd != nil)
  }

  @Test(
    "Passes that do not shrink are found within 75 s of the first, with the numbers that say so",
    arguments: ["LiveMigration", "BlockMigration"], [0.5, 1.2, 4])
  func notConverging(method: String, dirty: Double) throws {
    var copying = Copying(dirty: dirty, method: method)
    copying.begin()
    while copying.pass == 1 { copying.follow(1) }
    let began = copying.script.now
    while copying.verdict?.kind != .notConverging, copying.script.now < began + 300 { copying.follow(1) }
    #expect(copying.script.now <= began + 75)
    guard
      case .passesDoNotShrink(let passes, let best, let dirtied, let transfer)? = copying.verdict?.evidence
    else {
      Issue.record("\(copying.verdict as Any)")
      return
    }
    #expect(passes >= 3 && best.count > 5_000_000_000)
    #expect(Double(dirtied.value) == dirty * 1e9 && abs(Double(transfer.value) - 5e8) < 1e6)
  }

  @Test("One that shrinks slowly is never said not to", arguments: [0.3, 0.4, 0.449])
  func shrinking(dirty: Double) {
    var copying = Copying(dirty: dirty)
    copying.begin()
    var kinds: Set<VerdictKind> = []
    while copying.remaining > 0.2 || copying.pass == 1, copying.script.now < 2000 {
      copying.follow(1)
      kinds.insert(copying.verdict?.kind ?? .unknown)
    }
    #expect(!kinds.contains(.notConverging) && kinds.contains(.converging))
  }

  @Test("Nothing is said once it is no pre-copy any more")
  func postcopy() {
    var copying = Copying(dirty: 4)
    copying.begin()
    copying.follow(40)
    #expect(copying.verdict?.kind == .notConverging)
    copying.script.put(MadeVMI().with(MadeState(start: 5, mode: "PostCopy")))
    #expect(copying.verdict?.kind == .unknown && copying.verdict?.evidence == .notInPrecopy)
  }
}
