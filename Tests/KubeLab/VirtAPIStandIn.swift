import QEMURig

/// Stands in for virt-api behind the real API server: `PUT .../virtualmachineinstances/NAME/evacuate/cancel`, which it
/// refuses with 400 while the VMI's node carries the taint of a drain.
public final class VirtAPIStandIn: Sendable {
  /// What was asked of it, and answered.
  public struct Request: Hashable, Sendable {
    /// The VMI, as `namespace/name`.
    public let vmi: String
    /// The node that it was to be marked for.
    public let node: String
    /// The HTTP status.
    public let status: Int
    /// Who asked the API server.
    public let user: String
  }

  private let helper: Helper
  private let cluster: Cluster

  private init(helper: Helper, cluster: Cluster) {
    self.helper = helper
    self.cluster = cluster
  }

  private static let services = Resource(
    "apiregistration.k8s.io", "v1", "APIService", "apiservices", isNamespaced: false)
  private static let name = "v1.subresources.kubevirt.io"

  /// Lends `body` one that the API server of a cluster sends to, once that says that it is available.
  public static func with<R: Sendable>(
    _ cluster: Cluster, _ body: (VirtAPIStandIn) async throws -> R
  ) async throws -> R {
    let server = cluster.server
    let helper = try Helper("virt_api.py", ["\(server.port)", server.caFile, User.admin.token])
    let standIn = VirtAPIStandIn(helper: helper, cluster: cluster)
    let result: Result<R, any Error>
    do {
      try await standIn.register(port: try await helper.perform("start")["port"]?.int ?? 0)
      result = .success(try await body(standIn))
    } catch { result = .failure(error) }
    try? await standIn.unregister()
    await helper.end()
    return try result.get()
  }

  private func register(port: Int64) async throws {
    try await cluster.addNamespace("kubevirt")
    try await cluster.api.create([
      "apiVersion": "v1", "kind": "Service",
      "metadata": ["name": "virt-api", "namespace": "kubevirt"],
      // An address is a name, too; nothing here would route to a cluster's own address.
      "spec": ["type": "ExternalName", "externalName": "127.0.0.1", "ports": [["port": .int(port)]]],
    ])
    let answer = try await cluster.api.request(
      "POST", Self.services.path(),
      body: [
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": ["name": .string(Self.name)],
        "spec": [
          "group": "subresources.kubevirt.io", "version": "v1", "groupPriorityMinimum": 1000,
          "versionPriority": 15,
          "insecureSkipTLSVerify": true,
          "service": ["name": "virt-api", "namespace": "kubevirt", "port": .int(port)],
        ],
      ])
    guard (200..<300).contains(answer.status) else { throw KubeLabError("APIService", "\(answer.status)") }
    // It is called available a moment before anything is sent to it.
    try await cluster.api.settle("the APIService") {
      try await cluster.api.request("GET", "/apis/subresources.kubevirt.io/v1").status == 200
    }
  }

  private func unregister() async throws {
    try await cluster.api.delete(Self.services, Self.name)
    try await cluster.api.delete(.services, "virt-api", in: "kubevirt")
  }

  /// What was asked of it, the oldest first.
  public var requests: [Request] {
    get async throws {
      try await helper.perform("log").array.map { asked in
        func text(_ key: String) -> String { asked[key]?.string ?? "" }
        return Request(
          vmi: text("vmi"), node: text("node"), status: Int(asked["status"]?.int ?? 0), user: text("by"))
      }
    }
  }

  /// Lets it be of a KubeVirt before 1.7, which knows no such part.
  public func setOld(_ isOld: Bool) async throws { try await helper.perform("age", ["old": .bool(isOld)]) }
}
