internal import DroverCore

/// How soon somebody has to look at a migration; what is most urgent sorts first.
enum Urgency: Int, Comparable {
  /// The guest runs nowhere or twice, or cannot go on.
  case guestAtRisk
  case networkLost, stalled
  /// The peer has been silent for so long that the keepalive ends the migration soon.
  case keepaliveShort
  /// The source has not answered for long: nothing else that is shown can be relied on.
  case unheard
  case notConverging, slow
  /// Nothing is known to be wrong.
  case calm

  init(
    phase: Phase?, verdict: VerdictKind?, guest: GuestLocation?, hasLostNetwork: Bool, isKeepaliveShort: Bool,
    isOld: Bool, isOver: Bool
  ) {
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
      case _ where hasLostNetwork: .networkLost
      case .networkLost: .networkLost
      case .stalled: .stalled
      case _ where isKeepaliveShort: .keepaliveShort
      case _ where isOld: .unheard
      case .notConverging: .notConverging
      case .slow: .slow
      default: .calm
      }
  }

  init(_ view: MigrationView, now: Moment) {
    let keepalive = view.keepalive.map { budget in
      KeepaliveSilence(
        used: budget.used(at: now).inSeconds, timeout: budget.timeout.inSeconds,
        interval: view.network?.settings.interval.inSeconds ?? 0, uncertainty: budget.uncertainty.inSeconds,
        unseen: budget.method == .inferred ? max(0, (now - view.sampledAt).inSeconds) : 0)
    }
    self.init(
      phase: view.phase, verdict: view.verdict.kind, guest: view.guest,
      hasLostNetwork: !view.networkLosses.isEmpty, isKeepaliveShort: keepalive?.isAlarming ?? false,
      isOld: view.countersReadAt.map { now - $0 >= view.sampleAgeLimit } ?? false, isOver: view.isOver)
  }

  /// Whether it is bad, and not only worth a look.
  var isBad: Bool { self <= .unheard }

  static func < (a: Urgency, b: Urgency) -> Bool { a.rawValue < b.rawValue }
}

/// How long the peer of a control connection has been silent, in seconds.
struct KeepaliveSilence {
  var used: Double
  var timeout: Double
  var interval: Double
  var uncertainty: Double
  /// Since when nobody has looked at the bytes that it is inferred from: nothing is known of that time.
  var unseen: Double

  /// Whether a question has certainly gone unanswered, and little time is left.
  ///
  /// A healthy keepalive is never further from its end than its time-out is long, and is asked once an interval; the
  /// answer takes a moment, and to be seen half a second.
  var isAlarming: Bool { timeout - used < 20 && used - uncertainty - unseen > interval + 1 }
}

/// How a migration is coloured, on the page and on a terminal.
enum Tone: String {
  case plain = ""
  case good, warn, bad
}

