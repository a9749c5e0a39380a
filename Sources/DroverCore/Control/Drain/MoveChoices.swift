/// Where a guest can go, where Drover has to choose: hosts that no scheduler serves.
public struct MoveChoices: Hashable, Sendable {
  /// What speaks against it wherever it is to go.
  public var obstacles: [Eligibility.Obstacle]
  /// Each host that might take it, in the order in which they are configured.
  public var targets: [Target]
  /// What it needs there; nil where that is not known.
  public var memory: Bytes?

  /// One host.
  public struct Target: Hashable, Sendable {
    /// What it is called in an order.
    public var node: String
    /// The host's own name: several back ends may call it differently.
    public var host: String
    /// What is free there; nil where that is not known.
    public var free: Bytes?
    /// What speaks against it.
    public var obstacles: [Eligibility.Obstacle]

    /// Describes a host.
    public init(node: String, host: String, free: Bytes? = nil, obstacles: [Eligibility.Obstacle] = []) {
      self.node = node
      self.host = host
      self.free = free
      self.obstacles = obstacles
    }
  }

  /// Makes an answer.
  public init(obstacles: [Eligibility.Obstacle] = [], targets: [Target], memory: Bytes? = nil) {
    self.obstacles = obstacles
    self.targets = targets
    self.memory = memory
  }

  /// What goes to a host already and is not, or not all, there yet.
  public struct Reserved: Hashable, Sendable {
    /// Memory of the guests under way.
    public var memory: Bytes
    /// How many they are.
    public var guests: Int

    /// Nothing, unless something is said.
    public init(memory: Bytes = 0, guests: Int = 0) {
      self.memory = memory
      self.guests = guests
    }
  }

  /// Where it is sent, or why nowhere.
  public enum Choice: Hashable, Sendable {
    case target(Target)
    /// It cannot move: the reasons.
    case blocked([Refusal])
    /// No host takes it now: the reasons.
    case noRoom([Refusal])
  }

  /// Chooses the host with the most memory left once what is under way has arrived.
  ///
  /// A host that does not tell comes behind those that do; among equals the one with the fewest guests under way.
  ///
  /// - Parameter reserved: What is under way to each host, by the host's own name.
  public func choice(reserved: [String: Reserved]) -> Choice {
    let enforced = obstacles.filter { $0.isEnforced && $0.reason != .unknown }
    guard enforced.isEmpty else { return .blocked(enforced.map { Self.refusal(.notMigratable, $0) }) }
    guard !targets.isEmpty else {
      return .blocked([
        Refusal(.noTarget, "no host is named that it could go to; name them in libvirt.peers")
      ])
    }
    var refusals: [Refusal] = []
    var best: (target: Target, left: Bytes?, guests: Int)?
    for target in targets {
      let against = target.obstacles.filter { $0.isEnforced && $0.reason != .unknown }
      guard against.isEmpty else {
        refusals += against.map { Self.refusal(.targetUnfit, $0, at: target.node) }
        continue
      }
      let under = reserved[target.host] ?? Reserved()
      let left = target.free.map { $0 - under.memory }
      if let left, let memory, left < memory {
        refusals.append(
          Refusal(
            .targetUnfit,
            "\(target.node): \(left.mebibytes) MiB are left once what is under way has arrived, and the guest needs "
              + "\(memory.mebibytes) MiB; make room there"))
        continue
      }
      let isBetter =
        best.map { best in
          switch (left, best.left) {
          case (let mine?, let other?) where mine != other: mine > other
          case (_?, nil): true
          case (nil, _?): false
          default: under.guests < best.guests
          }
        } ?? true
      if isBetter { best = (target, left, under.guests) }
    }
    return best.map { .target($0.target) } ?? .noRoom(refusals)
  }

  /// What could not be found out about going to a host, and may yet keep it where it is.
  public func doubts(about target: Target) -> [Eligibility.Obstacle] {
    let unknown = (obstacles + target.obstacles).filter { $0.isEnforced && $0.reason == .unknown }
    guard unknown.isEmpty, target.free == nil else { return unknown }
    return [
      Eligibility.Obstacle(
        .unknown, "\(target.node) does not tell how much memory it has free", remedy: "look there before")
    ]
  }

  private static func refusal(
    _ reason: RefusalReason, _ obstacle: Eligibility.Obstacle, at node: String? = nil
  ) -> Refusal {
    Refusal(reason, "\(node.map { "\($0): " } ?? "")\(obstacle.text); \(obstacle.remedy)")
  }
}

extension Bytes {
  fileprivate var mebibytes: UInt64 { count >> 20 }
}
