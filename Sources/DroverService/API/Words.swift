internal import DroverCore

/// Numbers in words for people: one rule for sizes, rates and times on the page and in the tables.
public enum Words {
  /// A size in binary units: `812 B`, `62.0 MiB`, `1.4 GiB`.
  public static func size(_ bytes: UInt64) -> String {
    guard bytes >= 1024 else { return "\(bytes) B" }
    var value = Double(bytes) / 1024
    var units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"][...]
    // What would round to 1024 is 1.0 of the next unit.
    while value >= 1023.5, units.count > 1 {
      value /= 1024
      units = units.dropFirst()
    }
    return "\(short(value)) \(units.first ?? "")"
  }

  /// A rate in binary units: `41.8 MiB/s`.
  public static func rate(_ bytesPerSecond: UInt64) -> String { size(bytesPerSecond) + "/s" }

  /// A length of time in its two largest units: `350ms`, `1.8s`, `12s`, `2m 5s`, `1h 46m`, `3d 4h`; rounded down.
  public static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite else { return "unknown" }
    let milliseconds = Int64(min(max(seconds, 0), 1e12) * 1000 + 0.5)
    guard milliseconds >= 1000 else { return milliseconds == 0 ? "0s" : "\(milliseconds)ms" }
    let tenth = milliseconds / 100 % 10
    if milliseconds < 10_000, tenth > 0 { return "\(milliseconds / 1000).\(tenth)s" }
    let whole = milliseconds / 1000
    let parts = [(whole / 86_400, "d"), (whole / 3600 % 24, "h"), (whole / 60 % 60, "m"), (whole % 60, "s")]
    let first = parts.firstIndex { $0.0 > 0 } ?? 3
    return parts[first...].prefix(2).filter { $0.0 > 0 }.map { "\($0.0)\($0.1)" }.joined(separator: " ")
  }

  /// A point in time from now: `in 3m 20s`, `12s ago`, `now` within a second.
  public static func relative(_ seconds: Double) -> String {
    if seconds >= 1 { return "in \(duration(seconds.rounded(.down)))" }
    if seconds <= -1 { return "\(duration((-seconds).rounded(.down))) ago" }
    return "now"
  }

  /// What is left of a deadline: `3m 20s left`, `overdue by 12s`.
  public static func left(_ seconds: Double) -> String {
    seconds <= -1
      ? "overdue by \(duration((-seconds).rounded(.down)))"
      : "\(duration(max(0, seconds).rounded(.down))) left"
  }

  /// A part of the whole: `62%`; 100% only when nothing is missing.
  public static func percent(_ ratio: Double) -> String {
    guard ratio.isFinite else { return "unknown" }
    return "\(Int((min(max(ratio, 0), 1) * 100 + 1e-9).rounded(.down)))%"
  }

  /// A word of the API without its underscores: `not converging`.
  public static func plain(_ word: String) -> String { word.replacing("_", with: " ") }

  /// A verdict's evidence in words and numbers, as of `now`.
  static func evidence(_ evidence: Evidence, now: Moment) -> String {
    switch evidence {
    case .notInPrecopy: "verdicts are given in pre-copy only"
    case .sampleTooOld(let limit): "the source has not answered for more than \(duration(limit.inSeconds))"
    case .firstPass: "first pass: the dirty rate is measured at its end"
    case .tooFewSamples: "too few samples yet"
    case .still(let sent, let drop, let remaining):
      "no bytes sent for \(duration(sent.inSeconds)), remaining has not fallen for \(duration(drop.inSeconds))"
        + (remaining.map { "; \(size($0.count)) remaining" } ?? "")
    case .passesDoNotShrink(let passes, let best, let dirty, let transfer):
      "dirties \(rate(dirty.value)) of \(rate(transfer.value)) sent; \(passes) passes in a row "
        + "began with no less than \(size(best.count)) to send"
    case .diskDoesNotShrink(let best, let sent, let transfer):
      "disks: \(size(sent.count)) sent at \(rate(transfer.value)) since \(size(best.count)) remained, and never less"
    case .diskTrend(let remaining, let shrink, let transfer):
      "disks: \(size(remaining.count)) remaining, "
        + (shrink.value > 0
          ? "falling by \(rate(shrink.value)) of \(rate(transfer.value)) sent; memory follows"
          : "and no less than before: the guest rewrites what is sent at \(rate(transfer.value))")
    case .networkSilent(let losses, let deadline):
      (losses.map(silence)
        + [consequence(of: losses, deadline.map { ($0 - now).inSeconds })].compactMap(\.self))
        .joined(separator: "; ")
    case .trend(let remaining, let dirty, let transfer):
      "\(size(remaining.count)) remaining; dirties \(rate(dirty.value)) of \(rate(transfer.value)) sent"
    }
  }

  private static func silence(_ loss: NetworkLoss) -> String {
    let silence = duration(loss.silence.inSeconds)
    return switch loss.network {
    case .management where loss.isReported: "management network: a node has not been heard for \(silence)"
    case .migration where loss.isReported:
      "migration network: no bytes for \(silence), and both ends are well"
    case .management: "control connection: nothing received for \(silence)"
    case .migration: "data connection: nothing acknowledged for \(silence)"
    case .unknown: "nothing heard for \(silence)"
    }
  }

  /// What comes of it when the peer stays silent; `left` is the time until the keepalive ends the migration.
  private static func consequence(of losses: [NetworkLoss], _ left: Double?) -> String? {
    let isControlLost = losses.contains { $0.network == .management && !$0.isReported }
    guard let left else {
      let isDataLost = losses.contains { $0.network == .migration && !$0.isReported }
      return isDataLost && !isControlLost
        ? "no keepalive guards it, so libvirt waits until it is back" : nil
    }
    return (isControlLost ? "" : "if the control connection is silent, too, ") + givesUp(in: left)
  }

  /// What the keepalive does when its time is over.
  static func givesUp(in left: Double) -> String {
    left <= -1
      ? "libvirt should have ended the migration \(duration((-left).rounded(.down))) ago"
      : "libvirt ends the migration in \(duration(max(0, left).rounded(.down))), and the guest stays at the source"
  }

  /// What a keepalive deadline rests on, or why there is none; `basis` is the API's word.
  static func keepalive(basis: String) -> String {
    if basis == KeepaliveMethod.measured.rawValue { return "measured on the source host" }
    if let reason = KeepaliveBasis.Inference(rawValue: basis) {
      return switch reason {
      case .remote: "inferred: the source is watched from another machine"
      case .ssh: "inferred: the daemons talk over ssh"
      case .invisible: "inferred: its connection is not visible from here"
      case .denied: "inferred: the kernel's connections may not be read"
      }
    }
    return switch KeepaliveBasis.Absence(rawValue: basis) {
    case .notPeerToPeer: "none: not peer-to-peer"
    case .disabled: "none: switched off"
    case nil: plain(basis)
    }
  }

  /// What a migration waits for: `waits for a slot of its node, place 3 in the queue: ...`.
  static func wait(_ pending: MigrationItem.Pending) -> String {
    let reason: String =
      switch PendingReason(rawValue: pending.reason) {
      case .queueCluster: "a slot of the cluster"
      case .queueNode: "a slot of its node"
      case .unschedulable: "a node that it fits on"
      case .quota: "the quota of its namespace"
      case .backup: "a backup to end"
      case .utilityVolumes: "utility volumes to go"
      case .backoff: "the pause after a failure to end"
      case .podPending: "its target pod to be ready"
      case .unknown: "an unknown reason"
      case nil: plain(pending.reason)
      }
    let place = pending.position.map { ", \(self.place($0))" } ?? ""
    return "waits for \(reason)\(place)" + (pending.text.map { ": \($0)" } ?? "")
  }

  /// `place 3 in the queue`.
  static func place(_ position: UInt64) -> String { "place \(position) in the queue" }

  /// The documentation's figure beside the one in force: `6400 s, in force 1350 s, set by KubeVirt's default`.
  static func documented(_ budget: MigrationItem.Budget) -> String? {
    guard let documented = budget.documentedSeconds else { return nil }
    let setter: String =
      switch TimeoutOrigin(rawValue: budget.setBy) {
      case .vmi: "the VMI"
      case .policy: "the MigrationPolicy"
      case .kubevirt: "the KubeVirt object"
      case .versionDefault: "KubeVirt's default"
      case .config: "Drover's configuration"
      case nil: budget.setBy
      }
    return "\(seconds(documented)), in force \(seconds(budget.timeoutSeconds)), set by \(setter)"
  }

  /// Whole seconds, to be compared with others: `6400 s`.
  private static func seconds(_ seconds: Double) -> String {
    seconds.isFinite ? "\(Int64(min(max(seconds, 0), 1e15).rounded())) s" : "unknown"
  }

  /// A network that is lost, by the API's word.
  static func network(_ name: String) -> String {
    name == LostNetwork.unknown.rawValue ? "a network" : "the \(plain(name)) network"
  }

  /// When the peer of a connection was heard, and what it owes.
  static func connection(_ connection: MigrationItem.Connection, asOf: Timestamp) -> String {
    let awaited = connection.isAwaited ? "an acknowledgement is due" : "no acknowledgement is due"
    let parts = [
      "heard \(relative(-max(0, asOf.seconds(since: connection.lastHeardAt))))",
      connection.unackedBytes.map { $0 == 0 ? "all acknowledged" : "\(size($0)) unacknowledged" } ?? awaited,
      connection.retransmits.map { "\($0) \($0 == 1 ? "retransmit" : "retransmits")" },
    ]
    return parts.compactMap(\.self).joined(separator: ", ")
  }

  /// `, or up to 5s later`; nothing where the time is known exactly.
  static func later(_ uncertainty: Double?) -> String {
    uncertainty.map { $0 > 0 ? ", or up to \(duration($0)) later" : "" } ?? ""
  }

  /// One decimal below 100, none above.
  private static func short(_ value: Double) -> String {
    guard value < 99.95 else { return "\(UInt64(value.rounded()))" }
    let tenths = UInt64((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
}