extension MigrationItem {
  var urgency: Urgency {
    Urgency(
      phase: Phase(rawValue: phase), verdict: VerdictKind(rawValue: verdict),
      guest: GuestLocation(rawValue: guestRunsOn), hasLostNetwork: !networkLost.isEmpty,
      isKeepaliveShort: keepaliveSilence?.isAlarming ?? false, isOld: isOld, isOver: isOver)
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

  /// Whether it runs and its counters are old: its source has not answered for long.
  var isOld: Bool {
    guard !isOver, let sampleAgeSeconds, let sampleAgeLimitSeconds else { return false }
    return sampleAgeSeconds >= sampleAgeLimitSeconds
  }

  /// When it started; when it was asked for while it has not.
  var beganAt: Timestamp { startedAt ?? createdAt ?? phaseEnteredAt }

  /// What it does or how it ended, in one word or two: the verdict where there is one, else the phase.
  var state: String {
    if let ending { return ending.outcome }
    // The kernel tells it, whether or not the source answers.
    if isOld, verdict != VerdictKind.networkLost.rawValue {
      return namespace == nil ? "no answer" : "no counters"
    }
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
    if let pending, pending.position == nil { return Words.wait(pending) }
    if phase == Phase.postcopyPaused.rawValue {
      return "post-copy is paused: the guest waits until the copy is recovered"
    }
    let parts = [networkTrouble, isOld ? noAnswer : nil].compactMap(\.self)
    guard parts.isEmpty else { return parts.joined(separator: "; ") }
    return urgency == .calm || urgency == .guestAtRisk ? nil : evidence
  }

  private var noAnswer: String {
    (namespace == nil ? "no answer from the source for " : "no new counters for ")
      + Words.duration((sampleAgeSeconds ?? 0).rounded(.down))
  }

  /// What is wrong with the network, or seems to be.
  private var networkTrouble: String? {
    switch urgency {
    case .networkLost where verdict == VerdictKind.networkLost.rawValue: return evidence
    case .networkLost:
      let names = networkLost.map(Words.network).joined(separator: " and ")
      return "\(names) \(networkLost.count == 1 ? "is" : "are") lost"
    case .keepaliveShort:
      guard let keepalive, let silence = keepaliveSilence else { return nil }
      let left = silence.timeout - silence.used
      let end =
        Phase(rawValue: phase)?.isPostcopy == true
        ? "libvirt closes the control connection in \(Words.duration(max(0, left).rounded(.down)))"
        : Words.givesUp(in: left)
      let length = Words.duration((silence.used - silence.uncertainty).rounded(.down))
      return keepalive.method == KeepaliveMethod.measured.rawValue
        ? "control connection: nothing received for \(length); \(end)"
        : "no bytes sent for \(length); if the control connection is silent, too, \(end)"
    default: return nil
    }
  }

  /// For how long the peer has been silent; nil where that is not known.
  var keepaliveSilence: KeepaliveSilence? {
    guard let keepalive, let used = keepalive.usedSeconds, let timeout = keepalive.timeoutSeconds,
      let interval = keepalive.intervalSeconds
    else { return nil }
    return KeepaliveSilence(
      used: used, timeout: timeout, interval: interval, uncertainty: keepalive.uncertaintySeconds ?? 0,
      unseen: keepalive.method == KeepaliveMethod.inferred.rawValue ? sampleAgeSeconds ?? 0 : 0)
  }

  /// Whether the keepalive's deadline is worth as much attention as the others: a healthy one has half a minute left all
  /// the time, and begins anew with every answer.
  var isKeepalivePressing: Bool {
    let isMeasured = keepalive?.method == KeepaliveMethod.measured.rawValue
    return isMeasured && networkLost.contains(LostNetwork.management.rawValue)
      || keepaliveSilence?.isAlarming ?? false
  }

  /// The deadline that comes first.
  var nearestDeadline: (name: String, at: Timestamp)? {
    [
      ("completion", completion?.deadlineAt), ("progress", progress?.deadlineAt),
      ("keepalive", isKeepalivePressing ? keepalive?.deadlineAt : nil),
    ]
    .compactMap { name, deadline in deadline.map { (name, $0) } }
    .min { $0.1 < $1.1 }
  }

  /// Time since a point that lies before this was written, in whole seconds.
  func seconds(since moment: Timestamp) -> Double { max(0, asOf.seconds(since: moment)).rounded(.down) }

  /// Who ends it at a deadline, and how: `enforced by nobody`, where nobody does.
  static func enforcement(_ budget: Budget) -> String {
    let enforcer: String =
      switch Enforcer(rawValue: budget.enforcedBy) {
      case .some(.none): "nobody"
      case .kubevirt: "KubeVirt"
      case .drover: "Drover"
      case nil: budget.enforcedBy
      }
    let action: String =
      switch budget.action.flatMap(DeadlineAction.init) {
      case .abort: ", which aborts it"
      case .postcopy: ", which goes over to post-copy"
      case .pause: ", which pauses the guest"
      case .some(.none), nil: ""
      }
    return "enforced by \(enforcer)\(action)"
  }
}
