/// What a decision is about: a migration, what asks for its end, and for an alert its name.
///
/// There is one record for each.
public struct AutomaticKey: Hashable, Sendable {
  /// The migration's id, as it is told; an alert may name one that there is not, or none.
  public var migration: String
  /// What asks.
  public var trigger: Trigger
  /// The alert's name; empty for a rule.
  public var alert = ""
  /// Whether it is an alert that is refused for its labels.
  ///
  /// That is another matter than one of the same name with the right ones: its rule may be mended, or two Prometheuses
  /// tell of it and only one of them rightly.
  var isMislabelled = false

  /// Names what is decided about.
  public init(_ migration: String, _ trigger: Trigger, alert: String = "") {
    self.migration = migration
    self.trigger = trigger
    self.alert = alert
  }
}

/// What is decided without a person, before it is recorded or carried out.
public struct AutomaticDecision: Hashable, Sendable {
  /// What it is about.
  public var key: AutomaticKey
  /// The same as an id; nil where it is none.
  public var migration: MigrationID?
  /// What is decided; `acted` is still to be carried out.
  public var kind: DecisionKind
  /// Whether it is decided only to show it.
  public var isShadow = false
  /// Why it is not done; nil where it is.
  public var refusal: Refusal?
  /// Who asks: `rule default`, `alert DroverMigrationStalled`.
  public var requester: String
  /// In words that follow "because".
  public var because: String
  /// What decided, besides how the migration is.
  public var facts: [Decision.Fact] = []
  /// The record that this continues; nil for a new one.
  public var record: DecisionID?
  /// The alert that asks; nil for a rule.
  public var asking: AlertWish?

  /// The decision in words.
  ///
  /// - Parameter unixMilliseconds: When it was made.
  public func text(at unixMilliseconds: Int64) -> String {
    switch kind {
    case .acted: "\(requester) ends it because \(because)"
    case .shadowed: "would have aborted at \(Self.clock(unixMilliseconds)) because \(because)"
    case .observed: "\(because); \(requester) only notes it"
    case .refused, .held:
      "\(isShadow ? "would not have aborted" : "not aborted"): \(refusal?.text ?? ""); "
        + "\(requester) asks for it because \(because)"
    }
  }

  /// `14:02:11 UTC`.
  static func clock(_ unixMilliseconds: Int64) -> String {
    let seconds = ((unixMilliseconds / 1000) % 86_400 + 86_400) % 86_400
    func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(two(seconds / 3600)):\(two(seconds / 60 % 60)):\(two(seconds % 60)) UTC"
  }
}

/// What comes of looking at everything once.
public enum AutomaticStep: Hashable, Sendable {
  /// Something was decided: to be recorded, or for `acted` to be carried out.
  case decision(AutomaticDecision)
  /// From now on automatic aborts wait; with what brought it about.
  case holdBegan(HoldReason, Trigger, String)
  /// They do not any more.
  case holdEnded(HoldReason, String)
}

/// What became of a decision that was to be carried out or recorded.
public enum AutomaticOutcome: Hashable, Sendable {
  /// It was recorded as what it is.
  case noted(DecisionID?)
  /// It was recorded as acted upon, and sent, or it is not known to what it came: never again.
  case acted(DecisionID?)
  /// It was not recorded and nothing was sent.
  case refused(Refusal)
  /// It was recorded as acted upon, and surely not sent: it may be tried again, under a record of its own.
  case unsent(Refusal)
}

/// The names of facts by which a decision is known again after a restart.
enum FactName {
  static let alert = "alert"
  static let alertVM = "alert_vm"
  static let hold = "hold"
  static let holdBegan = "hold_began"
  static let mode = "mode"
  static let rule = "rule"
}
