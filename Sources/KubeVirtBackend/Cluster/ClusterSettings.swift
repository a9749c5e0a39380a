internal import DroverCore
internal import Kubernetes

/// A KubeVirt version, as far as its behaviour depends on it.
struct KubeVirtVersion: Hashable, Comparable, Sendable {
  let major: Int
  let minor: Int

  /// Reads `1.6.0` or `v1.9.0-alpha.1`; nil for what is no version, such as that of a build of one's own.
  init?(_ text: String) {
    let parts = text.drop { $0 == "v" }.split(separator: ".", maxSplits: 2)
    guard parts.count >= 2, let major = Int(parts[0]), let minor = Int(parts[1]) else { return nil }
    self.major = major
    self.minor = minor
  }

  init(_ major: Int, _ minor: Int) {
    self.major = major
    self.minor = minor
  }

  static func < (a: KubeVirtVersion, b: KubeVirtVersion) -> Bool { (a.major, a.minor) < (b.major, b.minor) }

  /// From here on the default of `completionTimeoutPerGiB` is 150 s, not 800 s.
  static let shortTimeout = KubeVirtVersion(1, 4)
  /// From here on a scrape of virt-handler does not measure how fast guests that migrate dirty their memory.
  static let cheapScrapes = KubeVirtVersion(1, 9)
  /// From here on a migration may be given a node to go to.
  static let takesTarget = KubeVirtVersion(1, 6)
  /// From here on an eviction can be taken back.
  static let cancelsEvacuations = KubeVirtVersion(1, 7)
  /// The first inside a Harvester whose upgrade stops a VM that could not be moved away.
  static let stopsFailed = KubeVirtVersion(1, 6)
}

/// What holds for the whole cluster.
struct ClusterSettings: Hashable, Sendable {
  /// Of the KubeVirt object; everything unset where that cannot be read.
  var limits = MigrationLimits()
  var version: KubeVirtVersion?
  /// The version as it is told; empty while it is not known.
  var versionText = ""
  /// Where KubeVirt's own pods are; empty while that is not known.
  var namespace = ""
  var evictionStrategy: String?
  /// Whether KubeVirt's own stall detector takes the place of the time-out without progress (1.9 and later).
  var detectsStalls = false
  /// Whether the KubeVirt object has been read: without it, version and defaults are not known.
  var isKnown = false

  init() {}

  init(_ object: KubeVirtCR) {
    limits = object.migrations
    versionText = object.version
    namespace = object.metadata.namespace
    version = KubeVirtVersion(object.version)
    evictionStrategy = object.evictionStrategy
    detectsStalls = object.featureGates.contains("MigrationStallDetection")
    isKnown = true
  }

  var clusterSlots: UInt64? { isKnown ? limits.parallelPerCluster ?? 5 : nil }
  var nodeSlots: UInt64? { isKnown ? limits.parallelOutboundPerNode ?? 2 : nil }
  var drainTaintKey: String { limits.drainTaintKey ?? KubeVirtCR.usualDrainTaintKey }

  /// Seconds for each unit of size where nobody set any; nil while the version is not known.
  var defaultCompletionPerGiB: Int64? {
    guard isKnown else { return nil }
    return version.map { $0 < .shortTimeout ? 800 : 150 } ?? 150
  }
}

/// The policies that change the limits of some VMs.
struct PolicyBook: Sendable {
  private(set) var policies: [String: MigrationPolicy] = [:]

  mutating func set(_ policy: MigrationPolicy) { policies[policy.metadata.name] = policy }
  mutating func remove(_ name: String) { policies[name] = nil }

  /// The policy that KubeVirt will apply: all of its labels match, and most of them; labels of the VMI count before
  /// those of the namespace, and the name decides last.
  func policy(vmi: [String: String], namespace: [String: String]) -> MigrationPolicy? {
    func matches(_ wanted: [String: String], _ given: [String: String]) -> Bool {
      wanted.allSatisfy { given[$0.key] == $0.value }
    }
    return policies.values
      .filter { policy in
        policy.hasSelectors && matches(policy.vmiLabels, vmi)
          && matches(policy.namespaceLabels, namespace)
      }
      .min { a, b in
        let (x, y) = (
          a.vmiLabels.count + a.namespaceLabels.count, b.vmiLabels.count + b.namespaceLabels.count
        )
        if x != y { return x > y }
        if a.vmiLabels.count != b.vmiLabels.count { return a.vmiLabels.count > b.vmiLabels.count }
        return a.metadata.name < b.metadata.name
      }
  }
}
