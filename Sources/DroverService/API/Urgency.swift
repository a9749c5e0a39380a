internal import DroverCore

/// How soon somebody has to look at a migration; what is most urgent sorts first.
enum Urgency: Int, Comparable {
  /// The guest runs nowhere or twice, or cannot go on.
  case guestAtRisk
  case networkLost, stalled, notConverging, slow
  /// Nothing is known to be wrong.
  case calm

  init(phase: String, verdict: String, guestRunsOn: String) {
    if phase == Phase.postcopyPaused.rawValue || GuestLocation(rawValue: guestRunsOn)?.isAlarming == true {
      self = .guestAtRisk
      return
    }
    self =
      switch VerdictKind(rawValue: verdict) {
      case .networkLost: .networkLost
      case .stalled: .stalled
      case .notConverging: .notConverging
      case .slow: .slow
      default: .calm
      }
  }

  /// Whether it is bad, and not only worth a look.
  var isBad: Bool { self <= .stalled }

  static func < (a: Urgency, b: Urgency) -> Bool { a.rawValue < b.rawValue }
}

extension MigrationItem {
  /// Age from which a sample of a running migration is shown as old, in seconds.
  public static let oldSampleSeconds = 10.0

  var urgency: Urgency { Urgency(phase: phase, verdict: verdict, guestRunsOn: guestRunsOn) }

  /// Whether it runs and its source has not answered for long.
  var isOld: Bool { !isOver && sampleAgeSeconds >= Self.oldSampleSeconds }

  /// The deadline that comes first.
  var nearestDeadline: (name: String, at: Timestamp)? {
    [("completion", completion), ("progress", progress)]
      .compactMap { name, budget in budget?.deadlineAt.map { (name, $0) } }
      .min { $0.1 < $1.1 }
  }

  /// `converging`, or how it ended with the cause.
  var judgement: String {
    guard let ending else { return isVerdictKnown ? Words.plain(verdict) : "" }
    return ending.cause.map { "\(ending.outcome): \(Words.plain($0))" } ?? ending.outcome
  }

  /// Where the guest runs, if that is nothing good.
  var guestAlarm: String? {
    switch guestRunsOn {
    case "none": "the guest runs nowhere"
    case "both": "the guest runs on both ends"
    default: nil
    }
  }

  private var isVerdictKnown: Bool { verdict != VerdictKind.unknown.rawValue }
}
