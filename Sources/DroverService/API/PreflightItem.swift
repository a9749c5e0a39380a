public import DroverCore

/// The answer to `GET /api/v1/preflight`: what a drain would do to each VM, and whether there is room.
public struct PreflightItem: Codable, Hashable, Sendable {
  /// What it comes to.
  public enum Verdict: String, Codable, CaseIterable, Sendable {
    /// Every VM migrates, and there is room for each node's.
    case ready
    /// A VM blocks or would be shut down, or there is not room for all.
    case notReady = "not_ready"
    /// Nothing that was read speaks against it, but not all could be read.
    case unknown
  }

  /// What it comes to.
  public var verdict: Verdict
  /// Each VM that runs.
  public var vms: [VM]
  /// Each node or host with guests; none where one VM was asked about.
  public var nodes: [Node]
  /// What is worth knowing.
  public var notes: [String]
  /// Back ends that gave no answer though they could: what runs there is not known.
  public var failures: [Failure]
  /// How long it took.
  public var tookSeconds: Double

  /// One VM.
  public struct VM: Codable, Hashable, Sendable {
    /// The back end's configured name.
    public var backend: String
    /// The VM's namespace, with KubeVirt.
    @OrNull public var namespace: String?
    /// The VM's host, with libvirt and QEMU.
    @OrNull public var host: String?
    /// The VM's name.
    public var vm: String
    /// The node or host that it is on.
    public var node: String
    /// `migrates`, `blocks`, `will_be_shut_down`, or `unknown` where only something unread speaks against the first.
    public var outcome: String
    /// Why, where it does not simply migrate.
    public var causes: [EligibilityItem.Obstacle]
  }

  /// One node or host.
  public struct Node: Codable, Hashable, Sendable {
    /// The back end's configured name.
    public var backend: String
    /// Its name.
    public var node: String
    /// How many guests it carries.
    public var guests: UInt64
    /// Whether the others have room for those that would move; absent where that is not known.
    public var hasRoom: Bool?
    /// Guests that found no room, all where there is no other node, as `namespace/vm` or `host/vm`.
    public var withoutRoom: [String]
    /// In words: what is short, and how much of it.
    public var text: String
  }

  /// A back end without an answer.
  public struct Failure: Codable, Hashable, Sendable {
    /// The back end's configured name.
    public var backend: String
    /// The short form of the cause.
    public var kind: String
    /// Why, with the remedy.
    public var detail: String
  }
}

extension PreflightItem {
  /// Puts the answers of several back ends together.
  public init(
    _ answers: [(backend: BackendName, answer: Result<Preflight, ControlError>)], tookSeconds: Double
  ) {
    self.init(verdict: .unknown, vms: [], nodes: [], notes: [], failures: [], tookSeconds: tookSeconds)
    let isOne = answers.count == 1
    for (backend, answer) in answers {
      let prefix = isOne ? "" : "\(backend.rawValue): "
      switch answer {
      case .success(let preflight):
        vms += preflight.vms.map(VM.init)
        nodes += preflight.nodes.map { Node($0, backend) }
        notes += preflight.notes.map { prefix + $0 }
      case .failure(let error) where error.kind == .unsupported:
        notes.append("\(backend.rawValue) is not looked at: \(error.cause)")
      case .failure(let error):
        failures.append(Failure(backend: backend.rawValue, kind: error.kind.rawValue, detail: "\(error)"))
      }
    }
    judge()
  }

  /// What of it is about one VM.
  func only(_ paths: [VMPath]) -> PreflightItem {
    var item = self
    item.vms = vms.filter { paths.contains($0.path) }
    item.nodes = []
    item.judge()
    return item
  }

  /// Unread is never fine, and what is bad is bad whatever else could not be read.
  private mutating func judge() {
    let isBad =
      vms.contains {
        [DrainOutcome.blocks.rawValue, DrainOutcome.willBeShutDown.rawValue].contains($0.outcome)
      }
      || nodes.contains { $0.hasRoom == false }
    let isOpen =
      !failures.isEmpty || vms.contains { $0.outcome != DrainOutcome.migrates.rawValue }
      || nodes.contains { $0.hasRoom == nil }
    verdict = isBad ? .notReady : isOpen ? .unknown : .ready
  }
}

extension PreflightItem.VM {
  init(_ vm: Preflight.VM) {
    self.init(
      backend: vm.vm.backend.rawValue, namespace: vm.vm.scope.namespace, host: vm.vm.scope.host,
      vm: vm.vm.name,
      node: vm.node, outcome: vm.isOpen ? "unknown" : vm.outcome.rawValue,
      causes: vm.causes.map(EligibilityItem.Obstacle.init))
  }

  /// The namespace or host, whichever there is.
  public var scope: String { namespace ?? host ?? "" }

  /// Its name in full.
  var path: VMPath { VMPath(backend: backend, scope: scope, name: vm) }
}

extension PreflightItem.Node {
  init(_ node: Preflight.Node, _ backend: BackendName) {
    self.init(
      backend: backend.rawValue, node: node.node, guests: node.guests,
      hasRoom: node.withoutRoom.map(\.isEmpty),
      withoutRoom: (node.withoutRoom ?? []).map { "\($0.scope.name)/\($0.name)" }, text: node.text)
  }
}
