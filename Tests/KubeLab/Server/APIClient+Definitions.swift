import FoundationEssentials
import QEMURig

extension APIClient {
  /// Loads the definitions of `Tests/Lab/kube/crds` that are not there yet, and waits until they are served.
  public func loadDefinitions() async throws {
    let directory = "\(Helper.directory)/crds"
    for file in try FileManager.default.contentsOfDirectory(atPath: directory).sorted() {
      let text = String(decoding: try Data(contentsOf: URL(filePath: "\(directory)/\(file)")), as: UTF8.self)
      do { try await create(yaml: text) } catch let error as APIRefusal where error.reason == "AlreadyExists"
      {}
    }
    try await settle("the definitions") {
      for definition in try await self.list(.customResourceDefinitions) {
        let conditions = definition[path: "status", "conditions"]?.array ?? []
        guard conditions.contains(where: { $0["type"] == "Established" && $0["status"] == "True" }) else {
          return false
        }
      }
      for resource in Resource.all where resource.group.contains(".") {
        guard try await self.request("GET", resource.path() + "?limit=1").status == 200 else { return false }
      }
      return true
    }
  }

  /// Waits until something holds.
  public func settle(_ what: String, within seconds: Int = 30, _ holds: () async throws -> Bool) async throws
  {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while try await !holds() {
      guard ContinuousClock.now < deadline else {
        throw KubeLabError("waiting for \(what)", "not within \(seconds) s")
      }
      try await Task.sleep(for: .milliseconds(50))
    }
  }
}
