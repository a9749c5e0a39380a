/// A network that is lost, and what says so.
public struct NetworkLoss: Hashable, Sendable {
  /// Which network.
  public let network: LostNetwork
  /// For how long the peer had not been heard when the kernel was asked last.
  public let silence: Duration
  /// For how long it may be silent.
  public let limit: Duration
}

extension NetworkReport {
  /// The networks that are lost as of this report, the management network first.
  ///
  /// A quiet control connection is asked once an interval, so that its silence means something by itself; without a
  /// keepalive it may be silent for ever. A data connection only says something where an acknowledgement is due.
  /// Where both go to one address, one wire is lost.
  func losses(at takenAt: Moment, settings: VerdictSettings) -> [NetworkLoss] {
    var losses: [NetworkLoss] = []
    if let control, self.settings.isEnabled, keepalive == .measured {
      let limit = max(settings.controlSilence, self.settings.interval + .seconds(2))
      let silence = takenAt - control.lastHeard
      if silence > limit { losses.append(NetworkLoss(network: .management, silence: silence, limit: limit)) }
    }
    if let data, data.isAwaited, !(sharesWire && losses.contains { $0.network == .management }) {
      let silence = takenAt - data.lastHeard
      if silence > settings.dataSilence {
        losses.append(NetworkLoss(network: .migration, silence: silence, limit: settings.dataSilence))
      }
    }
    return losses
  }
}
