import Testing

@testable import DroverCore
@testable import DroverService

@Suite("What has to be looked at first")
struct UrgencyTests {
  private func view(_ changes: ((inout MigrationView) -> Void)...) -> MigrationView {
    sampleView { view in for change in changes { change(&view) } }
  }

  private func item(_ view: MigrationView) -> MigrationItem { sampleItem(view) }

  @Test("a healthy keepalive is no deadline worth showing, however little it always has left")
  func healthy() {
    for silence in [0.0, 2, 5, 5.9] {
      let item = item(view(watched(control: silence)))
      #expect(item.nearestDeadline?.name == "progress")
      #expect(item.urgency == .calm && item.remark == nil)
    }
  }

  @Test("one with a short time-out does not flicker: it is asked and answered all the time")
  func shortTimeout() {
    let short = KeepaliveSettings(interval: .seconds(1), count: 2)
    for silence in [0.0, 1, 1.5, 2] {
      #expect(item(view(watched(control: silence, settings: short))).nearestDeadline?.name == "progress")
    }
    let item = item(view(watched(control: 2.1, settings: short)))
    #expect(item.nearestDeadline?.name == "keepalive")
    #expect(item.urgency == .keepaliveShort)
  }

  @Test("a lost management network makes it the nearest, at once")
  func lost() throws {
    let item = item(view(watched(control: 7.5)))
    let nearest = try #require(item.nearestDeadline)
    #expect(nearest.name == "keepalive" && nearest.at.seconds(since: item.asOf) == 22.5)
    #expect(item.urgency == .networkLost && item.tone == .bad && item.state == "network lost")
    #expect(item.remark?.hasPrefix("control connection: nothing received for 7.5s; libvirt ends") == true)
  }

  @Test("a lost migration network does not: its keepalive is answered over the other wire")
  func dataLost() {
    let item = item(view(watched(control: 2, data: 9)))
    #expect(item.nearestDeadline?.name == "progress")
    #expect(item.urgency == .networkLost && item.state == "network lost")
  }

  @Test("a deadline that comes before it stays the nearest")
  func otherDeadline() {
    let view = view(watched(control: 12), { $0.completionDeadline = noon + .seconds(4) })
    #expect(item(view).nearestDeadline?.name == "completion")
  }

  @Test(
    "less than 20 s left and a question unanswered make it pressing before its network counts as lost",
    arguments: [
      // Interval, count, silence: 12 × 3 = 36 s.
      (12, 2, 12.5, false), (12, 2, 16.5, true), (12, 2, 36.5, true),
      // Answered late, but with much time left: 3 × 21 = 63 s.
      (3, 20, 4.5, false),
    ])
  func pressing(interval: Int, count: Int, silence: Double, isPressing: Bool) {
    let settings = KeepaliveSettings(interval: .seconds(interval), count: count)
    var view = view(watched(control: silence, settings: settings))
    // The limit of another configuration.
    view.networkLosses = []
    view.verdict = Verdict(.converging, .tooFewSamples)
    let item = item(view)
    #expect((item.nearestDeadline?.name == "keepalive") == isPressing)
    #expect(item.urgency == (isPressing ? .keepaliveShort : .calm))
    #expect((item.tone == .bad) == isPressing)
  }

  @Test("of several connections that may be the one, the one that was heard last counts")
  func spread() {
    var view = view(watched(control: 12, spread: .seconds(11)))
    view.networkLosses = []
    view.verdict = Verdict(.converging, .tooFewSamples)
    #expect(item(view).nearestDeadline?.name == "progress")
  }

  @Test(
    "an inferred one presses when the bytes have stopped for longer than an interval",
    arguments: [(0.4, false), (5.5, false), (6.5, true), (12, true)])
  func inferred(stopped: Double, isPressing: Bool) {
    let item = item(view(still(stopped), watched(.inferred(.remote), control: nil, data: nil)))
    #expect((item.nearestDeadline?.name == "keepalive") == isPressing)
    #expect(item.urgency == (isPressing ? .keepaliveShort : .calm))
    if stopped == 12 {
      #expect(
        item.remark
          == "no bytes sent for 12s; if the control connection is silent, too, libvirt ends the migration in 13s, "
          + "and the guest stays at the source")
    }
  }

  @Test("a stall stays a stall, with the keepalive's end as its deadline")
  func stalled() {
    let item = item(view(still(12, .stalled), watched(.inferred(.remote), control: nil, data: nil)))
    #expect(item.urgency == .stalled && item.state == "stalled")
    #expect(item.nearestDeadline?.name == "keepalive")
  }

  @Test("the kernel's word stands though the source does not answer, and both are said")
  func oldSample() {
    let item = item(view(watched(control: 12), { $0.sampledAt = noon - .seconds(34) }))
    #expect(item.urgency == .networkLost && item.state == "network lost")
    #expect(item.remark?.hasSuffix("; no answer from the source for 34s") == true)
  }

  @Test("in post-copy a lost network is said, and nothing of a guest that stays")
  func postcopy() {
    let postcopy: (inout MigrationView) -> Void = { view in
      view.phase = .postcopy
      view.verdict = Verdict()
      view.completionDeadline = nil
      view.progressDeadline = nil
    }
    let lost = item(view(postcopy, watched(control: 12, data: 12)))
    #expect(lost.urgency == .networkLost && lost.tone == .bad && lost.state == "postcopy")
    #expect(lost.remark == "the management network and the migration network are lost")
    #expect(lost.nearestDeadline?.name == "keepalive")
    var short = view(postcopy, watched(control: 12))
    short.networkLosses = []
    #expect(
      item(short).remark
        == "control connection: nothing received for 12s; libvirt closes the control connection in 18s")
  }

  @Test("the page sorts by the same urgency as the tables")
  func agrees() {
    let views = [
      view(), view(watched()), view(watched(control: 12)), view(watched(data: 9)),
      view(still(7), watched(.inferred(.ssh), control: nil, data: nil)),
      view(still(12, .stalled), watched(.inferred(.ssh), control: nil, data: nil)),
      view(notConverging), view(watched(control: 12), ended(.failed, .keepalive)),
      view(watched(control: 12), { $0.sampledAt = noon - .seconds(34) }),
      view(watched(.none(.disabled), control: 900)),
    ]
    for view in views { #expect(Urgency(view, now: noon) == item(view).urgency) }
  }

  @Test("a lost network comes before a stall, and after a guest in danger")
  func order() {
    let order: [Urgency] = [
      .guestAtRisk, .networkLost, .stalled, .keepaliveShort, .unheard, .notConverging, .slow, .calm,
    ]
    #expect(order.sorted() == order)
    #expect(order.filter(\.isBad) == Array(order.prefix(5)))
    let gone = item(view(watched(control: 12), { $0.guest = .none }))
    #expect(gone.urgency == .guestAtRisk)
  }
}
