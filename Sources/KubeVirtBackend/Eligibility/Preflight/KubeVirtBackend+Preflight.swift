public import DroverCore
internal import Kubernetes

extension KubeVirtBackend {
  /// Finds out what a drain would do to each VM, and whether the other nodes have room.
  ///
  /// Reads a list of each kind of object, within 60 s, and no object by itself; several questions within 10 s share that.
  /// Throws `.gone` for a node that is not there, and what the list of VMIs ends with where that cannot be read.
  public func preflight(node: String?) async throws(ControlError) -> Preflight {
    let call = node.map { "a preflight of node \($0)" } ?? "a preflight"
    let client = try running(call)
    let namespaces = configuration.namespaces
    let index = try await preflights.index { () async throws(ControlError) in
      try await PreflightReader(source: client, namespaces: namespaces).facts()
    }
    if let node, index.facts.nodes.value != nil, index.nodes[node] == nil {
      throw ControlError(
        .gone, call: call, cause: "there is no node of that name", remedy: "kubectl get nodes shows them")
    }
    return PreflightRules(index, backend: descriptor.name).preflight(node: node)
  }
}
