internal import Kubernetes

/// `status.migrationState`, as VMI and VMIM have it.
///
/// That of the previous migration stays on the VMI until the next one is handed over: `uid` tells whose it is.
struct MigrationState: Decodable, Hashable, Sendable {
  var uid = ""
  var start: String?
  var end: String?
  var sourceNode = ""
  var targetNode = ""
  var targetPod = ""
  /// When the target has the domain running.
  var targetReady: String?
  /// Finished, not succeeded.
  var isCompleted = false
  var hasFailed = false
  var isAbortRequested = false
  var abortStatus = ""
  var failureReason = ""
  /// `PreCopy`, `PostCopy` or `Paused`.
  var mode = ""
  var policyName = ""
  var configuration: MigrationLimits?
  /// `Pod` or `Migration`.
  var networkType = ""

  init() {}

  init(from decoder: any Decoder) throws { self.init(try JSONFields(decoder)) }

  init(_ fields: JSONFields) {
    // One end of the migration each, told since 1.6.
    let source = fields.fields("sourceState")
    let target = fields.fields("targetState")
    uid =
      fields.text("migrationUid") ?? source?.text("migrationUID") ?? target?.text("migrationUID") ?? ""
    start = fields.text("startTimestamp")
    end = fields.text("endTimestamp")
    sourceNode = fields.text("sourceNode") ?? source?.text("node") ?? ""
    targetNode = fields.text("targetNode") ?? target?.text("node") ?? ""
    targetPod = fields.text("targetPod") ?? target?.text("pod") ?? ""
    targetReady = fields.text("targetNodeDomainReadyTimestamp") ?? target?.text("domainReadyTimestamp")
    isCompleted = fields.flag("completed") ?? false
    hasFailed = fields.flag("failed") ?? false
    isAbortRequested = fields.flag("abortRequested") ?? false
    abortStatus = fields.text("abortStatus") ?? ""
    failureReason = fields.text("failureReason") ?? ""
    mode = fields.text("mode") ?? ""
    policyName = fields.text("migrationPolicyName") ?? ""
    configuration = fields.value("migrationConfiguration")
    networkType = fields.text("migrationNetworkType") ?? ""
  }
}

/// The settings of migrations, in the KubeVirt CR, in a MigrationPolicy, and resolved on a VMI; nil where one is not set.
struct MigrationLimits: Decodable, Hashable, Sendable {
  var parallelPerCluster: UInt64?
  var parallelOutboundPerNode: UInt64?
  /// Bytes per second; 0 is no limit.
  var bandwidth: String?
  /// Seconds; 0 is no time-out.
  var completionPerGiB: Int64?
  /// Seconds; 0 is no time-out.
  var progress: Int64?
  var allowsPostCopy: Bool?
  var allowsWorkloadDisruption: Bool?
  /// Milliseconds.
  var maxDowntime: Int64?
  /// Name of a network attachment definition.
  var network: String?
  var drainTaintKey: String?
  /// Whether KubeVirt's own stall detector takes the place of the progress time-out (1.9 and later).
  var hasStallDetector = false
  /// By how much that detector may stretch the completion time-out.
  var stallTimeoutFactor: Double?

  private enum CodingKeys: String, CodingKey {
    case parallelMigrationsPerCluster, parallelOutboundMigrationsPerNode, bandwidthPerMigration
    case completionTimeoutPerGiB, progressTimeout, allowPostCopy, allowWorkloadDisruption, maxDowntimeMs,
      network
    case nodeDrainTaintKey, experimental
  }

  private struct Experimental: Decodable {
    struct StallDetector: Decodable {
      var completionTimeoutFactor: IntOrText?
    }
    var stallDetector: StallDetector?
  }

  init() {}

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    parallelPerCluster = values.lenient(.parallelMigrationsPerCluster)
    parallelOutboundPerNode = values.lenient(.parallelOutboundMigrationsPerNode)
    bandwidth = values.lenient(.bandwidthPerMigration, as: IntOrText.self)?.text
    completionPerGiB = values.lenient(.completionTimeoutPerGiB)
    progress = values.lenient(.progressTimeout)
    allowsPostCopy = values.lenient(.allowPostCopy)
    allowsWorkloadDisruption = values.lenient(.allowWorkloadDisruption)
    maxDowntime = values.lenient(.maxDowntimeMs)
    network = values.lenient(.network)
    drainTaintKey = values.lenient(.nodeDrainTaintKey)
    if let detector = values.lenient(.experimental, as: Experimental.self)?.stallDetector {
      hasStallDetector = true
      stallTimeoutFactor = detector.completionTimeoutFactor.flatMap { Double($0.text) }
    }
  }
}
