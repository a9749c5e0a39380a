import DroverCore
import Testing

@testable import LibvirtBackend

/// What the connections show.
private func evidence(
  control: EndEvidence.Fate? = .open, data: EndEvidence.Fate? = .open, dataFirst: Bool? = false,
  queue: Bytes = 0,
  controlSilence: Double? = nil, dataSilence: Double? = nil,
  keepalive: KeepaliveSettings = KeepaliveSettings()
) -> EndEvidence {
  EndEvidence(
    control: control, data: data, dataEndedFirst: dataFirst, dataQueue: queue,
    controlSilence: controlSilence.map { .seconds($0) }, dataSilence: dataSilence.map { .seconds($0) },
    keepalive: keepalive)
}

private func inferred(_ evidence: EndEvidence?) -> String {
  let end = EndInference(stop: nil, isStopped: false, phase: .precopy, evidence)
  #expect(end.certainty == .inferred)
  #expect(!end.text.isEmpty)
  return end.outcome == .aborted ? "aborted \(end.cause?.rawValue ?? "-")" : end.cause?.rawValue ?? "-"
}

@Suite struct EndInferenceTests {
  @Test(
    "a domain that stopped says itself how its migration ended",
    arguments: [
      (.migrated, .precopy, "succeeded - reported"), (.migrated, .postcopy, "succeeded - reported"),
      (.migrated, .postcopyPaused, "succeeded - reported"),
      (.shutdown, .precopy, "failed guest_shutdown reported"),
      (.shutdown, .postcopy, "failed postcopy_broken inferred"),
      (.crashed, .switchover, "failed guest_crashed reported"),
      (.crashed, .postcopyPaused, "failed postcopy_broken inferred"),
      (.destroyed, .precopy, "failed vm_lost reported"),
      (.destroyed, .postcopyPaused, "failed postcopy_broken inferred"),
      (.failed, .precopy, "failed source_lost reported"),
      (.failed, .postcopy, "failed postcopy_broken inferred"),
      (.other, .guestSuspended, "failed other reported"),
      (.other, .postcopy, "failed postcopy_broken inferred"),
      (nil, .precopy, "failed source_lost inferred"), (nil, .postcopy, "failed postcopy_broken inferred"),
    ] as [(DomainState.Stop?, Phase, String)])
  func stops(stop: DomainState.Stop?, phase: Phase, told: String) {
    // Whatever the connections show.
    for seen in [nil, evidence(data: .closedHere, dataFirst: true), evidence(controlSilence: 40)] {
      let end = EndInference(stop: stop, isStopped: true, phase: phase, seen)
      #expect("\(end.outcome) \(end.cause?.rawValue ?? "-") \(end.certainty)" == told)
      let ending = end.ending(at: ms(7))
      #expect(ending.endedAt == ms(7))
      #expect(ending.outcome == end.outcome)
    }
  }

