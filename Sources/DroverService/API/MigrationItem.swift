internal import DroverCore

/// A migration as `/api/v1/migrations` shows it.
///
/// Times are RFC 3339 in UTC, durations numbers of seconds, sizes whole bytes. What is not known is absent, except for
/// `namespace` and `host`, one of which is null.
public struct MigrationItem: Codable, Hashable, Sendable {
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
  /// The name of the object that stands for it, with KubeVirt that of the VMIM.
  public var object: String?
  /// The phase now.
  public var phase: String
  /// Whether it will end by itself.
  public var verdict: String
  /// What the verdict rests on, in words and numbers.
  public var evidence: String
  /// Node or host that the guest leaves; empty where it is not known.
  public var source: String
  /// Node or host that it goes to; empty where it is not known.
  public var target: String
  /// The node that was asked for as target.
  public var requestedTarget: String?
  /// Who asked for it.
  public var origin: String
  /// The network that the guest's memory goes over, where there is a choice.
  public var network: String?
  /// The policy that set its limits.
  public var migrationPolicy: String?
  /// Labels of the VM that the configuration names, with KubeVirt; left out where it names none.
  @LeftOutIfNone public var labels: [String: String]
  /// Those of them that the VM has not; left out where there are none.
  @LeftOutIfEmpty public var absentLabels: [String]
  /// The word that the product above the source shows for its state, such as Harvester's `Pending migration`.
  public var productStatus: String?
  /// Why it has not started yet; absent where it does not wait.
  public var pending: Pending?
  /// Where the guest runs: `source`, `target`, `both`, `none` or `unknown`.
  public var guestRunsOn: String

  /// When this was written, by the clock that all other times are of.
  public var asOf: Timestamp
  /// When it was asked for; absent where that is not told.
  public var createdAt: Timestamp?
  /// When it started; absent while it has not.
  public var startedAt: Timestamp?
  /// Since when it is watched, where it had begun before; absent where it was watched from its beginning.
  ///
  /// Its clocks, its interruptions and its smallest remaining know nothing of the time before.
  public var watchedSince: Timestamp?
  /// When the phase was entered.
  public var phaseEnteredAt: Timestamp
  /// When its counters were read; absent while none are told.
  public var sampledAt: Timestamp?
  /// How long ago that was, in seconds.
  public var sampleAgeSeconds: Double?
  /// Age from which they say nothing any more; absent with them.
  public var sampleAgeLimitSeconds: Double?
  /// When the present trend ends it.
  public var expectedEndAt: Timestamp?

  /// Part that needs no more sending, 0 to 1.
  public var progressRatio: Double?
  /// Guest memory and copied disks together.
  public var sizeBytes: UInt64?
  /// Bytes still to be sent.
  public var remainingBytes: UInt64?
  /// Fewest remaining bytes seen so far.
  public var bestRemainingBytes: UInt64?
  /// Bytes sent so far, repeats included.
  public var transferredBytes: UInt64?
  /// Throughput.
  public var transferBytesPerSecond: UInt64?
  /// Rate at which the guest dirties memory.
  public var dirtyBytesPerSecond: UInt64?
  /// Configured bandwidth cap.
  public var bandwidthLimitBytesPerSecond: UInt64?
  /// Passes over the memory; 1 during the first.
  public var iterations: UInt64?
  /// Part of the CPU time that auto-converge takes from the guest, 0 to 1.
  public var cpuThrottleRatio: Double?
  /// Downtime that the source expects.
  public var expectedDowntimeSeconds: Double?
  /// Longest downtime that is configured.
  public var downtimeLimitSeconds: Double?
  /// Downtime that was measured.
  public var downtimeSeconds: Double?

  /// The budget for the whole migration.
  public var completion: Budget?
  /// The budget without a fall of the remaining bytes.
  public var progress: Budget?
  /// The keepalive of the control connection; absent where nobody looks at the network.
  public var keepalive: Keepalive?
  /// The connections that it goes over; absent where none is seen.
  public var connections: Connections?
  /// Networks that are lost: `management`, `migration` or `unknown`; left out where none is.
  @LeftOutIfEmpty public var networkLost: [String]
  /// Times in which bytes stopped and moved again.
  public var interruptions: Pauses
  /// How it ended; absent while it has not.
  public var ending: End?

