internal import DroverCore

/// How soon somebody has to look at a migration; what is most urgent sorts first.
enum Urgency: Int, Comparable {
  /// The guest runs nowhere or twice, or cannot go on.
  case guestAtRisk
  case networkLost, stalled
  /// The source has not answered for long: nothing else that is shown can be relied on.
  case unheard
  case notConverging, slow
  /// Nothing is known to be wrong.
  case calm

  init(phase: Phase?, verdict: VerdictKind?, guest: GuestLocation?, sampleAge: Double, isOver: Bool) {
    guard phase != .postcopyPaused, guest?.isAlarming != true else {
      self = .guestAtRisk
      return
    }
    guard !isOver else {
      self = .calm
      return
    }
    self =
      switch verdict {
      case .networkLost: .networkLost
      case .stalled: .stalled
      case _ where sampleAge >= MigrationItem.oldSampleSeconds: .unheard
      case .notConverging: .notConverging
      case .slow: .slow
      default: .calm
      }
  }

  init(_ view: MigrationView, now: Moment) {
    self.init(
      phase: view.phase, verdict: view.verdict.kind, guest: view.guest,
      sampleAge: (now - view.sampledAt).inSeconds, isOver: view.isOver)
  }

  /// Whether it is bad, and not only worth a look.
  var isBad: Bool { self <= .unheard }

  static func < (a: Urgency, b: Urgency) -> Bool { a.rawValue < b.rawValue }
}

/// How a migration is coloured, on the page and on a terminal.
enum Tone: String {
  case plain = ""
  case good, warn, bad
}

extension MigrationItem {
  /// Age from which a sample of a running migration is shown as old, in seconds.
  public static let oldSampleSeconds = 10.0

  var urgency: Urgency {
    Urgency(
      phase: Phase(rawValue: phase), verdict: VerdictKind(rawValue: verdict),
      guest: GuestLocation(rawValue: guestRunsOn), sampleAge: sampleAgeSeconds, isOver: isOver)
  }

  var tone: Tone {
    if urgency.isBad { return .bad }
    switch ending?.outcome {
    case "succeeded": return .good
    case "failed": return .bad
    case .some: return .warn
    case nil: break
    }
    if urgency != .calm { return .warn }
    return verdict == VerdictKind.converging.rawValue ? .good : .plain
  }

  /// Whether it runs and its source has not answered for long.
  var isOld: Bool { !isOver && sampleAgeSeconds >= Self.oldSampleSeconds }

  /// What it does or how it ended, in one word or two: the verdict where there is one, else the phase.
  var state: String {
    if let ending { return ending.outcome }
    if isOld { return "no answer" }
    return Words.plain(verdict == VerdictKind.unknown.rawValue ? phase : verdict)
  }

  /// What somebody has to know of it, in one line; nil where all is well.
  var remark: String? {
    let alarm: String? =
      switch GuestLocation(rawValue: guestRunsOn) {
      case .some(.none): "the guest runs nowhere"
      case .both: "the guest runs on both ends"
      default: nil
      }
    let parts = [alarm, reason].compactMap(\.self)
    return parts.isEmpty ? nil : parts.joined(separator: "; ")
  }

  private var reason: String? {
    if let ending {
      let cause = ending.cause.map { "\(Words.plain($0)) (\(ending.certainty))" }
      let parts = [cause, ending.text.isEmpty ? nil : ending.text].compactMap(\.self)
      return parts.isEmpty ? nil : parts.joined(separator: ": ")
    }
    if phase == Phase.postcopyPaused.rawValue {
      return "post-copy is paused: the guest waits until the copy is recovered"
    }
    if isOld { return "no answer from the source for \(Words.duration(sampleAgeSeconds.rounded(.down)))" }
    return urgency == .calm || urgency == .guestAtRisk ? nil : evidence
  }

  /// The deadline that comes first.
  var nearestDeadline: (name: String, at: Timestamp)? {
    [("completion", completion), ("progress", progress)]
      .compactMap { name, budget in budget?.deadlineAt.map { (name, $0) } }
      .min { $0.1 < $1.1 }
  }

  /// Time since a point that lies before this was written, in whole seconds.
  func seconds(since moment: Timestamp) -> Double { max(0, asOf.seconds(since: moment)).rounded(.down) }

  /// `enforced by nobody`, where nobody does.
  static func enforcement(_ budget: Budget) -> String {
    "enforced by \(budget.enforcedBy == Enforcer.none.rawValue ? "nobody" : budget.enforcedBy)"
  }
}
