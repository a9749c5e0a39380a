public import DroverCore

/// The answer to `GET /api/v1/history`.
public struct HistoryList: Codable, Hashable, Sendable {
  /// Migrations, those that started latest first; the id of the last one is the `before` of the next page.
  public var items: [HistoryItem]
}

/// A migration as the journal keeps it; what is not known is absent, except for `namespace` and `host`, one of which is
/// null.
public struct HistoryItem: Codable, Hashable, Sendable {
  /// Identifies the migration for ever.
  public var id: String
  /// The back end's configured name.
  public var backend: String
  /// The VM's namespace, with KubeVirt.
  @OrNull public var namespace: String?
  /// The VM's host, with libvirt and QEMU.
  @OrNull public var host: String?
  /// The VM's name.
  public var vm: String
  /// The VM's own identity, such as its UUID.
  public var domain: String
  /// The name of the object that stood for it, with KubeVirt that of the VMIM.
  public var object: String?
  /// Node or host that the guest left; empty where it is not known.
  public var source: String
  /// Node or host that it went to; empty where it is not known.
  public var target: String
  /// The node that was asked for as target.
  public var requestedTarget: String?
  /// Who asked for it.
  public var origin: String
  /// The network that the guest's memory went over, where there is a choice.
  public var network: String?
  /// The policy that set its limits.
  public var migrationPolicy: String?

  /// When it was asked for; absent where that is not told.
  public var createdAt: Timestamp?
  /// When it started, or was first seen.
  public var startedAt: Timestamp
  /// When it was over, or when it was noticed to be; absent while it is open.
  public var endedAt: Timestamp?
  /// `succeeded`, `failed` or `aborted`; absent while it is open, and where nobody saw its end.
  public var outcome: String?
  /// Why it did not succeed.
  public var cause: String?
  /// Whether the source said so (`reported`), or it was `inferred`.
  public var certainty: String?
  /// The source's own words about its end.
  public var text: String?
  /// Where the guest was at the end: `source`, `target`, `both`, `none` or `unknown`.
  public var guestRunsOn: String

  /// How long it took.
  public var durationSeconds: Double?
  /// How long the guest stood still.
  public var downtimeSeconds: Double?
  /// Guest memory and copied disks together.
  public var sizeBytes: UInt64?
  /// The part of it that is guest memory.
  public var memoryBytes: UInt64?
  /// Bytes sent, repeats included; absent, as the two that follow, where nobody has seen its end: the journal knows its
  /// beginning.
  public var transferredBytes: UInt64?
  /// Fewest bytes that ever remained to be sent.
  public var bestRemainingBytes: UInt64?
  /// Passes over the memory.
  public var iterations: UInt64?
  /// Whether the guest ran at the target before all of its memory was there.
  public var usedPostcopy: Bool
  /// The budget for the whole migration.
  public var completion: Budget?
  /// The budget without a fall of the remaining bytes.
  public var progress: Budget?

  /// A time-out.
  public struct Budget: Codable, Hashable, Sendable {
    /// The time-out.
    public var timeoutSeconds: Double
    /// How much longer it may have been; absent where it is known exactly.
    public var uncertaintySeconds: Double?
    /// Who set it.
    public var setBy: String
    /// Who would have ended the migration.
    public var enforcedBy: String
    /// What would have happened; told for the completion budget only.
    public var action: String?
  }
}

extension HistoryItem {
  /// Shows a migration of the journal.
  public init(_ migration: PastMigration) {
    let facts = migration.facts
    func told(_ text: String) -> String? { text.isEmpty ? nil : text }
    func time(_ unixMilliseconds: Int64?) -> Timestamp? {
      unixMilliseconds.map { Timestamp(unixMilliseconds: $0) }
    }
    let ended = migration.outcome == nil ? nil : migration
    self.init(
      id: migration.id.description, backend: migration.vm.backend.rawValue,
      namespace: migration.vm.scope.namespace, host: migration.vm.scope.host, vm: migration.vm.name,
      domain: migration.domain, object: told(facts.object), source: facts.source, target: facts.target,
      requestedTarget: told(facts.requestedTarget), origin: facts.origin.rawValue,
      network: told(facts.network), migrationPolicy: told(facts.policy), createdAt: time(migration.createdAt),
      startedAt: Timestamp(unixMilliseconds: migration.startedAt), endedAt: time(migration.endedAt),
      outcome: migration.outcome?.rawValue, cause: migration.cause?.rawValue,
      certainty: migration.certainty?.rawValue, text: told(migration.text),
      guestRunsOn: (ended?.guest ?? .unknown).rawValue,
      durationSeconds: migration.duration?.inSeconds,
      downtimeSeconds: migration.downtime?.inSeconds, sizeBytes: facts.size?.count,
      memoryBytes: facts.memory?.count,
      transferredBytes: ended?.transferred?.count, bestRemainingBytes: ended?.bestRemaining?.count,
      iterations: ended?.iterations,
      usedPostcopy: migration.usedPostcopy,
      completion: migration.completion.map { budget in
        Budget(
          timeoutSeconds: budget.timeout.inSeconds,
          uncertaintySeconds: budget.uncertainty > .zero ? budget.uncertainty.inSeconds : nil,
          setBy: budget.setBy.rawValue, enforcedBy: budget.enforcedBy.rawValue, action: budget.action.rawValue
        )
      },
      progress: migration.progress.map { budget in
        Budget(
          timeoutSeconds: budget.timeout.inSeconds, setBy: budget.setBy.rawValue,
          enforcedBy: budget.enforcedBy.rawValue)
      })
  }
}
