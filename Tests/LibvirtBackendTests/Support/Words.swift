import DroverCore

@testable import LibvirtBackend

/// What was told, in words that compare.
func words(_ message: BackendMessage) -> String {
  switch message {
  case .migration(let told):
    guard let ending = told.ending else { return told.phase.rawValue }
    let cause = ending.cause.map { " \($0.rawValue)" } ?? ""
    return "\(told.phase.rawValue)\(cause) \(ending.certainty.rawValue)"
  case .inbound(let told):
    switch (told.isActive, told.guestRuns) {
    case (true, true): return "arrives running"
    case (true, _): return "arrives"
    case (false, true): return "arrived"
    case (false, _): return "arrival failed"
    }
  case .guestMoved(let move): return move.isOnSource ? "runs again" : "stopped again"
  case .vm: return "vm"
  case .vmGone: return "vm gone"
  case .network(let told): return "network \(told.report.keepalive)"
  case .dirtyRate(_, let rate): return "dirty \(rate.map { "\($0.value)" } ?? "-")"
  case .node(_, let node): return "node \(node)"
  case .nodeState(let state): return "node \(state.node)"
  case .nodeGone(_, let node): return "node gone \(node)"
  case .slots: return "slots"
  case .requests: return "requests"
  case .leader(_, let term): return "leader \(term.holder)"
  case .health(let health): return "\(health.isUp ? "up" : "down")\(health.errorKind.map { " \($0)" } ?? "")"
  }
}

extension Sequence<BackendMessage> {
  var migrations: [MigrationObservation] {
    compactMap { if case .migration(let told) = $0 { told } else { nil } }
  }
  var endings: [MigrationObservation] { migrations.filter { $0.ending != nil } }
  var inbound: [InboundObservation] { compactMap { if case .inbound(let told) = $0 { told } else { nil } } }
  var vms: [VMObservation] { compactMap { if case .vm(let told) = $0 { told } else { nil } } }
  var dirtyRates: [BytesPerSecond?] {
    compactMap { if case .dirtyRate(_, let told) = $0 { .some(told) } else { nil } }
  }
  var gone: [VMKey] { compactMap { if case .vmGone(let told) = $0 { told } else { nil } } }
  var networks: [NetworkObservation] {
    compactMap { if case .network(let told) = $0 { told } else { nil } }
  }
  var health: [BackendHealth] { compactMap { if case .health(let told) = $0 { told } else { nil } } }
  var rates: [BytesPerSecond] { compactMap { if case .dirtyRate(_, let told) = $0 { told } else { nil } } }
  var nodes: [String] { compactMap { if case .node(_, let told) = $0 { told } else { nil } } }
}

/// One of each run of equal words.
func runs(_ words: [String]) -> [String] { words.reduce(into: []) { if $0.last != $1 { $0.append($1) } } }
