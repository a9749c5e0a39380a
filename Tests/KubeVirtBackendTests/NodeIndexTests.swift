import Testing

@testable import DroverCore
@testable import KubeVirtBackend
@testable import Kubernetes

@Suite("Where VMs and replicas are")
struct NodeIndexTests {
  /// The same numbers each time.
  private struct Dice: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var mixed = state
      mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
      return mixed ^ (mixed >> 31)
    }
  }

  private static let nodes = ["node-a", "node-b", "node-c", ""]

  @Test("VMs by node agree with a plain list after any changes, and each change names its nodes")
  func vms() throws {
    var dice = Dice(state: 3)
    var book = PlaceBook()
    var model: [VMName: VMRecord] = [:]
    for _ in 0..<1500 {
      let made = MadeVMI(
        name: "vm\(Int.random(in: 0..<8, using: &dice))",
        phase: Bool.random(using: &dice) ? "Running" : "Succeeded",
        node: Self.nodes.randomElement(using: &dice) ?? "",
        evacuationNode: Self.nodes.randomElement(using: &dice) ?? "",
        activePods: ["p": Self.nodes.randomElement(using: &dice) ?? ""])
      let name = VMName(namespace: made.namespace, name: made.name)
      let after = try Int.random(in: 0..<4, using: &dice) == 0 ? nil : VMRecord(made.decoded())
      let before = model[name]
      let concerned = book.take(name, from: before, to: after)
      model[name] = after
      for node in Self.nodes.dropLast() {
        let here = Set(model.filter { $0.value.places.contains(node) }.keys)
        #expect(book.vms(on: node) == here)
        #expect(book.marked(on: node) == here.filter { model[$0]?.evacuationNode == node })
        let changes = before?.places.contains(node) != after?.places.contains(node)
        if changes, (before?.places.contains(node) ?? false) || (after?.places.contains(node) ?? false) {
          #expect(concerned.contains(node))
        }
      }
    }
  }

  @Test("Migrations by node agree with a plain list after any changes")
  func moves() {
    var dice = Dice(state: 5)
    var book = PlaceBook()
    var model: [String: PlaceBook.Move] = [:]
    for _ in 0..<3000 {
      let uid = "m\(Int.random(in: 0..<10, using: &dice))"
      func node() -> String { Self.nodes.randomElement(using: &dice) ?? "" }
      let move = PlaceBook.Move(
        vm: VMName(namespace: "default", name: uid), source: node(), targets: [node()],
        isWaiting: Bool.random(using: &dice), needsSource: Bool.random(using: &dice), evacuates: node())
      let after = Bool.random(using: &dice) ? move : nil
      _ = book.take(uid, after)
      #expect(book.take(uid, after) == [], "nothing is new the second time")
      model[uid] = after
      #expect(book.move(uid) == after)
      for node in Self.nodes.dropLast() {
        let expected = model.filter {
          $0.value.source == node || $0.value.targets.contains(node) || $0.value.evacuates == node
        }
        #expect(Set(book.moves(at: node).map(\.uid)) == Set(expected.keys))
      }
      #expect(book.moves(at: "").isEmpty)
    }
  }

  @Test("Last replicas agree with a plain look at all of them after any changes")
  func replicas() throws {
    var dice = Dice(state: 7)
    var book = ReplicaBook()
    var model: [String: LonghornReplica] = [:]
    var unready: Set<String> = []
    for _ in 0..<3000 {
      let made = MadeReplica(
        name: "r\(Int.random(in: 0..<9, using: &dice))", volume: "v\(Int.random(in: 0..<3, using: &dice))",
        node: Self.nodes.randomElement(using: &dice) ?? "", failed: Bool.random(using: &dice) ? 1 : nil,
        isStarted: Bool.random(using: &dice))
      let replica = try made.decoded()
      let before = Set(Self.nodes.filter(book.hasLast))
      let concerned: Set<String>
      switch Int.random(in: 0..<4, using: &dice) {
      case 0:
        model[replica.metadata.uid] = nil
        concerned = book.remove(replica.metadata.uid)
      case 1:
        let isReady = Bool.random(using: &dice)
        if isReady { unready.remove(replica.node) } else { unready.insert(replica.node) }
        concerned = book.setReady(replica.node, isReady)
      default:
        model[replica.metadata.uid] = replica
        concerned = book.set(replica)
      }
      let after = Set(Self.nodes.filter(book.hasLast))
      #expect(after == Self.holders(model.values, unready))
      #expect(before.symmetricDifference(after).isSubset(of: concerned))
    }
  }

  private static func holders(_ all: some Collection<LonghornReplica>, _ unready: Set<String>) -> Set<String>
  {
    var holders: Set<String> = []
    for volume in Set(all.map(\.volume)) {
      let here = all.filter { $0.volume == volume && !$0.node.isEmpty }
      let healthy = Set(here.filter(\.isHealthy).map(\.node))
      for node in nodes where !node.isEmpty {
        let others = healthy.subtracting([node])
        let isLast = healthy.contains(node) && others.isEmpty
        let isLastReadable =
          healthy.contains(node) && !unready.contains(node) && others.isSubset(of: unready)
        let started = here.filter(\.isStarted)
        if isLast || isLastReadable || (started.count == 1 && started[0].node == node) {
          holders.insert(node)
        }
      }
    }
    return holders
  }
}
