import Testing

@testable import DroverCore

@Suite("Keepalive budget")
struct KeepaliveBudgetTests {
  private func report(
    _ basis: KeepaliveBasis, settings: KeepaliveSettings = KeepaliveSettings(), heard: Double? = 100,
    spread: Duration = .zero
  ) -> NetworkReport {
    NetworkReport(
      settings: settings, keepalive: basis,
      control: heard.map { ConnectionHealth(lastHeard: seconds($0), isAwaited: false) }, controlSpread: spread
    )
  }

  @Test(
    "The connection is closed after interval times count and one more",
    arguments: [(5, 5, 30), (1, 2, 3), (10, 0, 10), (5, 1, 10)])
  func timeout(interval: Int, count: Int, total: Int) throws {
    let settings = KeepaliveSettings(interval: .seconds(interval), count: count)
    #expect(settings.isEnabled)
    let budget = try #require(KeepaliveBudget(report(.measured, settings: settings), lastSent: nil))
    #expect(budget.timeout == .seconds(total))
    #expect(budget.deadline == seconds(100 + Double(total)))
  }

  @Test("The defaults are the documented ones")
  func defaults() { #expect(KeepaliveSettings().timeout == .seconds(30)) }

  @Test("A measured deadline counts from the last byte received, whatever was sent since")
  func measured() throws {
    let budget = try #require(KeepaliveBudget(report(.measured), lastSent: seconds(120)))
    #expect(budget.method == .measured)
    #expect(budget.deadline == seconds(130))
    #expect(budget.uncertainty == .zero)
  }

  @Test("Of several connections the first that closes counts, and how much later the last does")
  func spread() throws {
    let budget = try #require(KeepaliveBudget(report(.measured, spread: .milliseconds(1500)), lastSent: nil))
    #expect(budget.deadline == seconds(130))
    #expect(budget.uncertainty == .milliseconds(1500))
  }

  @Test(
    "An inferred deadline counts from the bytes that stop, an interval early: no answer may have come since",
    arguments: KeepaliveBasis.Inference.allCases)
  func inferred(reason: KeepaliveBasis.Inference) throws {
    let budget = try #require(KeepaliveBudget(report(.inferred(reason), heard: nil), lastSent: seconds(120)))
    #expect(budget.method == .inferred)
    #expect(budget.timeout == .seconds(30))
    #expect(budget.deadline == seconds(145))
    #expect(budget.uncertainty == .seconds(5))
  }

  @Test("A sample whose time another machine tells may have been taken sooner, or later")
  func inferredElsewhere() throws {
    let report = report(.inferred(.invisible), heard: nil)
    let budget = try #require(
      KeepaliveBudget(report, lastSent: seconds(120), clockError: .milliseconds(300)))
    #expect(budget.deadline == seconds(145) - .milliseconds(300))
    #expect(budget.deadline + budget.uncertainty == seconds(150) + .milliseconds(300))
  }

  @Test("A copy that moves in steps may have gone on for one more")
  func inferredSteps() throws {
    let budget = try #require(
      KeepaliveBudget(report(.inferred(.remote)), lastSent: seconds(120), step: .seconds(16)))
    #expect(budget.deadline == seconds(145) && budget.uncertainty == .seconds(21))
    let measured = try #require(
      KeepaliveBudget(report(.measured), lastSent: seconds(120), step: .seconds(16)))
    #expect(measured.uncertainty == .zero)
  }

  @Test("Where there is nothing to count from yet there is no deadline")
  func nothingToCountFrom() {
    #expect(KeepaliveBudget(report(.measured, heard: nil), lastSent: seconds(120)) == nil)
    #expect(KeepaliveBudget(report(.inferred(.remote)), lastSent: nil) == nil)
  }

  @Test("Without a keepalive there is no deadline", arguments: KeepaliveBasis.Absence.allCases)
  func absent(reason: KeepaliveBasis.Absence) {
    #expect(KeepaliveBudget(report(.none(reason)), lastSent: seconds(120)) == nil)
  }

  @Test(
    "An interval of 0 or less, and a count below 0, switch it off, whatever the report says of its basis",
    arguments: [(0, 5), (-1, 5), (5, -1)])
  func disabled(interval: Int, count: Int) {
    let settings = KeepaliveSettings(interval: .seconds(interval), count: count)
    #expect(!settings.isEnabled)
    #expect(KeepaliveBudget(report(.measured, settings: settings), lastSent: seconds(1)) == nil)
    #expect(KeepaliveBudget(report(.inferred(.ssh), settings: settings), lastSent: seconds(1)) == nil)
  }
}
