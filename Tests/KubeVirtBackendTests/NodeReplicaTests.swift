import Testing

@testable import DroverCore
@testable import KubeVirtBackend

@Suite("The last replica of a Longhorn volume")
struct NodeReplicaTests {
  @Test("Blocks where it is healthy and on the node, until another one is")
  func last() {
    var script = ClusterScript.cordoned()
    script.put(MadeReplica())
    #expect(script.blockers() == [.lastReplica])
    #expect(script.isDrained() == false)
    script.put(MadeReplica(name: "r2", node: "node-b"))
    #expect(script.isDrained() == true)
    script.put(MadeReplica(name: "r2", node: "node-b", failed: 5))
    #expect(script.blockers() == [.lastReplica])
    script.put(MadeReplica(name: "r2", node: "node-b", healthy: nil))
    #expect(script.blockers() == [.lastReplica], "one that is being rebuilt holds no whole copy")
    script.put(MadeReplica(name: "r2", node: "node-b", deleted: 5))
    #expect(script.blockers() == [.lastReplica])
    script.take(.replicaGone(uid: "r1-uid"))
    script.take(.replicaGone(uid: "r2-uid"))
    script.take(.replicaGone(uid: "r2-uid"))
    #expect(script.isDrained() == true)
  }

  @Test("Is one of many volumes, wherever their other replicas are")
  func many() {
    var script = ClusterScript.cordoned()
    for n in 1...5 {
      script.put(MadeReplica(name: "a\(n)", volume: "v\(n)"))
      script.put(MadeReplica(name: "b\(n)", volume: "v\(n)", node: "node-b"))
    }
    #expect(script.isDrained() == true)
    script.put(MadeReplica(name: "b3", volume: "v3", node: "node-b", failed: 1))
    #expect(script.blockers() == [.lastReplica])
    script.put(MadeReplica(name: "a3", volume: "v6"))
    #expect(script.blockers() == [.lastReplica], "its volume is another one now, which has no other")
    script.put(MadeReplica(name: "a3", volume: "v3", failed: 1))
    #expect(script.isDrained() == true, "a volume without a copy loses none")
  }

  @Test("Two copies on one node are one")
  func sameNode() {
    var script = ClusterScript.cordoned()
    script.put(MadeReplica(name: "r1"))
    script.put(MadeReplica(name: "r2"))
    #expect(script.blockers() == [.lastReplica])
  }

  @Test("A copy on a node that is not ready is none that could be read, as long as it is not")
  func unready() {
    var script = ClusterScript.cordoned()
    script.put(MadeReplica(name: "r1"))
    script.put(MadeReplica(name: "r2", node: "node-b"))
    #expect(script.isDrained() == true)
    script.put(MadeNode(name: "node-b", ready: "Unknown"))
    #expect(script.blockers() == [.lastReplica])
    script.put(MadeNode(name: "node-b"))
    #expect(script.isDrained() == true)
  }

  @Test("Harvester asks for the last that runs, which counts too")
  func started() {
    var script = ClusterScript.cordoned()
    script.put(MadeReplica(name: "r1"))
    script.put(MadeReplica(name: "r2", node: "node-b", isStarted: false))
    #expect(script.blockers() == [.lastReplica])
    script.put(MadeReplica(name: "r1", isStarted: false))
    #expect(
      script.isDrained() == true, "a volume that is not attached runs nowhere, and has two whole copies")
  }

  @Test(
    "Where they may not be read, or have not been, each node may have one; where there is no Longhorn, none")
  func unreadable() {
    var script = ClusterScript(empty: 0)
    script.put(MadeNode.cordoned())
    for resource in ClusterResource.allCases where resource != .replicas { script.take(.synced(resource)) }
    #expect(script.node("node-a") == nil, "nothing is told before everything has been read that can be")
    script.take(.failed(.replicas, .denied))
    #expect(script.blockers() == [.lastReplica])
    script.take(.failed(.replicas, .passing))
    #expect(script.blockers() == [.lastReplica])
    script.take(.failed(.replicas, .absent))
    script.advance(to: 1)
    #expect(script.isDrained() == true)
    script.take(.synced(.replicas))
    script.advance(to: 2)
    #expect(script.isDrained() == true)
    script.take(.failed(.replicas, .denied))
    script.advance(to: 3)
    #expect(script.blockers() == [.lastReplica])
    script.take(.synced(.replicas))
    script.advance(to: 4)
    #expect(script.isDrained() == true)
  }

  @Test(
    "A server that knows their kind no more for a moment has not lost them; one that never does again has")
  func disowned() {
    var script = ClusterScript.cordoned()
    script.take(.failed(.replicas, .absent))
    script.live(to: 31, without: [.replicas])
    #expect(script.blockers() == [.lastReplica])
    script.take(.failed(.replicas, .absent))
    script.live(to: 599, without: [.replicas])
    #expect(script.blockers() == [.lastReplica])
    script.live(to: 600, without: [.replicas])
    script.take(.failed(.replicas, .absent))
    script.live(to: 601, without: [.replicas])
    #expect(script.isDrained() == true)
  }

  @Test("What was read of them long ago says nothing")
  func old() {
    var script = ClusterScript.cordoned()
    script.take(.failed(.replicas, .passing))
    script.live(to: 30, without: [.replicas])
    #expect(script.isDrained() == true)
    script.live(to: 32, without: [.replicas])
    #expect(script.blockers() == [.lastReplica])
  }
}
