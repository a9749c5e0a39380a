import Testing

@testable import DroverCore

@Suite("Lost networks")
struct NetworkRuleTests {
  /// A report at second 100 in which both ends of both connections had been silent for so many seconds.
  private func losses(
    control: Double? = 0, data: Double? = 0, isAwaited: Bool = true, sharesWire: Bool = false,
    keepalive: KeepaliveBasis = .measured, settings: KeepaliveSettings = KeepaliveSettings(),
    verdict: VerdictSettings = VerdictSettings()
  ) -> [NetworkLoss] {
    NetworkReport(
      settings: settings, keepalive: keepalive,
      control: control.map { ConnectionHealth(lastHeard: seconds(100 - $0), isAwaited: false) },
      data: data.map { ConnectionHealth(lastHeard: seconds(100 - $0), isAwaited: isAwaited) },
      sharesWire: sharesWire
    ).losses(at: seconds(100), settings: verdict)
  }

  @Test("Nothing is lost while both are heard, or nothing is seen at all")
  func healthy() {
    #expect(losses().isEmpty)
    #expect(losses(control: 6.9, data: 4.9).isEmpty)
    #expect(losses(control: nil, data: nil).isEmpty)
  }

  @Test(
    "A silent control connection is the management network's loss, once it is silent for longer than its limit",
    arguments: [(7, false), (7.001, true), (29, true)])
  func control(silence: Double, isLost: Bool) {
    #expect(
      losses(control: silence)
        == (isLost
          ? [
            NetworkLoss(
              network: .management, silence: .milliseconds(Int64((silence * 1000).rounded())),
              limit: .seconds(7))
          ] : []))
  }

  @Test(
    "A data connection whose peer owes an acknowledgement is the migration network's loss",
    arguments: [(5, false), (5.001, true), (70, true)])
  func data(silence: Double, isLost: Bool) {
    #expect(
      losses(data: silence)
        == (isLost
          ? [
            NetworkLoss(
              network: .migration, silence: .milliseconds(Int64((silence * 1000).rounded())),
              limit: .seconds(5))
          ] : []))
  }

  @Test("Where no acknowledgement is due, silence says nothing")
  func notAwaited() { #expect(losses(data: 600, isAwaited: false).isEmpty) }

  @Test("Both are told, the management network first, where they are two networks")
  func both() {
    #expect(losses(control: 20, data: 20).map(\.network) == [.management, .migration])
  }

  @Test("Where both go over one wire, one network is lost; the data alone may still be")
  func sharedWire() {
    #expect(losses(control: 20, data: 20, sharesWire: true).map(\.network) == [.management])
    #expect(losses(control: 2, data: 20, sharesWire: true).map(\.network) == [.migration])
    // A question of the keepalive has gone unanswered before the control connection is silent for too long.
    #expect(losses(control: 5.6, data: 6, sharesWire: true).map(\.network) == [.management])
    #expect(losses(control: 5.4, data: 6, sharesWire: true).map(\.network) == [.migration])
    #expect(losses(control: 5.6, data: 6, sharesWire: false).map(\.network) == [.migration])
  }

  @Test("A connection without a keepalive may be silent for ever")
  func noKeepalive() {
    let off = KeepaliveSettings(interval: .zero)
    #expect(losses(control: 600, settings: off).isEmpty)
    #expect(losses(control: 600, keepalive: .none(.disabled)).isEmpty)
    #expect(losses(control: 600, data: 20, settings: off).map(\.network) == [.migration])
  }

  @Test("A connection of which it is not known that it is this migration's says nothing of it")
  func inferred() { #expect(losses(control: 600, keepalive: .inferred(.ssh)).isEmpty) }

  @Test("A keepalive with a long interval is given two seconds more than that, however short the limit is")
  func longInterval() {
    let slow = KeepaliveSettings(interval: .seconds(20))
    #expect(losses(control: 22, settings: slow).isEmpty)
    #expect(losses(control: 22.5, settings: slow).map(\.limit) == [.seconds(22)])
  }

  @Test("The limits are those of the settings, where they are longer than the keepalive needs")
  func settings() {
    let patient = VerdictSettings(controlSilence: .seconds(15), dataSilence: .seconds(12))
    #expect(losses(control: 14, data: 11, verdict: patient).isEmpty)
    #expect(losses(control: 16, data: 13, verdict: patient).map(\.limit) == [.seconds(15), .seconds(12)])
  }
}
