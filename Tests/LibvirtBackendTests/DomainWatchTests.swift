import DroverCore
import Testing

@testable import LibvirtBackend

private let aborted = EndEvidence(
  control: .open, data: .closedHere, dataEndedFirst: true, keepalive: KeepaliveSettings())

/// A migration that succeeds: what its source hears at the end.
private func success(_ at: Int64) -> [Step] {
  [
    .lifecycle(at - 60, 3, 1), .lifecycle(at - 10, 5, 3), .event(at, .completed(.done(at - 10))),
  ]
}

@Suite struct DomainWatchTests {
  @Test(
    "a migration that succeeds",
    arguments: [
      Story(
        "told by its source", [.copying(1000), .copying(1500)] + success(2060),
        ["precopy", "switchover", "vm gone", "succeeded reported"]),
      Story(
        "of a domain that is transient",
        [.copying(1000), .lifecycle(1900, 3, 1), .lifecycle(1950, 5, 3)]
          + [.look(1955, .failure(.gone), .failure(.gone)), .event(1960, .completed(.done(1950)))],
        ["precopy", "switchover", "vm gone", "succeeded reported"]),
      Story(
        "known by the figures that the host keeps", [.copying(1000), .kept(1600, .done(1500))],
        ["precopy", "succeeded reported", "vm gone"]),
      Story(
        "while the host keeps the figures of an earlier one",
        [.copying(10_000), .kept(10_500, .done(300)), .conclude(11_499, nil), .conclude(11_500, nil)],
        ["precopy", "vm gone", "succeeded reported"]),
      Story(
        "while the host keeps figures without a time",
        [.copying(10_000), .kept(10_500, .done(nil)), .conclude(11_500, nil)],
        ["precopy", "vm gone", "succeeded reported"]),
      Story(
        "without final figures",
        [.copying(1000), .lifecycle(1900, 3, 1), .lifecycle(1950, 5, 3)]
          + [.conclude(2949, nil), .conclude(2950, nil), .conclude(2960, nil)],
        ["precopy", "switchover", "vm gone", "succeeded reported"]),
      Story("that nobody had seen", [.event(500, .completed(.done(300)))], ["succeeded reported"]),
      Story(
        "that is over before anybody looks",
        [.lifecycle(0, 3, 1), .lifecycle(40, 5, 3), .event(45, .completed(.done(40)))],
        ["vm gone", "succeeded reported"]),
      Story(
        "that is over before anybody looks, with a pass",
        [
          .event(0, .iteration), .lifecycle(20, 3, 1), .lifecycle(40, 5, 3),
          .event(45, .completed(.done(40))),
        ],
        ["vm gone", "succeeded reported"]),
      Story(
        "and is told twice",
        [.copying(1000)] + success(2060) + [.event(2070, .completed(.done(2050))), .kept(2100, .done(2050))],
        ["precopy", "switchover", "vm gone", "succeeded reported"]),
      Story(
        "and that a look, begun before, still shows",
        [.copying(1000)] + success(2060)
          + [.slowLook(2061, begun: 2040, .success(.copying(2050)), .success(.shutOff(.migrated)))],
        ["precopy", "switchover", "vm gone", "succeeded reported"]),
      Story(
        "of disks first",
        [
          .look(500, .success(.preparing(500)), .success(.running)),
          .look(1000, .success(.copyingDisks(1000, total: 512, processed: 0)), .success(.running)),
          .look(1500, .success(.copyingDisks(1500, total: 512)), .success(.running)), .copying(9000),
        ] + success(9600), ["preparing", "precopy", "switchover", "vm gone", "succeeded reported"]),
    ])
  func succeeds(story: Story) { #expect(runs(story.tell().messages.map(words)) == story.told) }

  @Test(
    "a migration that does not succeed",
    arguments: [
      Story(
        "is aborted", [.copying(1000), .idle(1500), .conclude(1510, aborted)],
        ["precopy", "aborted user_abort inferred"]),
      Story(
        "fails unseen", [.copying(1000), .idle(1500), .conclude(1510, nil)],
        ["precopy", "failed unknown inferred"]),
      Story(
        "shows no number for a moment before it ends",
        [.copying(1000), .look(1500, .success(.preparing(1500)), .success(.running)), .idle(1520)]
          + [.conclude(1530, aborted)], ["precopy", "aborted user_abort inferred"]),
      Story(
        "shows that another began which has sent nothing",
        [.copying(1000), .look(1500, .success(.preparing(300)), .success(.running)), .idle(2000)]
          + [.conclude(2010, aborted)], ["precopy", "preparing", "aborted user_abort inferred"]),
      Story("has not ended while its job is there", [.copying(1000), .conclude(1510, aborted)], ["precopy"]),
      Story(
        "has not ended where its job is seen again",
        [.copying(1000), .idle(1500), .copying(2000)]
          + [.conclude(2010, aborted)], ["precopy"]),
      Story(
        "is not ended by a look that is older than it",
        [.copying(1000), .slowLook(1100, begun: -50, .success(.idle), .success(.running))]
          + [.conclude(1110, aborted)], ["precopy"]),
      Story(
        "is not ended by an answer that says nothing",
        [.copying(1000), .look(1500, .failure(.lockHeld), .success(.running))]
          + [.look(2000, .failure(.lost), .failure(.lost)), .conclude(2010, aborted)], ["precopy"]),
      Story(
        "is not ended by a job that is gone while the guest is stopped for the last pass",
        [.copying(1000), .idle(1500, .pausedMigration), .conclude(1510, aborted)], ["precopy", "switchover"]),
      Story(
        "is left paused without its job: nobody comes to say how it ended",
        [.copying(1000), .idle(1500, .pausedMigration), .idle(11_499, .pausedMigration)]
          + [.conclude(11_499, nil), .idle(11_500, .pausedMigration), .conclude(11_501, aborted)],
        ["precopy", "switchover", "failed unknown inferred"]),
      Story(
        "is not left, where its job is seen again",
        [.copying(1000), .idle(1500, .pausedMigration), .copying(11_000, .pausedMigration)]
          + [.idle(11_600, .pausedMigration), .conclude(11_601, nil)],
        ["precopy", "switchover", "guest_suspended"]),
      Story(
        "is found with its guest suspended for it", from: .pausedMigration,
        [.copying(1000, .pausedMigration), .copying(2500, .pausedMigration)],
        ["switchover", "guest_suspended"]),
      Story(
        "vanishes with its domain, without a word",
        [.copying(1000), .look(1500, .failure(.gone), .failure(.gone))]
          + [.conclude(2499, nil), .conclude(2500, nil)], ["precopy", "failed source_lost inferred"]),
      Story(
        "is over with its domain, as a look finds",
        [.copying(1000)]
          + [.look(1500, .failure(.notRunning), .success(.shutOff(.destroyed)))],
        ["precopy", "failed vm_lost reported", "vm gone"]),
      Story(
        "gives way to another between two looks",
        [.copying(1000), .look(9000, .success(.copying(1000, sent: 1000)), .success(.running))],
        ["precopy", "failed unknown inferred", "precopy"]),
      Story(
        "is tried again",
        [.copying(1000), .idle(1500), .conclude(1510, aborted), .copying(5000, since: 4000)],
        ["precopy", "aborted user_abort inferred", "precopy"]),
      Story(
        "shows in nothing but a pass",
        [.event(0, .iteration), .idle(100), .idle(1001), .conclude(1010, nil)], []),
    ])
  func fails(story: Story) { #expect(runs(story.tell().messages.map(words)) == story.told) }

  @Test(
    "a domain that stops at the source ends its migration",
    arguments: [
      (0, "failed guest_shutdown reported"), (1, "failed vm_lost reported"),
      (2, "failed guest_crashed reported"),
      (4, "failed other reported"), (5, "failed source_lost reported"), (6, "failed other reported"),
    ] as [(Int32, String)])
  func stops(detail: Int32, told: String) {
    var drive = DomainDrive()
    drive.take([.copying(1000), .lifecycle(1500, 5, detail)])
    #expect(drive.messages.map(words) == ["precopy", told, "vm gone"])
    #expect(drive.messages.endings.first?.ending?.endedAt == ms(1500))
    #expect(drive.messages.endings.first?.guestOnSource == false)
    // A look that was under way may still show the job.
    drive.take(.slowLook(1501, begun: 1490, .success(.copying(1495)), .success(.shutOff(.destroyed))))
    #expect(drive.messages.endings.count == 1)
    #expect(!drive.watch.isBusy)
  }

  @Test(
    "a migration in post-copy",
    arguments: [
      Story(
        "succeeds",
        [.copying(1000), .lifecycle(1500, 3, 1), .lifecycle(1510, 3, 7), .copying(2000, .pausedPostcopy)]
          + [.lifecycle(2500, 5, 3), .event(2510, .completed(.done(2500)))],
        ["precopy", "switchover", "postcopy", "vm gone", "postcopy", "succeeded reported"]),
      Story(
        "breaks, and stays open until it is destroyed",
        [.copying(1000), .lifecycle(1510, 3, 7), .lifecycle(2000, 3, 8), .idle(2500, .pausedPostcopyFailed)]
          + [.conclude(2510, aborted), .idle(90_000, .pausedPostcopyFailed), .lifecycle(99_000, 5, 1)],
        ["precopy", "postcopy", "vm gone", "postcopy_paused", "failed postcopy_broken inferred"]),
      Story(
        "breaks unheard, as a look finds",
        [
          .copying(1000), .lifecycle(1510, 3, 7), .idle(2500, .pausedPostcopyFailed),
          .conclude(2510, aborted),
        ],
        ["precopy", "postcopy", "vm gone", "postcopy_paused"]),
      Story(
        "breaks, is recovered and succeeds",
        [
          .copying(1000), .lifecycle(1510, 3, 7), .lifecycle(2000, 3, 8),
          .copying(5000, .pausedPostcopyFailed),
        ]
          + [.copying(9000, .pausedPostcopy), .lifecycle(9500, 5, 3), .event(9510, .completed(.done(9500)))],
        ["precopy", "postcopy", "vm gone", "postcopy_paused", "postcopy", "succeeded reported"]),
      Story(
        "is not over while the job is not shown",
        [.copying(1000), .lifecycle(1510, 3, 7)]
          + [.idle(2000, .pausedPostcopy), .conclude(2010, aborted)], ["precopy", "postcopy", "vm gone"]),
      Story(
        "vanishes with its domain",
        [.copying(1000), .lifecycle(1510, 3, 7), .look(2000, .failure(.gone), .failure(.gone))]
          + [.conclude(3000, nil)], ["precopy", "postcopy", "vm gone", "failed postcopy_broken inferred"]),
    ])
  func postcopy(story: Story) {
    let drive = story.tell()
    #expect(runs(drive.messages.map(words)) == story.told)
    for told in drive.messages.migrations where told.phase.isPostcopy {
      #expect(told.guestOnSource == false && told.guestOnTarget == true)
    }
  }

  @Test(
    "what is no migration",
    arguments: [
      Story("a save", [.look(500, .success(.saving(500)), .success(.paused)), .idle(900)], []),
      Story(
        "a save with passes over the memory, which stops the domain",
        [.lifecycle(0, 3, 0), .event(10, .iteration), .look(20, .success(.saving(20)), .success(.paused))]
          + [.event(800, .iteration), .look(1300, .success(.saving(1300)), .success(.paused))]
          + [.look(2300, .success(.saving(2300)), .success(.paused)), .lifecycle(2400, 5, 4)]
          + [.look(3900, .failure(.notRunning), .success(.shutOff(.other)))],
        ["vm gone"]),
      Story("a completed job of another kind", [.event(0, .completed(.saving(10)))], []),
      Story("a guest that is paused and resumed", [.lifecycle(0, 3, 0), .lifecycle(500, 4, 0)], []),
      Story(
        "an end of a domain that rests", [.lifecycle(0, 5, 1), .lifecycle(900, 2, 0)], ["vm gone", "vm"]),
      Story("a definition", [.lifecycle(0, 0, 1), .lifecycle(5, 1, 0), .lifecycle(9, 6, 1)], []),
      Story(
        "a guest that is stopped for a migration that never shows",
        [.lifecycle(0, 3, 1)]
          + [.idle(500, .pausedMigration), .idle(1500, .pausedMigration), .conclude(2000, nil)], []),
    ])
  func noMigration(story: Story) {
    let drive = story.tell()
    #expect(runs(drive.messages.map(words)) == story.told)
    #expect(!drive.watch.isBusy)
  }

  @Test("a guest that a person suspends is told so until it runs again")
  func suspended() {
    var drive = DomainDrive()
    drive.take([.copying(1000), .lifecycle(1200, 3, 0), .copying(1500, .paused), .lifecycle(1800, 4, 0)])
    #expect(runs(drive.messages.map(words)) == ["precopy", "guest_suspended", "precopy"])
    #expect(drive.messages.migrations.allSatisfy { $0.guestOnSource == true && $0.guestOnTarget == nil })
  }

  @Test(
    "a guest that is paused for its migration longer than a switchover may take was suspended, until all is sent"
  )
  func held() {
    var drive = DomainDrive()
    drive.take([.copying(1000), .lifecycle(1200, 3, 1)])
    drive.take([.copying(1700, .pausedMigration), .copying(2500, .pausedMigration)])
    #expect(runs(drive.messages.map(words)) == ["precopy", "switchover"])
    drive.take([.copying(2600, .pausedMigration), .copying(9000, .pausedMigration)])
    drive.take([.look(9500, .success(.copying(9500, remaining: 0)), .success(.pausedMigration))])
    #expect(
      runs(drive.messages.map(words)) == ["precopy", "switchover", "guest_suspended", "switchover"])
    #expect(drive.messages.migrations.allSatisfy { $0.guestOnSource == true && $0.guestOnTarget == nil })
  }

  @Test("an event that speaks of a migration has the domain looked at once, and what comes to nothing rests")
  func hints() {
    var drive = DomainDrive()
    drive.take([.event(0, .iteration), .event(5, .iteration), .lifecycle(10, 3, 1)])
    #expect(drive.looksWanted == 3)
    #expect(drive.watch.isBusy)
    drive.take([.copying(500)])
    let wanted = drive.looksWanted
    drive.take([.event(600, .iteration), .lifecycle(700, 3, 0)])
    #expect(drive.looksWanted == wanted)
  }
}
