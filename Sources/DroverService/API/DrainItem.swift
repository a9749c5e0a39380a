public import DroverCore
internal import MigrationControl

/// A drain of a node or host, as `nodes/{backend}/{name}/drain` answers; what is not known is absent.
public struct DrainItem: Codable, Hashable, Sendable {
  /// The back end's configured name.
  public var backend: String
  /// The node's name.
  public var node: String
  /// `active`, `cancelling`, `complete`, `incomplete`, `cancelled`; for a question what there is now, or absent.
  public var state: String?
  /// The decision that began it.
  public var decision: Int64?
  /// Who asked for it.
  public var requester: String?
  /// When.
  public var startedAt: Timestamp?
  /// When it was over.
  public var endedAt: Timestamp?
  /// As of when it is known what runs on the node.
  public var knownAt: Timestamp?
  /// VMs that ran on it then.
  public var running: UInt64?
  /// Whether something else empties the node, and Drover only follows.
  public var isFollowing: Bool
  /// Whether nothing was done because only a question was asked.
  public var isDryRun: Bool
  /// Whom it follows, or how it ended.
  public var text: String?
  /// Why nothing is begun at this moment.
  public var hold: String?
  /// How many VMs are in each state.
  public var counts: [String: UInt64]
  /// Its VMs, by name.
  public var vms: [VM]
  /// What is worth knowing.
  public var notes: [String]

  /// One VM of it.
  public struct VM: Codable, Hashable, Sendable {
    /// Its namespace.
    public var namespace: String?
    /// Its host.
    public var host: String?
    /// Its name.
    public var vm: String
    /// `pending`, `migrating`, `done`, `failed`, `timed_out`, `blocked`; for a question `pending` or `blocked`.
    public var state: String
    /// Whether it is not tried again.
    public var isSettled: Bool
    /// How often it was tried.
    public var attempts: Int
    /// Where it was sent, or would be; absent where the system chooses.
    public var target: String?
    /// Its last migration.
    public var migration: String?
    /// How far that is, 0 to 1.
    public var progressRatio: Double?
    /// Why it is as it is.
    public var text: String?
    /// For questions: every reason against it, from the closed list.
    public var reasons: [String]?
    /// For questions: what is not known, and may yet keep it where it is; absent where nobody was asked about that.
    public var doubts: [String]?
  }
}

extension DrainItem {
  /// Shows a drain, with how far its migrations are.
  public init(_ status: DrainStatus, in snapshot: FleetSnapshot, epochOffset: EpochOffset) {
    let record = status.record
    let wanted = Set(record.vms.filter { $0.state == .migrating }.compactMap(\.migration))
    var ratios: [MigrationID: Double] = [:]
    if !wanted.isEmpty {
      for view in snapshot.migrations where wanted.contains(view.identity.id) {
        ratios[view.identity.id] = view.progressRatio
      }
    }
    self.init(
      backend: record.node.backend.rawValue, node: record.node.node, state: record.state.rawValue,
      decision: record.id.rawValue, requester: record.requester,
      startedAt: Timestamp(status.startedAt, epochOffset),
      endedAt: status.endedAt.map { Timestamp($0, epochOffset) },
      knownAt: status.knownAt.map { Timestamp($0, epochOffset) }, running: status.running,
      isFollowing: record.isFollowing, isDryRun: false, text: record.text.isEmpty ? nil : record.text,
      hold: status.hold.isEmpty ? nil : status.hold,
      counts: Dictionary(uniqueKeysWithValues: record.counts.map { ($0.rawValue, $1) }),
      vms: record.vms.map { vm in VM(vm, ratio: vm.migration.flatMap { ratios[$0] }) }, notes: [])
  }

  /// Shows what a drain would do.
  init(_ answer: DrainAnswer, of node: NodeRef) {
    let counts = Dictionary(grouping: answer.forecast) { $0.refusals.isEmpty ? "pending" : "blocked" }
    self.init(
      backend: node.backend.rawValue, node: node.node, state: answer.status?.record.state.rawValue,
      running: UInt64(answer.forecast.count), isFollowing: false, isDryRun: true,
      counts: counts.mapValues { UInt64($0.count) }, vms: answer.forecast.map(VM.init), notes: answer.notes)
  }
}

extension DrainItem.VM {
  /// Whether a drain may move it or not, for something that is not known.
  public var isDoubtful: Bool { doubts?.isEmpty == false }

  fileprivate init(_ vm: DrainVM, ratio: Double?) {
    self.init(
      vm: vm.vm.name, state: vm.state.rawValue, isSettled: vm.isSettled, attempts: vm.attempts,
      target: vm.target.isEmpty ? nil : vm.target, migration: vm.migration?.description,
      progressRatio: ratio, text: vm.text.isEmpty ? nil : vm.text)
    place(vm.vm.scope)
  }

  fileprivate init(_ forecast: DrainAnswer.Forecast) {
    let refusals = forecast.refusals
    let words = refusals.isEmpty ? forecast.doubts ?? [] : refusals.map(\.text)
    self.init(
      vm: forecast.vm.name, state: refusals.isEmpty ? "pending" : "blocked", isSettled: false, attempts: 0,
      target: forecast.target, text: words.isEmpty ? nil : words.joined(separator: "; "),
      reasons: refusals.map(\.reason.rawValue), doubts: forecast.doubts)
    place(forecast.vm.scope)
  }

  private mutating func place(_ scope: Scope) {
    switch scope {
    case .namespace(let name): namespace = name
    case .host(let name): host = name
    }
  }
}
