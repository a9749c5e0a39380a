/// What a back end can do to a whole node or host; only the control module calls these.
public protocol NodeControl: Sendable {
  /// Reads a node and the guests on it, at this moment.
  func node(_ name: String) async throws(ControlError) -> NodeReading

  /// Keeps new guests off a node, or lets them on it again; nothing where it is so already.
  func cordon(_ node: String, isCordoned: Bool) async throws(ControlError)

  /// Reads what moves a VM, or the VMs of a node, away by itself.
  func evacuation(of subject: EvacuationSubject) async throws(ControlError) -> EvacuationReading

  /// Ends that, step by step in the order in which each step is accepted.
  func stopEvacuation(of subject: EvacuationSubject) async throws(ControlError) -> [String]

  /// What a drain would do to each VM, and whether the others have room for what one node carries.
  ///
  /// - Parameter node: The only node that is asked about; nil for all.
  func preflight(node: String?) async throws(ControlError) -> Preflight

  /// Finds out where a guest can go; nil where the system itself chooses.
  func choices(for vm: VMRef) async throws(ControlError) -> MoveChoices?
}

/// A VM, or all VMs of a node.
public enum EvacuationSubject: Hashable, Sendable {
  case vm(VMRef)
  case node(String)
}

/// How a node or host is at this moment.
public struct NodeReading: Hashable, Sendable {
  /// Its name.
  public var node: String
  /// Whether new guests are kept off it; nil where the back end knows no such thing.
  public var isCordoned: Bool?
  /// Who moves its guests away already, in words; nil where nobody does.
  public var drainedBy: DrainedBy?
  /// What runs on it, or is about to, in the order of the names.
  public var guests: [Guest]

  /// Something other than Drover that empties a node.
  public enum DrainedBy: Hashable, Sendable {
    /// The node carries the taint of a drain: its key.
    case taint(String)
    /// Harvester's maintenance mode.
    case harvesterMaintenance
    /// A Harvester upgrade.
    case harvesterUpgrade
  }

  /// A guest on it.
  public struct Guest: Hashable, Sendable {
    /// The VM.
    public var vm: VMRef
    /// The VM's own identity.
    public var domain: DomainKey
    /// What it needs at a target, in bytes; nil where that is not known.
    public var memory: Bytes?
    /// Whether its migrations are watched: what is not seen cannot be followed.
    public var isWatched: Bool

    /// Why one that is not watched is not moved, in words.
    public static let notWatched =
      "not watched: its namespace is not among those of this back end; add it to namespaces, or migrate it by itself"

    /// Describes a guest.
    public init(vm: VMRef, domain: DomainKey, memory: Bytes? = nil, isWatched: Bool = true) {
      self.vm = vm
      self.domain = domain
      self.memory = memory
      self.isWatched = isWatched
    }
  }

  /// Describes a node.
  public init(node: String, isCordoned: Bool? = nil, drainedBy: DrainedBy? = nil, guests: [Guest] = []) {
    self.node = node
    self.isCordoned = isCordoned
    self.drainedBy = drainedBy
    self.guests = guests
  }
}

/// What moves VMs away by itself, and what ending it takes.
public struct EvacuationReading: Hashable, Sendable {
  /// What was found, in words: the taint, the mark on each VM, each VMIM.
  public var found: [String]
  /// What would be done, step by step; empty where there is nothing to end.
  public var steps: [String]
  /// What speaks against it; empty where nothing does.
  public var refusals: [Refusal]

  /// Makes an answer.
  public init(found: [String] = [], steps: [String] = [], refusals: [Refusal] = []) {
    self.found = found
    self.steps = steps
    self.refusals = refusals
  }
}

/// What a drain or an upgrade would do.
public struct Preflight: Hashable, Sendable {
  /// Each VM that runs, in the order of node and name.
  public var vms: [VM]
  /// Each node with guests.
  public var nodes: [Node]
  /// What is worth knowing, and what could not be read.
  public var notes: [String]

  /// What a drain of its node does to a VM.
  public struct VM: Hashable, Sendable {
    /// The VM.
    public var vm: VMRef
    /// Its node or host now.
    public var node: String
    /// What becomes of it.
    public var outcome: DrainOutcome
    /// Why, where it does not simply migrate.
    public var causes: [Eligibility.Obstacle]

    /// Makes an answer.
    public init(vm: VMRef, node: String, outcome: DrainOutcome, causes: [Eligibility.Obstacle] = []) {
      self.vm = vm
      self.node = node
      self.outcome = outcome
      self.causes = causes
    }
  }

  /// Whether the others can take what a node carries.
  public struct Node: Hashable, Sendable {
    /// Its name.
    public var node: String
    /// How many guests it carries.
    public var guests: UInt64
    /// Guests that found no place on any other node once the bigger ones had theirs, all where there is no other; nil where
    /// that is not known.
    public var withoutRoom: [VMRef]?
    /// In words: what is short, and how much of it.
    public var text: String

    /// Makes an answer.
    public init(node: String, guests: UInt64, withoutRoom: [VMRef]? = nil, text: String = "") {
      self.node = node
      self.guests = guests
      self.withoutRoom = withoutRoom
      self.text = text
    }
  }

  /// Makes an answer.
  public init(vms: [VM] = [], nodes: [Node] = [], notes: [String] = []) {
    self.vms = vms
    self.nodes = nodes
    self.notes = notes
  }
}

extension NodeControl {
  /// No node can be read here.
  public func node(_ name: String) async throws(ControlError) -> NodeReading {
    throw Self.unsupported("reading node \(name)")
  }

  /// No node can be closed here.
  public func cordon(_ node: String, isCordoned: Bool) async throws(ControlError) {
    throw Self.unsupported("cordoning node \(node)")
  }

  /// Nothing moves guests away by itself here.
  public func evacuation(of subject: EvacuationSubject) async throws(ControlError) -> EvacuationReading {
    throw Self.notEvacuated("reading an evacuation")
  }

  /// Nothing moves guests away by itself here.
  public func stopEvacuation(of subject: EvacuationSubject) async throws(ControlError) -> [String] {
    throw Self.notEvacuated("ending an evacuation")
  }

  /// Nobody drains anything here.
  public func preflight(node: String?) async throws(ControlError) -> Preflight {
    throw Self.unsupported("a preflight")
  }

  /// The system itself chooses here.
  public func choices(for vm: VMRef) async throws(ControlError) -> MoveChoices? { nil }

  private static func notEvacuated(_ call: String) -> ControlError {
    ControlError(
      .unsupported, call: call, cause: "only KubeVirt moves guests away by itself, and this is no cluster",
      remedy: "end a migration with drover abort, and a drain of Drover's with drover drain --cancel")
  }

  private static func unsupported(_ call: String) -> ControlError {
    ControlError(
      .unsupported, call: call, cause: "this back end cannot do it",
      remedy: "ask a back end of a cluster or of a libvirt host with peers")
  }
}
