/// A network that is lost, and what says so.
public struct NetworkLoss: Hashable, Sendable {
  /// Which network.
  public let network: LostNetwork
  /// For how long the peer had not been heard when the kernel was asked last.
  public let silence: Duration
  /// For how long it may be silent.
  public let limit: Duration
  /// Whether it is known in another way than by the silence of a connection.
  public internal(set) var isReported = false

  /// Describes a loss.
  public init(network: LostNetwork, silence: Duration, limit: Duration) {
    self.network = network
    self.silence = silence
    self.limit = limit
  }
}

extension NetworkReport {
  /// The networks that are lost as of this report, the management network first.
  ///
  /// A quiet control connection is asked once an interval, so that its silence means something by itself; without a
  /// keepalive it may be silent for ever. A data connection only says something where an acknowledgement is due.
  /// Where both go to one address, one wire is lost.
  func losses(at takenAt: Moment, settings: VerdictSettings) -> [NetworkLoss] {
    var losses = reported
    for index in losses.indices { losses[index].isReported = true }
    if let control, self.settings.isEnabled, keepalive == .measured {
      let limit = max(settings.controlSilence, self.settings.interval + .seconds(2))
      // Of several that it may be, the one that was heard last must be silent for too long.
      let silence = takenAt - control.lastHeard - controlSpread
      if silence > limit { losses.append(NetworkLoss(network: .management, silence: silence, limit: limit)) }
    }
    guard let data, data.isAwaited, takenAt - data.lastHeard > settings.dataSilence else { return losses }
    if sharesWire, let control, keepalive == .measured {
      let silence = takenAt - control.lastHeard - controlSpread
      // A question of the keepalive has gone unanswered, too: it is the wire, and not only the data.
      if losses.isEmpty, silence > self.settings.interval + .milliseconds(500) {
        losses.append(NetworkLoss(network: .management, silence: silence, limit: self.settings.interval))
      }
      if !losses.isEmpty { return losses }
    }
    losses.append(
      NetworkLoss(
        network: .migration, silence: takenAt - data.lastHeard, limit: settings.dataSilence))
    return losses
  }
}
