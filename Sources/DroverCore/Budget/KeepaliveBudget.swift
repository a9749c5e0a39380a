/// A keepalive as libvirt understands it: `keepalive_interval` and `keepalive_count` of `qemu.conf`.
public struct KeepaliveSettings: Hashable, Sendable {
  /// After so long a silence the peer is asked whether it is there; 0 or less switches the keepalive off.
  public var interval: Duration
  /// So many questions may stay unanswered.
  public var count: Int

  /// The documented defaults: closed after 30 s of silence.
  public init(interval: Duration = .seconds(5), count: Int = 5) {
    self.interval = interval
    self.count = count
  }

  /// Whether silence ends anything at all.
  public var isEnabled: Bool { interval > .zero && count >= 0 }

  /// The silence after which the connection is closed: interval × (count + 1), counted from the last byte received.
  public var timeout: Duration { interval * (max(0, count) + 1) }
}

/// What a keepalive deadline rests on.
public enum KeepaliveBasis: Hashable, Sendable {
  /// The control connection is seen in the kernel of the source's host.
  case measured
  /// Only the bytes that stop can tell.
  case inferred(Inference)
  /// There is no deadline.
  case none(Absence)

  /// Why the control connection cannot be looked at.
  public enum Inference: String, CaseIterable, Sendable {
    /// The source is watched from another machine.
    case remote
    /// The daemons talk over ssh: the connection is that of another program.
    case ssh
    /// None of the migration's connections is visible from here: a proxy, or another network namespace.
    case invisible
    /// The kernel does not let its connections be read.
    case denied
  }

  /// Why there is no deadline.
  public enum Absence: String, CaseIterable, Sendable {
    /// The two daemons have no connection with each other, so none is kept alive.
    case notPeerToPeer = "not_peer_to_peer"
    /// The keepalive is switched off.
    case disabled
  }
}

/// How a keepalive deadline was found; the label `method`.
public enum KeepaliveMethod: String, CaseIterable, Sendable {
  case measured, inferred
}

/// How long the control connection may be silent, and until when.
public struct KeepaliveBudget: Hashable, Sendable {
  /// The silence after which the connection is closed, and with it the migration ended.
  public var timeout: Duration
  /// How the deadline was found.
  public var method: KeepaliveMethod
  /// When, at the earliest, the connection is closed if nothing is heard any more.
  public var deadline: Moment
  /// How much later than `deadline` that may be.
  public var uncertainty: Duration

  /// The budget that a report comes to; nil where there is no deadline, or nothing yet to count from.
  ///
  /// - Parameters:
  ///   - lastSent: When the bytes sent last grew. The last byte *received* came at most one interval before a cut, since
  ///     a quiet connection is asked once an interval.
  ///   - sentUncertainty: How much earlier than `lastSent` the last byte may have gone.
  ///   - clockError: How far off `lastSent` may be, either way, by the clock that it was told by.
  ///   - step: For how long a copy that goes on well may show no byte more.
  init?(
    _ report: NetworkReport, lastSent: Moment?, sentUncertainty: Duration = .zero,
    clockError: Duration = .zero, step: Duration = .zero
  ) {
    guard report.settings.isEnabled else { return nil }
    timeout = report.settings.timeout
    switch report.keepalive {
    case .measured:
      guard let control = report.control else { return nil }
      method = .measured
      deadline = control.lastHeard + timeout
      uncertainty = report.controlSpread
    case .inferred:
      guard let lastSent else { return nil }
      method = .inferred
      let earlier = report.settings.interval + sentUncertainty + clockError
      deadline = lastSent + timeout - earlier
      uncertainty = earlier + step + clockError
    case .none: return nil
    }
  }
}
