/// The number of a decision in the journal.
public struct DecisionID: RawRepresentable, Hashable, Comparable, Sendable {
  /// Counts up; never given twice in one journal.
  public let rawValue: Int64

  /// Takes a number as it is.
  public init(rawValue: Int64) { self.rawValue = rawValue }

  /// The earlier one first.
  public static func < (a: DecisionID, b: DecisionID) -> Bool { a.rawValue < b.rawValue }
}

/// What was decided about a migration, a VM or a node, upon which evidence, and what became of it.
///
/// Times are Unix milliseconds, since a decision outlives the clock of the process that made it.
public struct Decision: Hashable, Sendable {
  /// Its number; nil until it is recorded.
  public var id: DecisionID?
  /// When it was made.
  public var madeAt: Int64
  /// What it is about.
  public var action: ControlAction
  /// Who or what asked.
  public var trigger: Trigger
  /// What was decided.
  public var kind: DecisionKind
  /// The migration; nil where there is none, or none yet.
  public var migration: MigrationID?
  /// The VM; nil where it is about a node.
  public var vm: VMRef?
  /// The node or host; empty where it is about none.
  public var node = ""
  /// Who asked, as far as is known: a uid, a token's name, an alert's name.
  public var requester: String
  /// Why it is not done; nil where it is.
  public var refusal: RefusalReason?
  /// The decision in words.
  public var text: String
  /// The facts that decided, as names and values.
  public var evidence: [Fact] = []
  /// What became of it; nil while that is not known.
  public var result: DecisionResult?
  /// When that was known.
  public var resultAt: Int64?
  /// What became of it, in words.
  public var resultText = ""

  /// One fact that decided.
  public struct Fact: Hashable, Sendable {
    /// What it is: `phase`, `remaining_bytes`.
    public var name: String
    /// How it was.
    public var value: String

    /// Makes a fact.
    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  /// Makes a decision that is not recorded yet.
  public init(
    madeAt: Int64, action: ControlAction, trigger: Trigger, kind: DecisionKind, migration: MigrationID? = nil,
    vm: VMRef? = nil, requester: String, refusal: RefusalReason? = nil, text: String
  ) {
    self.madeAt = madeAt
    self.action = action
    self.trigger = trigger
    self.kind = kind
    self.migration = migration
    self.vm = vm
    self.requester = requester
    self.refusal = refusal
    self.text = text
  }
}

/// Where decisions are kept so that neither a crash nor a restart forgets or repeats one.
public protocol DecisionJournal: Sendable {
  /// Stores a decision; it is on the disk when this returns.
  func record(_ decision: Decision) async throws(JournalError) -> DecisionID
  /// Adds what became of a decision.
  func finish(_ id: DecisionID, _ result: DecisionResult, text: String, at unixMilliseconds: Int64)
    async throws(JournalError)
  /// Puts a decision in the place of an earlier one about the same, which was not acted upon.
  ///
  /// - Returns: Its number: a new one where there is none such any more, or it was acted upon; then that one stays.
  func revise(_ id: DecisionID, _ decision: Decision) async throws(JournalError) -> DecisionID
  /// Adds which migration a decision began.
  func name(_ id: DecisionID, _ migration: MigrationID) async throws(JournalError)
  /// Why nothing can be recorded, as far as is known without trying; nil where it can.
  var trouble: JournalError? { get }
}

extension DecisionJournal {
  /// A journal that only adds.
  public func revise(_ id: DecisionID, _ decision: Decision) async throws(JournalError) -> DecisionID {
    try await record(decision)
  }
  /// Not kept.
  public func name(_ id: DecisionID, _ migration: MigrationID) async throws(JournalError) {}
  /// Nothing is known.
  public var trouble: JournalError? { nil }
}

/// Where what was decided without a person can be read again, so that no restart forgets it.
public protocol AutomaticJournal: DecisionJournal {
  /// Decisions about aborts that no person asked for, and ends of holds, the earliest first.
  ///
  /// All since a time in Unix milliseconds, and all about migrations whose end is not recorded.
  func automaticDecisions(since unixMilliseconds: Int64) async throws(JournalError) -> [Decision]
}

/// Why the journal cannot be used.
public struct JournalError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The short form.
  public enum Kind: String, CaseIterable, Sendable {
    /// There is none: its directory cannot be made, or none was given.
    case absent
    /// Its file system takes nothing more.
    case full
    /// It cannot be written.
    case readOnly = "read_only"
    /// A newer Drover made it.
    case newer
    /// It is no journal, or a damaged one.
    case damaged
    /// Another process writes it.
    case busy
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

  /// Makes an error.
  public init(_ kind: Kind, call: String, cause: String, remedy: String) {
    self.kind = kind
    self.call = call
    self.cause = cause
    self.remedy = remedy
  }

  /// All in one sentence.
  public var description: String { "\(call): \(cause); \(remedy)" }
}
