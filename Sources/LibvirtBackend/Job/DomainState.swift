internal import CLibvirt

/// State and reason of a domain, as `virDomainGetState` tells them and lifecycle events imply them.
enum DomainState: Hashable, Sendable {
  /// Its QEMU is being started; nobody knows yet whether a guest arrives or boots.
  case starting
  case running
  /// Runs here while a post-copy is still under way, or broken: this host is its target.
  case runningPostcopy
  /// Paused by a person, by an error of a disk, by a snapshot: anything but a migration.
  case paused
  /// Paused for a migration: the last pass at the source, or a destination that waits for its guest.
  case pausedMigration
  /// The guest has gone to the target, its memory has not.
  case pausedPostcopy
  /// The same, and the connection is lost.
  case pausedPostcopyFailed
  case shutOff(Stop)

  /// Why a domain does not run any more.
  enum Stop: Hashable, Sendable {
    case shutdown, destroyed, crashed, migrated, failed, other
  }

  init(state: Int32, reason: Int32) {
    let reason = UInt32(bitPattern: reason)
    switch UInt32(bitPattern: state) {
    case VIR_DOMAIN_PAUSED.rawValue, VIR_DOMAIN_PMSUSPENDED.rawValue:
      self =
        switch reason {
        case _ where state != Int32(bitPattern: VIR_DOMAIN_PAUSED.rawValue): .paused
        case VIR_DOMAIN_PAUSED_MIGRATION.rawValue: .pausedMigration
        case VIR_DOMAIN_PAUSED_STARTING_UP.rawValue: .starting
        case VIR_DOMAIN_PAUSED_POSTCOPY.rawValue: .pausedPostcopy
        case VIR_DOMAIN_PAUSED_POSTCOPY_FAILED.rawValue: .pausedPostcopyFailed
        default: .paused
        }
    case VIR_DOMAIN_SHUTOFF.rawValue:
      self =
        switch reason {
        case VIR_DOMAIN_SHUTOFF_SHUTDOWN.rawValue: .shutOff(.shutdown)
        case VIR_DOMAIN_SHUTOFF_DESTROYED.rawValue: .shutOff(.destroyed)
        case VIR_DOMAIN_SHUTOFF_CRASHED.rawValue: .shutOff(.crashed)
        case VIR_DOMAIN_SHUTOFF_MIGRATED.rawValue: .shutOff(.migrated)
        case VIR_DOMAIN_SHUTOFF_FAILED.rawValue: .shutOff(.failed)
        default: .shutOff(.other)
        }
    case VIR_DOMAIN_CRASHED.rawValue: self = .shutOff(.crashed)
    default:
      self =
        switch reason {
        case VIR_DOMAIN_RUNNING_POSTCOPY.rawValue, VIR_DOMAIN_RUNNING_POSTCOPY_FAILED.rawValue:
          .runningPostcopy
        default: .running
        }
    }
  }

  /// Whether there is a QEMU.
  var isActive: Bool { if case .shutOff = self { false } else { true } }
}

/// A lifecycle event, as far as it matters here.
enum Lifecycle: Hashable, Sendable {
  /// A QEMU was started here; `isIncoming` where it waits for its guest to arrive.
  case started(isIncoming: Bool)
  case suspended(DomainState)
  case resumed(DomainState)
  case stopped(DomainState.Stop)
  /// Defined, undefined, shutting down: nothing that moves a guest.
  case other

  init(event: Int32, detail: Int32) {
    let detail = UInt32(bitPattern: detail)
    self =
      switch UInt32(bitPattern: event) {
      case VIR_DOMAIN_EVENT_STARTED.rawValue:
        .started(isIncoming: detail == VIR_DOMAIN_EVENT_STARTED_MIGRATED.rawValue)
      case VIR_DOMAIN_EVENT_SUSPENDED.rawValue:
        switch detail {
        case VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED.rawValue: .suspended(.pausedMigration)
        case VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY.rawValue: .suspended(.pausedPostcopy)
        case VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY_FAILED.rawValue: .suspended(.pausedPostcopyFailed)
        default: .suspended(.paused)
        }
      case VIR_DOMAIN_EVENT_RESUMED.rawValue:
        switch detail {
        case VIR_DOMAIN_EVENT_RESUMED_POSTCOPY.rawValue, VIR_DOMAIN_EVENT_RESUMED_POSTCOPY_FAILED.rawValue:
          .resumed(.runningPostcopy)
        default: .resumed(.running)
        }
      case VIR_DOMAIN_EVENT_STOPPED.rawValue:
        switch detail {
        case VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN.rawValue: .stopped(.shutdown)
        case VIR_DOMAIN_EVENT_STOPPED_DESTROYED.rawValue: .stopped(.destroyed)
        case VIR_DOMAIN_EVENT_STOPPED_CRASHED.rawValue: .stopped(.crashed)
        case VIR_DOMAIN_EVENT_STOPPED_MIGRATED.rawValue: .stopped(.migrated)
        case VIR_DOMAIN_EVENT_STOPPED_FAILED.rawValue: .stopped(.failed)
        default: .stopped(.other)
        }
      // A guest that loads its crash kernel runs on.
      case VIR_DOMAIN_EVENT_CRASHED.rawValue where detail != VIR_DOMAIN_EVENT_CRASHED_CRASHLOADED.rawValue:
        .stopped(.crashed)
      default: .other
      }
  }
}
