import Testing

@testable import DroverCore
@testable import DroverService

@Suite("Numbers in words")
struct WordsTests {
  @Test(
    "sizes have one decimal below 100 and the next unit in time",
    arguments: [
      (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (65_011_712, "62.0 MiB"), (104_752_742, "99.9 MiB"),
      (104_805_172, "100 MiB"), (1_073_217_535, "1023 MiB"), (1_073_217_537, "1.0 GiB"), (8 << 30, "8.0 GiB"),
      (.max, "16.0 EiB"),
    ] as [(UInt64, String)])
  func sizes(bytes: UInt64, words: String) {
    #expect(Words.size(bytes) == words)
    #expect(Words.rate(bytes) == words + "/s")
  }

  @Test(
    "durations have their two largest units",
    arguments: [
      (0, "0s"), (0.35, "350ms"), (0.9996, "1s"), (1.82, "1.8s"), (2, "2s"), (9.95, "9.9s"), (12.9, "12s"),
      (60, "1m"),
      (125, "2m 5s"), (3600, "1h"), (6400, "1h 46m"), (3605, "1h"), (90_000, "1d 1h"), (-3, "0s"),
      (.infinity, "unknown"),
      (.nan, "unknown"), (1e300, "11574074d 1h"),
    ])
  func durations(seconds: Double, words: String) { #expect(Words.duration(seconds) == words) }

  @Test(
    "times from now",
    arguments: [
      (200, "in 3m 20s", "3m 20s left"), (1, "in 1s", "1s left"), (0.9, "now", "0s left"),
      (-0.9, "now", "0s left"),
      (-12.7, "12s ago", "overdue by 12s"),
    ])
  func relative(seconds: Double, words: String, left: String) {
    #expect(Words.relative(seconds) == words)
    #expect(Words.left(seconds) == left)
  }

  @Test(
    "only the whole is 100%",
    arguments: [
      (0, "0%"), (0.625, "62%"), (0.29, "29%"), (0.9999, "99%"), (1, "100%"), (7, "100%"), (-1, "0%"),
    ])
  func percent(ratio: Double, words: String) { #expect(Words.percent(ratio) == words) }

  @Test(
    "every kind of evidence has its numbers",
    arguments: [
      (.notInPrecopy, "verdicts are given in pre-copy only"),
      (
        .sampleTooOld(limit: .seconds(10)),
        "the source has not answered for more than 10s"
      ),
      (.firstPass, "first pass: the dirty rate is measured at its end"),
      (.tooFewSamples, "too few samples yet"),
      (
        .still(sent: .seconds(42), drop: .seconds(130), remaining: .mebibytes(740)),
        "no bytes sent for 42s, remaining has not fallen for 2m 10s; 740 MiB remaining"
      ),
      (
        .still(sent: .seconds(42), drop: .seconds(43), remaining: nil),
        "no bytes sent for 42s, remaining has not fallen for 43s"
      ),
      (
        .passesDoNotShrink(
          passes: 3, best: .mebibytes(62), dirty: BytesPerSecond(43_830_477),
          transfer: BytesPerSecond(44_040_192)),
        "dirties 41.8 MiB/s of 42.0 MiB/s sent; 3 passes in a row began with no less than 62.0 MiB to send"
      ),
      (
        .trend(remaining: .gibibytes(3), dirty: BytesPerSecond(5 << 20), transfer: BytesPerSecond(42 << 20)),
        "3.0 GiB remaining; dirties 5.0 MiB/s of 42.0 MiB/s sent"
      ),
      (
        .diskTrend(
          remaining: .gibibytes(3), shrink: BytesPerSecond(4 << 20), transfer: BytesPerSecond(5 << 20)),
        "disks: 3.0 GiB remaining, falling by 4.0 MiB/s of 5.0 MiB/s sent; memory follows"
      ),
      (
        .diskTrend(remaining: .gibibytes(3), shrink: 0, transfer: BytesPerSecond(5 << 20)),
        "disks: 3.0 GiB remaining, and no less than before: the guest rewrites what is sent at 5.0 MiB/s"
      ),
      (
        .networkSilent([silent(.management, 12)], keepaliveDeadline: noon + .milliseconds(17_900)),
        "control connection: nothing received for 12s; libvirt ends the migration in 17s, and the guest stays at the source"
      ),
      (
        .networkSilent(
          [silent(.management, 12), silent(.migration, 9)], keepaliveDeadline: noon + .seconds(18)),
        "control connection: nothing received for 12s; data connection: nothing acknowledged for 9s; "
          + "libvirt ends the migration in 18s, and the guest stays at the source"
      ),
      (
        .networkSilent([silent(.management, 33)], keepaliveDeadline: noon - .seconds(3)),
        "control connection: nothing received for 33s; libvirt should have ended the migration 3s ago"
      ),
      (
        .networkSilent([silent(.migration, 9)], keepaliveDeadline: noon + .seconds(18)),
        "data connection: nothing acknowledged for 9s; if the control connection is silent, too, "
          + "libvirt ends the migration in 18s, and the guest stays at the source"
      ),
      (
        .networkSilent([silent(.migration, 9)], keepaliveDeadline: nil),
        "data connection: nothing acknowledged for 9s; no keepalive guards it, so libvirt waits until it is back"
      ),
      (.networkSilent([silent(.unknown, 9)], keepaliveDeadline: nil), "nothing heard for 9s"),
    ] as [(Evidence, String)])
  func evidence(evidence: Evidence, words: String) {
    #expect(Words.evidence(evidence, now: noon) == words)
  }

  private static func silent(_ network: LostNetwork, _ seconds: Int) -> NetworkLoss {
    NetworkLoss(network: network, silence: .seconds(seconds), limit: .seconds(7))
  }

  @Test("what a keepalive rests on has its words, and an unknown one from a newer server its own")
  func keepalive() {
    let bases: [KeepaliveBasis] =
      [.measured] + KeepaliveBasis.Inference.allCases.map { .inferred($0) }
      + KeepaliveBasis.Absence.allCases.map { .none($0) }
    #expect(
      bases.map { Words.keepalive(basis: $0.name) } == [
        "measured on the source host", "inferred: the source is watched from another machine",
        "inferred: the daemons talk over ssh", "inferred: its connection is not visible from here",
        "inferred: the kernel's connections may not be read", "none: not peer-to-peer", "none: switched off",
      ])
    #expect(Words.keepalive(basis: "told_by_libvirt") == "told by libvirt")
  }

  @Test(
    "a connection says when its peer was heard, what it owes and what was sent again",
    arguments: [
      (2, false, 0, 1, "heard 2s ago, all acknowledged, 1 retransmit"),
      (0.4, true, 524_288, 0, "heard now, 512 KiB unacknowledged, 0 retransmits"),
      (-1, true, nil, nil, "heard now, an acknowledgement is due"),
      (125, false, nil, 17, "heard 2m 5s ago, no acknowledgement is due, 17 retransmits"),
    ] as [(Double, Bool, UInt64?, UInt64?, String)])
  func connection(ago: Double, isAwaited: Bool, unacked: UInt64?, retransmits: UInt64?, words: String) {
    let now = Timestamp(unixMilliseconds: 1_795_453_200_123)
    let connection = MigrationItem.Connection(
      lastHeardAt: Timestamp(unixMilliseconds: now.unixMilliseconds - Int64(ago * 1000)),
      isAwaited: isAwaited,
      unackedBytes: unacked, retransmits: retransmits)
    #expect(Words.connection(connection, asOf: now) == words)
  }
}

@Suite("Timestamps")
struct TimestampTests {
  @Test(
    "are RFC 3339 in UTC, and read back",
    arguments: [
      (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
      (951_782_400_000, "2000-02-29T00:00:00.000Z"),
      (1_795_453_200_123, "2026-11-23T17:00:00.123Z"), (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
      (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (.max, "9999-12-31T23:59:59.999Z"),
      (.min, "0000-01-01T00:00:00.000Z"),
    ] as [(Int64, String)])
  func format(milliseconds: Int64, text: String) {
    let timestamp = Timestamp(unixMilliseconds: milliseconds)
    #expect(timestamp.description == text)
    #expect(Timestamp(text) == timestamp)
  }

  @Test("each day of 400 years reads back")
  func days() {
    for day in 0..<146_097 {
      let timestamp = Timestamp(unixMilliseconds: Int64(day) * 86_400_000)
      guard Timestamp(timestamp.description) != timestamp else { continue }
      Issue.record("day \(day): \(timestamp)")
      return
    }
  }

  @Test("other fractions are read", arguments: [("", 0), (".1", 100), (".12", 120), (".123456789", 123)])
  func fractions(fraction: String, milliseconds: Int64) {
    #expect(Timestamp("1970-01-01T00:00:00\(fraction)Z")?.unixMilliseconds == milliseconds)
  }

  @Test(
    "anything else is refused",
    arguments: [
      "", "Z", "2026-11-23T17:00:00", "2026-11-23T17:00:00+00:00", "2026-13-23T17:00:00Z",
      "2026-11-23 17:00:00Z",
      "2026-11-23T24:00:00Z", "2026-11-23T17:00:00.Z", "2026-11-23T17:00:00.12xZ",
      "2026-11-23T17:00:00.xxxxxxxxxxxxxxZ",
      "20a6-11-23T17:00:00Z", "2026-11-23T17:00:00.9999999999999999999Z", "2026-11-23T17:00:00.123456789xZ",
      "2026-11-23T17:00:00.1234567890Z", "2026-11-23T17:00:00.123ZZ",
    ])
  func refused(text: String) { #expect(Timestamp(text) == nil) }
}
