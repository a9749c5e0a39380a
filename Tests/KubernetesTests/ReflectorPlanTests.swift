import Testing

@testable import Kubernetes

@Suite struct ReflectorPlanTests {
  func refusal(_ code: Int, _ reason: String = "Reason", after seconds: Int? = nil) -> KubernetesError {
    var status = KubernetesStatus(code: code, reason: reason)
    status.retryAfterSeconds = seconds
    return .status(status)
  }

  func watching() -> ReflectorPlan {
    var plan = ReflectorPlan()
    plan.listed(version: "7")
    return plan
  }

  @Test func itBeginsWithWhateverTheServerHas() {
    let plan = ReflectorPlan()
    #expect((plan.version, plan.listVersion, plan.isPaged, plan.isFirst) == (nil, "0", true, true))
    let later = watching()
    #expect((later.version, later.listVersion, later.isFirst) == ("7", nil, false))
  }

  @Test func aVersionThatIsTooOldIsListedAnewAtOnceAndUntold() {
    var plan = watching()
    #expect(plan.failed(refusal(410), in: .watch, random: 0) == .init(length: .zero, isTold: false))
    #expect((plan.version, plan.listVersion, plan.isPaged) == (nil, nil, true))
    // But not for ever at once.
    plan.listed(version: "8")
    let again = plan.failed(refusal(410), in: .watch, random: 0)
    #expect(again.isTold && again.length > .zero)
  }

  @Test func aVersionThatIsTooOldAfterOtherFailuresIsListedAtOnceToo() {
    var plan = watching()
    for _ in 0..<5 { _ = plan.failed(refusal(503), in: .watch, random: 0) }
    #expect(plan.failed(refusal(410), in: .watch, random: 0) == .init(length: .zero, isTold: false))
  }

  @Test func aPageThatComesTooLateMakesTheListComeInOnePiece() {
    var plan = ReflectorPlan()
    _ = plan.failed(refusal(410), in: .list, random: 0)
    #expect((plan.isPaged, plan.listVersion) == (false, nil))
    plan.listed(version: "7")
    #expect(plan.isPaged)
  }

  @Test(arguments: [403, 404]) func whatIsNotThereOrNotForUsIsAskedForOnceAMinute(code: Int) {
    var plan = ReflectorPlan()
    for _ in 0..<5 {
      #expect(
        plan.failed(refusal(code), in: .list, random: 0.9) == .init(length: .seconds(60), isTold: true))
    }
  }

  @Test(arguments: [400, 500, 504]) func aWatchThatTheServerRefusesBeginsWithAList(code: Int) {
    var plan = watching()
    _ = plan.failed(refusal(code), in: .watch, random: 0)
    #expect(plan.version == nil)
    var proxied = watching()
    _ = proxied.failed(refusal(code, ""), in: .watch, random: 0)
    #expect(proxied.version == "7")
  }

  @Test(arguments: [401, 429, 503]) func aServerThatIsBusyIsAskedTheSameAgain(code: Int) {
    var plan = watching()
    _ = plan.failed(refusal(code), in: .watch, random: 0)
    #expect(plan.version == "7")
  }

  @Test func pausesGrowUpToHalfAMinuteAndEndWithAnEvent() {
    var plan = watching()
    let pauses = (0..<9).map { _ in plan.failed(refusal(503), in: .watch, random: 0).length }
    #expect(pauses.first == .milliseconds(250))
    #expect(zip(pauses, pauses.dropFirst()).allSatisfy { $0 <= $1 })
    #expect(pauses.last == .seconds(15))
    #expect(plan.failed(refusal(503), in: .watch, random: 0.999).length > .seconds(29))
    plan.saw(version: "")
    #expect(plan.version == "7")
    #expect(plan.failed(refusal(503), in: .watch, random: 0).length == .milliseconds(250))
  }

  @Test func aLongWatchEndsThePausesToo() {
    var plan = watching()
    for _ in 0..<5 { _ = plan.failed(refusal(503), in: .watch, random: 0) }
    #expect(plan.failed(refusal(503), in: .watch, after: 60, random: 0).length == .milliseconds(250))
  }

  @Test func theServersOwnTimeIsKeptWithinABound() {
    var plan = watching()
    #expect(plan.failed(refusal(429, after: 7), in: .watch, random: 0).length == .seconds(7))
    #expect(plan.failed(refusal(429, after: 7000), in: .watch, random: 0).length == .seconds(60))
  }

  @Test func aWatchThatEndsIsGoneOnWithAtOnceUnlessItWasShort() {
    var plan = watching()
    #expect(plan.watchEnded(after: 300, random: 0) == nil)
    #expect(plan.watchEnded(after: 0.1, random: 0) == .milliseconds(250))
    #expect(plan.watchEnded(after: 0.1, random: 0) == .milliseconds(500))
    #expect(plan.version == "7")
  }
}
