internal import DroverCore
internal import Kubernetes

/// The limits that KubeVirt applies to one migration, and where each comes from.
struct EffectiveLimits: Sendable {
  /// Seconds for each unit of size; nil while nobody can tell, 0 for none.
  var completionPerGiB: (seconds: Int64, setBy: TimeoutOrigin)?
  /// Seconds without progress; nil while nobody can tell, 0 for none.
  var progress: (seconds: Int64, setBy: TimeoutOrigin)?
  var allowsPostCopy: Bool
  var allowsWorkloadDisruption: Bool
  var stallTimeoutFactor: Double?
  var bandwidth: BytesPerSecond?
  var downtime: Duration?
  var policy: String

  /// Resolves as KubeVirt does: what it wrote on the VMI at the hand-over, else the policy, else its own object, else the
  /// default of its version.
  ///
  /// - Parameter resolved: What the VMI says of *this* migration; that of an earlier one says nothing.
  init(resolved: MigrationLimits?, policyName: String, policy: MigrationPolicy?, cluster: ClusterSettings) {
    let steps: [(MigrationLimits, TimeoutOrigin)]
    if let resolved {
      steps = [(resolved, .vmi)]
      self.policy = policyName
    } else {
      steps = [policy.map { ($0.limits, TimeoutOrigin.policy) }, (cluster.limits, .kubevirt)].compactMap(
        \.self)
      self.policy = policy?.metadata.name ?? ""
    }
    func first<Value>(_ field: (MigrationLimits) -> Value?) -> (Value, TimeoutOrigin)? {
      for (limits, origin) in steps { if let value = field(limits) { return (value, origin) } }
      return nil
    }
    completionPerGiB =
      first(\.completionPerGiB).map { ($0.0, $0.1) }
      ?? cluster.defaultCompletionPerGiB.map { ($0, .versionDefault) }
    // A policy cannot set it; where it does, KubeVirt does not look.
    let progress =
      resolved?.progress.map { ($0, TimeoutOrigin.vmi) } ?? cluster.limits.progress.map { ($0, .kubevirt) }
    self.progress = progress ?? (cluster.isKnown || resolved != nil ? (150, .versionDefault) : nil)
    // A policy that allows the one and says nothing of the other allows both.
    let postCopy = first(\.allowsPostCopy)?.0 ?? false
    let disruption = first { $0.allowsWorkloadDisruption ?? $0.allowsPostCopy }?.0 ?? postCopy
    allowsWorkloadDisruption = disruption
    allowsPostCopy = postCopy && disruption
    // One that is not tuned works with KubeVirt's own figures.
    stallTimeoutFactor =
      steps.lazy.compactMap { $0.0.hasStallDetector ? $0.0.stallTimeoutFactor ?? 2 : nil }.first
      ?? (cluster.detectsStalls ? 2 : nil)
    let bytes = first(\.bandwidth).flatMap { Quantity.bytes($0.0) }
    bandwidth = bytes.flatMap { $0.count > 0 ? BytesPerSecond($0.count) : nil }
    downtime = first(\.maxDowntime).flatMap { $0.0 > 0 ? .milliseconds($0.0) : nil }
  }

  /// What the budget of a migration counts.
  struct Size: Sendable {
    /// Guest memory and volumes that are copied: what is known.
    var known: Bytes
    /// What the generated disks may add at most; 0 where none is copied.
    var disks: Bytes
    /// The whole, as libvirt counts it; nil until virt-handler has told it.
    var dataTotal: Bytes?

    /// KubeVirt's units: whole 10^9 bytes, rounded up, on the sum.
    static func units(_ bytes: Bytes) -> UInt64 {
      bytes.count / 1_000_000_000 + (bytes.count % 1_000_000_000 > 0 ? 1 : 0)
    }

    /// The fewest and the most units that it may be.
    var units: (fewest: UInt64, most: UInt64) {
      let fewest = Self.units(known)
      guard disks > 0 else { return (fewest, fewest) }
      // libvirt counts whole disks, KubeVirt the files they are in, which are no larger.
      // Less than the memory is the disks alone: they go first.
      let most = dataTotal.map { min(known + disks, $0 < known ? known + $0 : $0) } ?? known + disks
      return (fewest, max(fewest, Self.units(most)))
    }
  }

  /// The start has a resolution of a second, KubeVirt's monitor begins within one of it, wants more than the whole
  /// seconds of the time-out, and looks every 0.4 s.
  static let resolution = Duration.seconds(4)

  /// The time-outs of a migration of `size`; nil for the size where it is not known.
  ///
  /// - Parameters:
  ///   - isPaused: Whether KubeVirt holds the guest to let the copy end: the time is doubled then.
  ///   - hasVFIO: Whether a device is passed through; post-copy is not possible then.
  func budgets(of size: Size?, isPaused: Bool, hasVFIO: Bool) -> OwnBudgets {
    var completion: CompletionBudget?
    if let size, let perGiB = completionPerGiB, perGiB.seconds > 0 {
      let units = size.units
      // Beyond a century the product would only be in danger of overflowing.
      func time(_ units: UInt64) -> Duration? {
        let (seconds, overflow) = Int64(min(units, 1 << 40)).multipliedReportingOverflow(
          by: perGiB.seconds)
        return overflow || seconds > 3_200_000_000 ? nil : .seconds(isPaused ? seconds * 2 : seconds)
      }
      if let fewest = time(units.fewest), let most = time(units.most) {
        let factor = max(1, min(stallTimeoutFactor ?? 1, 1000))
        let stretched = Duration.milliseconds(Int64((Double(most.milliseconds) * factor).rounded()))
        completion = CompletionBudget(
          timeout: fewest, setBy: perGiB.setBy, enforcedBy: .kubevirt,
          action: action(isPaused: isPaused, hasVFIO: hasVFIO),
          uncertainty: stretched - fewest + Self.resolution)
      }
    }
    // The stall detector takes the place of the time-out without progress.
    let seconds = stallTimeoutFactor == nil ? progress : nil
    return OwnBudgets(
      completion: completion,
      progress: seconds.flatMap {
        ProgressBudget(
          timeout: .seconds(min($0.seconds, 3_200_000_000)), setBy: $0.setBy, enforcedBy: .kubevirt,
          countsSent: true)
      })
  }

  private func action(isPaused: Bool, hasVFIO: Bool) -> DeadlineAction {
    guard allowsWorkloadDisruption, !isPaused else { return .abort }
    return allowsPostCopy && !hasVFIO ? .postcopy : .pause
  }
}
