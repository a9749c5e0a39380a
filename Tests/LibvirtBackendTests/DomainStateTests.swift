import CLibvirt
import Testing

@testable import LibvirtBackend

@Suite struct DomainStateTests {
  @Test(
    "every state and reason of libvirt 9 has its meaning",
    arguments: [
      // No state, running, blocked.
      (0, 0, .running), (1, 0, .running), (1, 1, .running), (1, 2, .running), (1, 3, .running),
      (1, 4, .running),
      (1, 5, .running), (1, 6, .running), (1, 7, .running), (1, 8, .running), (1, 9, .running),
      (1, 10, .runningPostcopy), (1, 11, .runningPostcopy), (2, 0, .running),
      // Paused.
      (3, 0, .paused), (3, 1, .paused), (3, 2, .pausedMigration), (3, 3, .paused), (3, 4, .paused),
      (3, 5, .paused), (3, 6, .paused), (3, 7, .paused), (3, 8, .paused), (3, 9, .paused), (3, 10, .paused),
      (3, 11, .starting), (3, 12, .pausedPostcopy), (3, 13, .pausedPostcopyFailed),
      // Shutting down.
      (4, 0, .running), (4, 1, .running),
      // Shut off.
      (5, 0, .shutOff(.other)), (5, 1, .shutOff(.shutdown)), (5, 2, .shutOff(.destroyed)),
      (5, 3, .shutOff(.crashed)), (5, 4, .shutOff(.migrated)), (5, 5, .shutOff(.other)),
      (5, 6, .shutOff(.failed)), (5, 7, .shutOff(.other)), (5, 8, .shutOff(.other)),
      // Crashed, suspended by the guest itself.
      (6, 0, .shutOff(.crashed)), (6, 1, .shutOff(.crashed)), (7, 0, .paused),
      // Numbers that libvirt 9 does not have.
      (1, 99, .running), (3, 99, .paused), (5, 99, .shutOff(.other)), (7, 2, .paused), (99, 0, .running),
      (-1, -1, .running), (3, -1, .paused), (.max, .max, .running), (.min, .min, .running),
    ] as [(Int32, Int32, DomainState)])
  func states(state: Int32, reason: Int32, meaning: DomainState) {
    #expect(DomainState(state: state, reason: reason) == meaning)
    #expect(DomainState(state: state, reason: reason).isActive == !(state == 5 || state == 6))
  }

  @Test(
    "every lifecycle event and detail of libvirt 9 has its meaning",
    arguments: [
      // Defined, undefined.
      (0, 0, .other), (0, 1, .other), (0, 2, .other), (0, 3, .other), (1, 0, .other), (1, 1, .other),
      // Started.
      (2, 0, .started(isIncoming: false)), (2, 1, .started(isIncoming: true)),
      (2, 2, .started(isIncoming: false)), (2, 3, .started(isIncoming: false)),
      (2, 4, .started(isIncoming: false)),
      // Suspended.
      (3, 0, .suspended(.paused)), (3, 1, .suspended(.pausedMigration)), (3, 2, .suspended(.paused)),
      (3, 3, .suspended(.paused)), (3, 4, .suspended(.paused)), (3, 5, .suspended(.paused)),
      (3, 6, .suspended(.paused)), (3, 7, .suspended(.pausedPostcopy)),
      (3, 8, .suspended(.pausedPostcopyFailed)),
      // Resumed.
      (4, 0, .resumed(.running)), (4, 1, .resumed(.running)), (4, 2, .resumed(.running)),
      (4, 3, .resumed(.runningPostcopy)), (4, 4, .resumed(.runningPostcopy)),
      // Stopped.
      (5, 0, .stopped(.shutdown)), (5, 1, .stopped(.destroyed)), (5, 2, .stopped(.crashed)),
      (5, 3, .stopped(.migrated)), (5, 4, .stopped(.other)), (5, 5, .stopped(.failed)),
      (5, 6, .stopped(.other)),
      // Shutting down, suspended by the guest itself.
      (6, 0, .other), (6, 1, .other), (6, 2, .other), (7, 0, .other), (7, 1, .other),
      // Crashed; a guest that loads its crash kernel runs on.
      (8, 0, .stopped(.crashed)), (8, 1, .other),
      // Numbers that libvirt 9 does not have.
      (2, 99, .started(isIncoming: false)), (3, 99, .suspended(.paused)), (4, 99, .resumed(.running)),
      (5, 99, .stopped(.other)), (9, 0, .other), (-1, -1, .other), (.max, .max, .other),
    ] as [(Int32, Int32, Lifecycle)])
  func events(event: Int32, detail: Int32, meaning: Lifecycle) {
    #expect(Lifecycle(event: event, detail: detail) == meaning)
  }

  @Test("the tables above are whole: libvirt has no numbers beyond them")
  func whole() {
    // Where a newer libvirt is built against, this says what the tables lack.
    #expect(VIR_DOMAIN_PMSUSPENDED.rawValue == 7)
    #expect(VIR_DOMAIN_RUNNING_POSTCOPY_FAILED.rawValue == 11)
    #expect(VIR_DOMAIN_PAUSED_POSTCOPY_FAILED.rawValue == 13)
    #expect(VIR_DOMAIN_SHUTOFF_DAEMON.rawValue == 8)
    #expect(VIR_DOMAIN_EVENT_CRASHED.rawValue == 8)
  }
}
