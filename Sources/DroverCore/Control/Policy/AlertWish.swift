/// One alert as its sender tells it; nothing of it is believed.
public struct AlertWish: Hashable, Sendable {
  /// The label by which an alert says that it asks for an abort, and what it must be.
  public static let optIn = (label: "drover_action", value: "abort")

  /// Its labels.
  public var labels: [String: String]
  /// Whether it fires; one that is over asks for nothing.
  public var isFiring: Bool
  /// When it began to fire, in Unix milliseconds; nil where that is not told.
  public var startedAt: Int64?
  /// What its sender tells it by.
  public var fingerprint: String

  /// Describes an alert.
  public init(labels: [String: String], isFiring: Bool, startedAt: Int64? = nil, fingerprint: String = "") {
    self.labels = labels
    self.isFiring = isFiring
    self.startedAt = startedAt
    self.fingerprint = fingerprint
  }

  /// Its name; empty where it has none.
  public var name: String { labels["alertname"] ?? "" }

  /// The migration that it names; empty where it names none.
  public var migration: String { labels["migration"] ?? "" }

  var key: AutomaticKey {
    // What is no id is not kept: it may be of any length.
    AutomaticKey(MigrationID(migration)?.description ?? "", .alert, alert: String(name.prefix(200)))
  }

  /// What its end makes void: alerts of one name may fire for one migration with other labels of their own.
  var resolutionKey: ResolutionKey { ResolutionKey(about: key, fingerprint: String(fingerprint.prefix(64))) }
}

/// What Alertmanager takes for one alert.
struct ResolutionKey: Hashable, Sendable {
  let about: AutomaticKey
  let fingerprint: String
}

/// What comes of an alert.
public enum AlertAnswer: Hashable, Sendable {
  /// It asks for nothing, and why that is thought.
  case ignored(String)
  /// Something is decided: to be recorded, or for `acted` to be carried out.
  case decision(AutomaticDecision)
  /// It was decided before, as this, in this record.
  case known(DecisionKind, Refusal?, DecisionID?)
  /// The same is being decided at this moment.
  case underWay
  /// It is about a back end that another Drover watches, and asks nothing of this one.
  case foreign(String)
}

extension AutomaticAborts {
  /// Decides about an alert; its labels have to be those of a migration that is known, and runs.
  public mutating func ask(_ alert: AlertWish, _ snapshot: FleetSnapshot, at now: Moment) -> AlertAnswer {
    // One webhook may be told to many Drovers.
    if let backend = alert.labels["backend"],
      !snapshot.backends.contains(where: { $0.descriptor.name.rawValue == backend })
    {
      return .foreign("this Drover watches no back end \(String(backend.prefix(100)))")
    }
    let id = MigrationID(alert.migration)
    let view = snapshot.migrations.first { $0.identity.id == id }
    let obstacle = screen(alert, view, snapshot)
    if !alert.isFiring {
      // Before anything is decided nothing is swept either.
      if let began = alert.startedAt, obstacle?.reason.isAboutLabels != true,
        isRestored || resolved.count < Self.mostStandings
      {
        resolved[alert.resolutionKey] = max(resolved[alert.resolutionKey] ?? began, began)
      }
      return .ignored("it does not fire any more")
    }
    if isResolved(alert) {
      return .ignored("it was resolved before this came")
    }
    guard isRestored else { return .ignored("") }
    let key = key(of: alert, obstacle)
    if let standing = standings[key] {
      if standing.isUnderWay { return .underWay }
      // A host that has just answered may show a migration only once each of its guests was looked at.
      let isFinal =
        standing.kind == .acted
        || standing.kind == .refused && standing.configuration == configuration
          && standing.refusal?.reason != .unknown
      if isFinal { return .known(standing.kind, standing.refusal, standing.record) }
    }
    var decision = AutomaticDecision(
      key: key, migration: id, kind: .refused,
      requester: "alert \(key.alert.isEmpty ? "without a name" : key.alert)", because: "the alert fires",
      facts: [.init(FactName.alert, key.alert), .init("fingerprint", String(alert.fingerprint.prefix(64)))],
      asking: alert)
    if let vm = alert.labels["vm"] { decision.facts.append(.init(FactName.alertVM, String(vm.prefix(253)))) }
    if let obstacle {
      decision.refusal = obstacle
      return concludeWithoutView(&decision)
    }
    guard let view, let action = settings.alerts else {
      decision.refusal = Refusal(.disabled, "the switch alerts is disabled")
      return concludeWithoutView(&decision)
    }
    if AutomaticGate.refusal(of: view, settings.limits, at: now) == nil, !isStillSo(alert, view, at: now) {
      decision.refusal = Refusal(
        .changed, "what the alert says does not hold now: it is \(view.verdict.kind.rawValue)")
      return concludeWithoutView(&decision)
    }
    // Each repeat is looked at anew.
    standings[key]?.lookAgainAt = nil
    if conclude(&decision, action, view, at: now) { return .decision(decision) }
    let standing = standings[key]
    return .known(standing?.kind ?? .held, standing?.refusal, standing?.record)
  }