  @Test(
    "each end that was measured is told from its connections",
    arguments: [
      // Aborted, with little in flight: the data connection is closed here, and first.
      (
        evidence(data: .closedHere, dataFirst: true, controlSilence: 4.9, dataSilence: 0.1),
        "aborted user_abort"
      ),
      (evidence(control: .closedHere, data: .closedHere, dataFirst: true), "aborted user_abort"),
      (evidence(control: .endedByPeer, data: .closedHere, dataFirst: true), "aborted user_abort"),
      // Aborted, or the target died, with much in flight: nobody can tell.
      (evidence(data: .endedByPeer, dataFirst: true, queue: 2_621_440), "unknown"),
      // Aborted while the data wire was cut.
      (evidence(data: .closedHere, dataFirst: true, queue: 4_300_000, dataSilence: 30), "aborted user_abort"),
      // The target's QEMU was killed.
      (evidence(data: .endedByPeer, dataFirst: true, queue: 100_000), "target_lost"),
      (evidence(control: .endedByPeer, data: .endedByPeer, dataFirst: true), "target_lost"),
      // The target's daemon was killed: the control connection goes first.
      (evidence(control: .endedByPeer, data: .closedHere), "target_lost"),
      // Both ended together, and their order is not known: neither may be told for the other.
      (evidence(control: .endedByPeer, data: .closedHere, dataFirst: nil), "unknown"),
      (evidence(control: .endedByPeer, data: .endedByPeer, dataFirst: nil, queue: 2_621_440), "unknown"),
      // Either order would mean the same.
      (evidence(control: .endedByPeer, data: .endedByPeer, dataFirst: nil), "target_lost"),
      (evidence(control: .closedHere, data: .closedHere, dataFirst: nil), "unknown"),
      // The control wire was cut; the data connection is closed with the control connection.
      (evidence(control: .closedHere, data: .closedHere, controlSilence: 30.01), "keepalive"),
      (
        evidence(control: .closedHere, data: .endedByPeer, queue: 4_300_000, controlSilence: 30.01),
        "keepalive"
      ),
      // TCP gave the data connection up.
      (evidence(data: .endedByPeer, dataFirst: true, queue: 4_300_000, dataSilence: 930), "connection_lost"),
      // Nothing is wrong with either.
      (evidence(), "unknown"), (evidence(control: .closedHere, data: .closedHere), "unknown"),
      (evidence(control: nil, data: .closedHere), "unknown"),
      // Nothing was seen.
      (nil, "unknown"), (evidence(control: nil, data: nil), "unknown"), (evidence(data: nil), "unknown"),
    ])
  func ends(seen: EndEvidence?, told: String) { #expect(inferred(seen) == told) }

  @Test(
    "the silence of the keepalive is told from that of a connection that is well",
    arguments: [
      (5, 5, 0, "aborted"), (5, 5, 5.2, "aborted"), (5, 5, 20, "aborted"), (5, 5, 29.9, "keepalive"),
      (5, 5, 30, "keepalive"), (5, 5, 45, "keepalive"),
      // A connection that is well is silent for an interval, and libvirt counts whole seconds.
      (1, 2, 1.9, "aborted"), (1, 2, 3.004, "keepalive"), (5, 1, 5.9, "aborted"), (5, 1, 10, "keepalive"),
      (5, 0, 3, "aborted"), (5, 0, 5, "keepalive"),
      // Switched off: no silence means anything.
      (-1, 5, 4000, "aborted"), (0, 5, 4000, "aborted"),
    ])
  func keepalive(interval: Int, count: Int, silence: Double, told: String) {
    let settings = KeepaliveSettings(interval: .seconds(interval), count: count)
    let seen = evidence(data: .closedHere, dataFirst: true, controlSilence: silence, keepalive: settings)
    #expect(inferred(seen).split(separator: " ").first.map(String.init) == told)
  }

  @Test("a full queue is one of more than half a mebibyte")
  func queue() {
    #expect(inferred(evidence(data: .endedByPeer, dataFirst: true, queue: 524_288)) == "target_lost")
    #expect(inferred(evidence(data: .endedByPeer, dataFirst: true, queue: 524_289)) == "unknown")
  }

  @Test("TCP's patience with a silent peer is longer than a minute")
  func patience() {
    #expect(inferred(evidence(data: .endedByPeer, dataFirst: true, dataSilence: 60)) == "target_lost")
    #expect(inferred(evidence(data: .endedByPeer, dataFirst: true, dataSilence: 60.1)) == "connection_lost")
  }

  @Test("the keepalive goes before what became of the data connection")
  func order() {
    for data in [EndEvidence.Fate.open, .closedHere, .endedByPeer] {
      #expect(
        inferred(evidence(data: data, dataFirst: true, controlSilence: 31, dataSilence: 100)) == "keepalive")
    }
    // Tunnelled: one connection for all.
    #expect(inferred(evidence(control: .closedHere, data: nil, controlSilence: 30.05)) == "keepalive")
  }
}
