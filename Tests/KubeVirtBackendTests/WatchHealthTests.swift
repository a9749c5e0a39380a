import Testing

@testable import DroverCore
@testable import KubeVirtBackend
@testable import Kubernetes

@Suite("How the watches of a cluster do")
struct WatchHealthTests {
  private static let nodes = WatchKey(resource: .nodes, namespace: "")
  private static let vmis = WatchKey(resource: .vmis, namespace: "")

  private var health = WatchHealth([nodes, vmis])

  private mutating func answered(at second: Double) -> Set<ClusterResource> {
    Set(health.answered(at: TestTime.moment(second)))
  }

  @Test("An answer of the server is a sign of life of those that are open")
  mutating func open() {
    _ = health.synced(Self.nodes, at: TestTime.moment(1))
    let first = answered(at: 2)
    #expect(first == [.nodes])
    _ = health.synced(Self.vmis, at: TestTime.moment(3))
    let both = answered(at: 4)
    #expect(both == [.nodes, .vmis])
    _ = health.failed(Self.nodes, .closed, "closed")
    let rest = answered(at: 5)
    #expect(rest == [.vmis])
  }

  @Test("One that goes on after a failure without another list is open again")
  mutating func resumed() {
    _ = health.synced(Self.nodes, at: TestTime.moment(1))
    _ = health.failed(Self.nodes, .closed, "closed")
    let isNews = health.seen(Self.nodes, at: TestTime.moment(2))
    #expect(isNews)
    let open = answered(at: 3)
    #expect(open == [.nodes])
  }

  @Test("One whose first list is not complete is not")
  mutating func unread() {
    _ = health.seen(Self.nodes, at: TestTime.moment(1))
    let open = answered(at: 2)
    #expect(open == [])
  }

  @Test("Why it is down is told until it is up again, and of what is vital only")
  mutating func problem() {
    _ = health.failed(Self.nodes, .forbidden, "not allowed")
    #expect(health.problem == nil)
    _ = health.failed(Self.vmis, .connect, "connection refused")
    #expect(health.problem == "\(ClusterResource.vmis.rawValue) cannot be watched: connection refused")
    health.silence = "timed out"
    #expect(health.problem == "timed out")
    _ = health.answered(at: TestTime.moment(1))
    _ = health.seen(Self.vmis, at: TestTime.moment(2))
    #expect(health.problem == nil)
  }
}