  /// What a migration waits for before it starts.
  public struct Pending: Codable, Hashable, Sendable {
    /// Why it waits.
    public var reason: String
    /// Its place in the queue, 1 for the next; absent where it waits for something else than a slot.
    public var position: UInt64?
    /// The source's own words; absent where it has none.
    public var text: String?
  }

  /// One time-out and how much of it is used.
  public struct Budget: Codable, Hashable, Sendable {
    /// The time-out.
    public var timeoutSeconds: Double
    /// What the documentation's figure, which is the configured one, comes to for the guest's memory; told for the
    /// completion budget only, where the watched system has set another.
    public var documentedSeconds: Double?
    /// Part of the time-out that is used; absent where no deadline applies in this phase.
    public var usedSeconds: Double?
    /// When, at the earliest, it is used up; absent where no deadline applies in this phase.
    public var deadlineAt: Timestamp?
    /// How much later than `deadlineAt` that may be; absent with it.
    public var uncertaintySeconds: Double?
    /// Who set the time-out.
    public var setBy: String
    /// Who ends the migration then.
    public var enforcedBy: String
    /// What happens then; told for the completion budget only.
    public var action: String?
  }

  /// How long the peer may be silent before libvirt closes the control connection, and so ends the migration.
  public struct Keepalive: Codable, Hashable, Sendable {
    /// What the deadline rests on: `measured`; why it is inferred (`remote`, `ssh`, `invisible`, `denied`); or why there
    /// is none (`not_peer_to_peer`, `disabled`).
    public var basis: String
    /// `measured` or `inferred`; absent where there is no deadline at all.
    public var method: String?
    /// The silence after which the connection is closed; absent where there is no deadline at all.
    public var timeoutSeconds: Double?
    /// The silence after which the peer is asked whether it is there; absent with the time-out.
    public var intervalSeconds: Double?
    /// Part of the time-out that is used; absent where there is nothing to count from yet.
    public var usedSeconds: Double?
    /// When, at the earliest, the connection is closed if the peer stays silent; absent with `usedSeconds`.
    public var deadlineAt: Timestamp?
    /// How much later than `deadlineAt` that may be; absent with it.
    public var uncertaintySeconds: Double?
  }

  /// The connections of a migration, as the kernel of its source's host sees them.
  public struct Connections: Codable, Hashable, Sendable {
    /// Between the two daemons; absent where it is not seen.
    public var control: Connection?
    /// For the guest's memory, or a disk; absent where it is not seen.
    public var data: Connection?
  }

  /// One connection, or several that serve one purpose.
  public struct Connection: Codable, Hashable, Sendable {
    /// When the peer was last heard: by data on the control connection, by an acknowledgement on the data connection.
    public var lastHeardAt: Timestamp
    /// Whether an acknowledgement is due, so that silence means something.
    public var isAwaited: Bool
    /// Bytes sent and not acknowledged.
    public var unackedBytes: UInt64?
    /// Segments sent again since the connection was made.
    public var retransmits: UInt64?
  }

  /// Times in which bytes stopped and moved again.
  public struct Pauses: Codable, Hashable, Sendable {
    /// How many.
    public var count: UInt64
    /// Their lengths added up.
    public var seconds: Double
  }

  /// How a migration ended.
  public struct End: Codable, Hashable, Sendable {
    /// `succeeded`, `failed` or `aborted`.
    public var outcome: String
    /// Why it did not succeed.
    public var cause: String?
    /// Whether the source said so (`reported`), or it was `inferred`.
    public var certainty: String
    /// The source's own words; may be empty.
    public var text: String
    /// When it ended.
    public var endedAt: Timestamp
    /// How long it took; absent where its start was not seen.
    public var durationSeconds: Double?
  }
}
