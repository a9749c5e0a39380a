/// A back end whose migrations can be started and ended.
///
/// Only the control module calls these: it guards, records and follows. None of them waits without an end; each throws
/// `.timeout` after its own deadline.
public protocol ControllableBackend: EligibilitySource, NodeControl {
  /// Reads a migration at its source, at this moment.
  func live(_ migration: MigrationTarget) async throws(ControlError) -> LiveMigration

  /// Ends a migration that is still the one meant; returns when that is asked for, not when it is over.
  func abort(_ migration: MigrationTarget) async throws(ControlError)

  /// Finds out what speaks against a migration, and what would be sent to start it.
  func plan(_ order: StartOrder) async throws(ControlError) -> StartPlan

  /// Starts a migration; returns when it is asked for, not when it is over.
  func start(_ order: StartOrder) async throws(ControlError) -> StartReceipt

  /// Ends what would begin a migration again once it was ended.
  func endCause(_ cause: ComesBack, of migration: MigrationTarget) async throws(ControlError)

  /// Leaves a note where people look at the VM, within a few seconds; nothing depends on it.
  func tell(_ note: ControlNote, of vm: VMRef) async
}

/// The migration that is meant, as it was last seen.
public struct MigrationTarget: Hashable, Sendable {
  /// Which one.
  public var id: MigrationID
  /// What its back end calls it.
  public var sourceID: MigrationID
  /// The VM that it moves.
  public var vm: VMRef
  /// The VM's own identity.
  public var domain: DomainKey
  /// The VMIM's name; empty where there is none.
  public var object: String

  /// Names a migration.
  ///
  /// - Parameter sourceID: Its back end's name for it; nil where that is the same.
  public init(
    id: MigrationID, sourceID: MigrationID? = nil, vm: VMRef, domain: DomainKey, object: String = ""
  ) {
    self.id = id
    self.sourceID = sourceID ?? id
    self.vm = vm
    self.domain = domain
    self.object = object
  }
}

/// How a migration is at its source.
public struct LiveMigration: Hashable, Sendable {
  /// How far it is.
  public enum State: Hashable, Sendable {
    /// It is under way.
    case running(Phase)
    /// It is over.
    case finished(Outcome)
    /// It is not there any more.
    case gone
    /// The VM has another one.
    case replaced(MigrationID?)
    /// It is in a state that this Drover does not know.
    case unclear
  }

  /// How far it is.
  public var state: State
  /// The source's own word for it.
  public var word: String
  /// Who begins it again once it was ended; nil for nobody.
  public var comesBack: ComesBack?
  /// Whether somebody has asked for its end already, whatever phase it shows meanwhile.
  public var isEnding: Bool
  /// What an abort does at this moment.
  public var consequence: String

  /// Describes a migration.
  public init(
    _ state: State, word: String, comesBack: ComesBack? = nil, isEnding: Bool = false,
    consequence: String = ""
  ) {
    self.state = state
    self.word = word
    self.comesBack = comesBack
    self.isEnding = isEnding
    self.consequence = consequence
  }
}

/// Why a migration that was ended begins again.
public enum ComesBack: Hashable, Sendable {
  /// Its node carries the taint of a drain.
  case drainTaint(node: String)
  /// A Harvester upgrade drains its node.
  case harvesterUpgrade(node: String)
  /// Harvester's maintenance mode empties its node, and evicts again.
  case harvesterMaintenance(node: String)
  /// Its VM was evicted from its node.
  case evacuation(node: String)
  /// KubeVirt brings its VM up to date.
  case workloadUpdate
  /// The descheduler wants it elsewhere.
  case descheduler
}

/// A migration that somebody wishes for.
public struct StartOrder: Hashable, Sendable {
  /// The VM.
  public var vm: VMRef
  /// Where to; nil for anywhere.
  public var node: String?
  /// What tells it from every other wish, for whoever looks for what became of it; empty where it is not recorded.
  public var mark = ""

  /// Wishes for a migration.
  public init(vm: VMRef, node: String? = nil) {
    self.vm = vm
    self.node = node
  }
}

/// What would happen if a migration were started.
public struct StartPlan: Hashable, Sendable {
  /// What speaks against it; empty where it can be sent.
  public var refusals: [Refusal]
  /// What is worth knowing although it does not prevent it.
  public var warnings: [String]
  /// What would be sent, as its receiver would get it.
  public var request: String
  /// The VM's node or host now; empty where that is not known.
  public var source: String

  /// Makes a plan.
  public init(refusals: [Refusal] = [], warnings: [String] = [], request: String = "", source: String = "") {
    self.refusals = refusals
    self.warnings = warnings
    self.request = request
    self.source = source
  }
}

/// What was started.
public struct StartReceipt: Hashable, Sendable {
  /// The migration; nil where it has no identity before it is seen.
  public var migration: MigrationID?
  /// The VMIM's name; empty where there is none.
  public var object: String
  /// What is worth knowing.
  public var warnings: [String]

  /// Makes a receipt.
  public init(migration: MigrationID? = nil, object: String = "", warnings: [String] = []) {
    self.migration = migration
    self.object = object
    self.warnings = warnings
  }
}

/// Why something could not be read or done.
public struct ControlError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The short form.
  public enum Kind: String, CaseIterable, Sendable {
    /// The back end does not answer.
    case unreachable
    /// It did not answer in time; it may have been done all the same.
    case timeout
    /// A right is missing.
    case denied
    /// What is meant is not there.
    case gone
    /// What is there is not what is meant.
    case replaced
    /// The system refuses it.
    case refused
    /// The back end cannot do it.
    case unsupported
    case other
  }

  /// The short form.
  public var kind: Kind
  /// What failed.
  public var call: String
  /// Why.
  public var cause: String
  /// What to do.
  public var remedy: String
  /// Whether what was asked for may have been done all the same: then only the migration itself tells.
  public var mayBeDone: Bool

  /// Makes an error; after a time-out it may have been done.
  public init(_ kind: Kind, call: String, cause: String, remedy: String, mayBeDone: Bool? = nil) {
    self.kind = kind
    self.call = call
    self.cause = cause
    self.remedy = remedy
    self.mayBeDone = mayBeDone ?? (kind == .timeout)
  }

  /// All in one sentence.
  public var description: String { "\(call): \(cause); \(remedy)" }
}

extension ControllableBackend {
  /// Nothing begins a migration again here.
  public func endCause(_ cause: ComesBack, of migration: MigrationTarget) async throws(ControlError) {
    throw ControlError(
      .unsupported, call: "ending what began migration \(migration.id)",
      cause: "nobody begins a migration again here", remedy: "end the migration alone")
  }
}
