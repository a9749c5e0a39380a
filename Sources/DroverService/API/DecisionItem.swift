public import DroverCore

/// The answer to `GET /api/v1/decisions`.
public struct DecisionList: Codable, Hashable, Sendable {
  /// Decisions, the latest first; the id of the last one is the `before` of the next page.
  public var items: [DecisionItem]
}

/// A decision as the journal keeps it; what is not known, or not meant, is absent, except for `namespace` and `host`, at
/// least one of which is null.
public struct DecisionItem: Codable, Hashable, Sendable {
  /// Its number; later decisions have larger ones.
  public var id: Int64
  /// When it was made.
  public var madeAt: Timestamp
  /// What it is about: `abort`, `migrate`, `stop_evacuation`, `drain`, `cordon`, `uncordon`, `reset_hold`.
  public var action: String
  /// Who or what asked: `person`, `alert`, or what was looked out for.
  public var trigger: String
  /// What was decided: `acted`, `shadowed`, `observed`, `refused`, `held`.
  public var kind: String
  /// The migration.
  public var migration: String?
  /// The back end's configured name.
  public var backend: String?
  /// The VM's namespace, with KubeVirt.
  @OrNull public var namespace: String?
  /// The VM's host, with libvirt and QEMU.
  @OrNull public var host: String?
  /// The VM's name.
  public var vm: String?
  /// The node or host.
  public var node: String?
  /// Who asked, as far as is known.
  public var requester: String
  /// Why it is not done.
  public var refusal: String?
  /// The decision in words.
  public var text: String
  /// The facts that decided.
  public var evidence: [Fact]
  /// What became of it: `aborted`, `ended_otherwise`, `error`, `done`; absent while that is not known.
  public var result: String?
  /// When that was known.
  public var resultAt: Timestamp?
  /// What became of it, in words.
  public var resultText: String?
  /// How the migration ended, whatever was decided: `succeeded`, `failed`, `aborted`; absent while it has not, or where that
  /// is not known.
  public var migrationOutcome: String?
  /// Why it did not succeed.
  public var migrationCause: String?
  /// When it ended.
  public var migrationEndedAt: Timestamp?

  /// One fact that decided.
  public struct Fact: Codable, Hashable, Sendable {
    /// What it is.
    public var name: String
    /// How it was.
    public var value: String
  }
}

extension DecisionItem {
  /// Shows a decision of the journal.
  ///
  /// - Parameter migration: The migration as the journal has it; nil where it has none.
  public init(_ decision: Decision, migration: PastMigration? = nil) {
    func told(_ text: String) -> String? { text.isEmpty ? nil : text }
    self.init(
      id: decision.id?.rawValue ?? 0, madeAt: Timestamp(unixMilliseconds: decision.madeAt),
      action: decision.action.rawValue, trigger: decision.trigger.rawValue, kind: decision.kind.rawValue,
      migration: decision.migration?.description, backend: decision.vm?.backend.rawValue,
      namespace: decision.vm?.scope.namespace, host: decision.vm?.scope.host, vm: decision.vm?.name,
      node: told(decision.node), requester: decision.requester, refusal: decision.refusal?.rawValue,
      text: decision.text, evidence: decision.evidence.map { Fact(name: $0.name, value: $0.value) },
      result: decision.result?.rawValue,
      resultAt: decision.resultAt.map { Timestamp(unixMilliseconds: $0) },
      resultText: told(decision.resultText), migrationOutcome: migration?.outcome?.rawValue,
      migrationCause: migration?.cause?.rawValue,
      migrationEndedAt: migration?.endedAt.map { Timestamp(unixMilliseconds: $0) })
  }
}
