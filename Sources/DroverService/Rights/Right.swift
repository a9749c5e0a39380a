/// What somebody may be allowed to do.
///
/// In a cluster these are the verbs on `migrations.drover.io`.
public enum Right: String, CaseIterable, Comparable, Sendable {
  /// Read, where reading asks for a user.
  case read
  /// End a migration.
  case abort
  /// Begin a migration.
  case migrate
  /// Empty a node, or end that.
  case drain
  /// Tell of alerts.
  case alerts

  /// In the order of their declaration.
  public static func < (a: Right, b: Right) -> Bool {
    (allCases.firstIndex(of: a) ?? 0) < (allCases.firstIndex(of: b) ?? 0)
  }
}

/// What arms one kind of acting; all are disabled by default.
public enum ControlSwitch: String, CaseIterable, Sendable {
  /// What people ask for, one migration or VM at a time.
  case manual
  /// Emptying nodes.
  case drain
  /// What the rules of `control.rules` end.
  case policies
  /// What alerts ask for.
  case alerts

  /// Whether it can be set to decide and not to act.
  public var hasShadow: Bool { self == .policies || self == .alerts }
}

/// Whether a switch is armed.
public enum SwitchState: String, CaseIterable, Sendable {
  case disabled
  /// Everything is decided and recorded, and nothing done.
  case shadow
  case enabled
}

/// Rights, and who has them.
public struct AccessRule: Hashable, Sendable {
  /// Who.
  public enum Subject: Hashable, Sendable {
    /// A user of this machine, on the control socket.
    case uid(UInt32)
    /// Whoever shows the token that is in a file.
    case tokenFile(String)
    /// A user of `web.yml`.
    case user(String)
    /// Whoever shows a verified certificate with this common name or alternative name.
    case certificate(String)
    /// Whoever shows a token of which the API server of a cluster says whose it is, and that they may.
    case kubernetes(ClusterAuthority)
  }

  /// Who.
  public var subject: Subject
  /// What they may.
  public var rights: Set<Right>

  /// Makes a rule.
  public init(_ subject: Subject, _ rights: Set<Right>) {
    self.subject = subject
    self.rights = rights
  }
}