  /// What an alert is about, and which record.
  private func key(of alert: AlertWish, _ obstacle: Refusal?) -> AutomaticKey {
    var mislabelled = alert.key
    mislabelled.isMislabelled = true
    switch obstacle?.reason {
    case let reason? where reason.isAboutLabels: return mislabelled
    // Once its migration is not shown any more there is nothing to compare its labels with.
    case .unknown:
      return standings[alert.key] == nil && standings[mislabelled] != nil ? mislabelled : alert.key
    default: return alert.key
    }
  }

  /// Why an alert that is about to end a migration must not any more.
  func recheck(_ alert: AlertWish?, _ view: MigrationView, at now: Moment) -> Refusal? {
    guard settings.alerts == .abort else {
      return Refusal(.disabled, "meanwhile the switch alerts ends nothing any more")
    }
    guard let alert, settings.alertNames.contains(alert.name) else {
      return Refusal(.notListed, "meanwhile the alert is none that may ask any more")
    }
    if isResolved(alert) { return Refusal(.changed, "meanwhile the alert was resolved") }
    return isStillSo(alert, view, at: now)
      ? nil
      : Refusal(.changed, "meanwhile what the alert says does not hold: it is \(view.verdict.kind.rawValue)")
  }

  private func isResolved(_ alert: AlertWish) -> Bool {
    guard let over = resolved[alert.resolutionKey] else { return false }
    return alert.startedAt.map { $0 <= over } ?? true
  }

  private mutating func concludeWithoutView(_ decision: inout AutomaticDecision) -> AlertAnswer {
    let isPassing = decision.refusal?.reason.isPassing ?? false
    decision.kind = isPassing ? .held : .refused
    let standing = standings[decision.key]
    // It was shown what it would have come to, and nothing was asked for since.
    if let standing, standing.kind == .shadowed, settings.alerts != .abort {
      return .known(.shadowed, nil, standing.record)
    }
    decision.record = standing?.continuedRecord
    if let standing, standing.refusal?.reason == decision.refusal?.reason {
      standings[decision.key]?.configuration = configuration
      return .known(standing.kind, standing.refusal, standing.record)
    }
    standings[decision.key] = Standing(
      kind: decision.kind, refusal: decision.refusal, record: decision.record, isUnderWay: true,
      configuration: configuration)
    return .decision(decision)
  }

  /// Why an alert may not ask; nil where it may.
  private func screen(_ alert: AlertWish, _ view: MigrationView?, _ snapshot: FleetSnapshot) -> Refusal? {
    guard settings.alertNames.contains(alert.name) else {
      return Refusal(.notListed, "no alert of this name may ask: control.alerts.names lists those that may")
    }
    guard alert.labels[AlertWish.optIn.label] == AlertWish.optIn.value else {
      return Refusal(
        .notOptedIn,
        "it has not the label \(AlertWish.optIn.label)=\"\(AlertWish.optIn.value)\", so it asks for nothing")
    }
    guard MigrationID(alert.migration) != nil else {
      return Refusal(.unknown, "it names no migration: it needs the label migration, with the id of one")
    }
    guard let backend = alert.labels["backend"] else {
      return Refusal(.mismatch, "it names no back end: it needs the label backend, with the name of one")
    }
    guard let view else {
      let isUp = snapshot.backends.contains {
        $0.descriptor.name.rawValue == backend && $0.hasAttempted && $0.isUp
      }
      return isUp
        ? Refusal(.unknown, "no migration is called \(alert.migration)")
        : Refusal(
          .unreadable, "its back end does not answer now: whether there is such a migration is not known")
    }
    let label: String
    switch view.identity.vm.scope {
    case .namespace: label = settings.namespaceLabel
    case .host: label = "host"
    }
    guard backend == view.identity.vm.backend.rawValue,
      alert.labels[label] == view.identity.vm.scope.name
    else {
      return Refusal(
        .mismatch,
        "its labels backend and \(label) are not those of the migration that it names; where Prometheus renames "
          + "them, say so in control.alerts.namespaceLabel")
    }
    return nil
  }

  /// Whether what an alert tells by its label `verdict`, or by being one of Drover's own, holds at this moment: it may have
  /// been long on its way.
  private func isStillSo(_ alert: AlertWish, _ view: MigrationView, at now: Moment) -> Bool {
    let kind = view.verdict.kind
    if let verdict = alert.labels["verdict"], verdict != kind.rawValue { return false }
    return switch alert.name {
    case "DroverMigrationNotConverging": kind == .notConverging
    case "DroverMigrationStalled":
      kind == .stalled || kind == .networkLost || PolicyCondition.of(.progressTimeout, view, at: now) != nil
    default: true
    }
  }
}

extension RefusalReason {
  /// Whether an alert with other labels may be answered otherwise.
  var isAboutLabels: Bool { self == .notOptedIn || self == .mismatch }
}
