import DroverCore
import Testing

@testable import KubeVirtBackend
@testable import Kubernetes

@Suite("Whether the guests of one node find room on the others")
struct RoomRulesTests {
  private func mover(_ name: String, gib: Int64?, on targets: [String], unsure: [String] = [])
    -> RoomRules.Mover
  {
    RoomRules.Mover(
      vm: VMRef(backend: BackendName(rawValue: "prod"), scope: .namespace("default"), name: name),
      needs: gib.map { ["memory": Amount($0 << 30), "cpu": Amount(1)] }, targets: targets, unsure: unsure)
  }

  private func left(gib: Int64, cores: Int64 = 64, pods: Int64? = 100) -> Amounts {
    var amounts = ["memory": Amount(gib << 30), "cpu": Amount(cores)]
    amounts["pods"] = pods.map { Amount($0) }
    return amounts
  }

  private func names(_ verdict: RoomRules.Verdict) -> [String]? { verdict.withoutRoom?.map(\.name) }

  @Test("The largest come first, so that the small ones do not take their place")
  func decreasing() {
    let movers = [
      mover("small", gib: 2, on: ["b", "c"]), mover("large", gib: 8, on: ["b", "c"]),
      mover("middle", gib: 4, on: ["b", "c"]),
    ]
    let free = ["b": left(gib: 8), "c": left(gib: 6)]
    #expect(names(RoomRules.verdict(movers, free: free)) == [])
    #expect(names(RoomRules.verdict(movers, free: ["b": left(gib: 8), "c": left(gib: 5)])) == ["small"])
  }

  @Test("Room that one took is not there for the next, of each resource and of places for pods")
  func taken() {
    let movers = [mover("one", gib: 1, on: ["b"]), mover("two", gib: 1, on: ["b"])]
    #expect(names(RoomRules.verdict(movers, free: ["b": left(gib: 2)])) == [])
    #expect(names(RoomRules.verdict(movers, free: ["b": left(gib: 1)])) == ["two"])
    #expect(names(RoomRules.verdict(movers, free: ["b": left(gib: 9, cores: 1)])) == ["two"])
    let pods = RoomRules.verdict(movers, free: ["b": left(gib: 9, pods: 1)])
    #expect(names(pods) == ["two"] && pods.text.contains("one more pod"))
    #expect(names(RoomRules.verdict(movers, free: ["b": left(gib: 9, pods: nil)])) == [])
  }

  @Test("Room on a node that a guest may not go to is none for it")
  func targets() {
    let movers = [mover("bound", gib: 2, on: ["b"]), mover("free", gib: 4, on: ["b", "c"])]
    let verdict = RoomRules.verdict(movers, free: ["b": left(gib: 1), "c": left(gib: 64)])
    #expect(names(verdict) == ["bound"])
    #expect(
      verdict.text.contains("it needs 2 GiB of memory, and at most 1 GiB would be left (b)"),
      "\(verdict.text)")
    #expect(
      names(RoomRules.verdict([mover("nowhere", gib: 1, on: [])], free: ["b": left(gib: 9)])) == ["nowhere"])
  }

  @Test("What is not known is no room, and no want of it either")
  func unknown() {
    let free = ["b": left(gib: 8)]
    #expect(RoomRules.verdict([mover("x", gib: 1, on: ["b"])], free: nil).withoutRoom == nil)
    #expect(RoomRules.verdict([mover("x", gib: nil, on: ["b"])], free: free).withoutRoom == nil)
    let unsure = RoomRules.verdict([mover("x", gib: 1, on: [], unsure: ["b"])], free: free)
    #expect(unsure.withoutRoom == nil && unsure.text.contains("default/x"))
    // Where there would be no room anyway, that is known.
    #expect(names(RoomRules.verdict([mover("x", gib: 9, on: [], unsure: ["b"])], free: free)) == ["x"])
    #expect(
      names(RoomRules.verdict([mover("x", gib: 9, on: ["b"]), mover("y", gib: nil, on: ["b"])], free: free))
        == ["x"])
    #expect(names(RoomRules.verdict([], free: nil)) == [])
  }

  @Test(
    "What a node has left: what its pods ask is taken, rounded as the scheduler does, and a place for each")
  func free() throws {
    let node: PlacementNode = try TestCluster.node("b").decoded()
    let pod: PlacementPod = try JSON.object([
      "metadata": ["name": "p", "namespace": "x", "uid": "p"],
      "spec": [
        "nodeName": "b",
        "containers": [["resources": ["requests": ["cpu": "1500u", "memory": "4Gi", "other": "1"]]]],
      ],
    ]).decoded()
    let free = RoomRules.free([node], ["b": [pod, pod]])["b"]
    #expect(free?["memory"] == Amount(56 << 30) && free?["pods"] == Amount(108))
    #expect(free?["cpu"] == Amount(nanos: 15_996_000_000))
    #expect(RoomRules.fits(["other": Amount(1)], free ?? [:]) == false)
    #expect(RoomRules.fits(["devices.kubevirt.io/kvm": Amount(1)], free ?? [:]))
  }
}
