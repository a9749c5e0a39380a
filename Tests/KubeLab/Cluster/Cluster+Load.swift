import Foundation
import QEMURig

extension Cluster {
  /// What each loaded guest has behind it, or under way.
  public enum LoadedMigration: Sendable {
    /// Nothing.
    case none
    /// A migration that waits.
    case pending
    /// A migration that copies.
    case running
    /// A migration that has succeeded.
    case succeeded
    /// A migration that KubeVirt ended at its completion timeout.
    case failed
  }

  /// Fills the cluster with guests, a thousand of which take seconds.
  ///
  /// One is made through the API, and copies of what the server has made of it are put into etcd. They have
  /// no pods.
  ///
  /// - Parameters:
  ///   - count: How many guests.
  ///   - prefix: Their names are `<prefix>-00000` and so on, their migrations' `<prefix>-vmim-00000`.
  ///   - nodes: Where they are, in turn; a migration goes to the next one.
  ///   - migration: What each of them has.
  public func load(
    _ count: Int, prefix: String = "load", in namespace: String = "default", on nodes: [String],
    migration: LoadedMigration = .none
  ) async throws {
    let vm = try await addVMI("zz-guest", in: namespace, on: "zz-source")
    let played = migration == .none ? nil : try await play(migration, of: vm)
    let vmi = try await vm.object()
    var words = [
      ("zz-guest", "\(prefix)-{i}"), ("zz-source", "{source}"), ("zz-target", "{target}"),
      // With the prefix: another load makes other objects.
      (vmi.uid, "{uid:\(prefix)-vmi}"),
    ]
    if let domain = vmi[path: "spec", "domain", "firmware", "uuid"]?.string {
      words.append((domain, "{uid:\(prefix)-domain}"))
    }
    for pod in vmi[path: "status", "activePods"]?.members.keys.sorted() ?? [] {
      words.append((pod, "{uid:\(prefix)-pod\(words.count)}"))
    }
    var objects = [(Resource.vmis, vmi)]
    if let played, let vmim = try await played.object() {
      words += [(vmim.uid, "{uid:\(prefix)-vmim}"), (vmim.name, "\(prefix)-vmim-{i}")]
      objects.append((.vmims, vmim))
    }
    let templates = objects.map { resource, object in
      var object = object
      object[path: "metadata", "resourceVersion"] = nil
      let key = resource.etcdKey(object.name, in: object.namespace)
      return (key: key.replacing(all: words), json: object.text.replacing(all: words))
    }
    if let played { try await remove(played) }
    try await vm.delete()
    let shifted = Array(nodes.dropFirst() + nodes.prefix(1))
    try await server.load(templates, words: ["source": nodes, "target": shifted], count: count)
    // All objects of one transaction have one version: a list from the server's cache meanwhile would hold some
    // of them, and a watch from there on tells nothing of the others.
    for (resource, object) in objects {
      let last = object.name.replacing(all: words).replacingOccurrences(
        of: "{i}", with: String(format: "%05d", count - 1))
      let path = resource.path(last, in: namespace) + "?resourceVersion=0"
      try await api.settle("\(last) in the server's cache", within: 120) {
        try await self.api.request("GET", path).status == 200
      }
    }
  }

  private func play(_ migration: LoadedMigration, of vm: VM) async throws -> Migration {
    let played = try await createVMIM(for: vm)
    try await played.advance(to: migration == .pending ? .pending : .running, on: "zz-target")
    switch migration {
    case .none, .pending, .running: break
    case .succeeded: try await played.succeed()
    case .failed: try await played.fail(.completionTimeout(budget: 450))
    }
    return played
  }

  private func remove(_ migration: Migration) async throws {
    let (name, namespace) = (migration.name, migration.namespace)
    try await api.patch(.vmims, name, in: namespace, ["metadata": ["finalizers": .null]])
    try await api.delete(.vmims, name, in: namespace)
  }
}

extension String {
  fileprivate func replacing(all words: [(String, String)]) -> String {
    words.reduce(self) { text, word in text.replacing(word.0, with: word.1) }
  }
}
