import Foundation
import Glibc
import KubeLab
import Kubernetes

/// Ten thousand guests on a real API server, a thousand of which migrate.
struct KubeFleet {
  static let vms = 10_000
  static let running = 1000
  static let nodes = (0..<20).map { String(format: "node-%02d", $0) }
  static let vmis = Resource.vmis.path()
  static let vmims = Resource.vmims.path()
  /// Everything that is watched.
  static let paths: [String] = [
    vmis, vmims, Resource.nodes.path(), Resource.kubeVirts.path(), Resource.policies.path(),
    Resource.namespaces.path(), Resource.events.path(), Resource.replicas.path(in: "longhorn-system"),
  ]

  let cluster: Cluster

  /// Lends `body` such a cluster.
  static func with<R: Sendable>(_ body: (KubeFleet) async throws -> R) async throws -> R {
    try await Cluster.with { cluster in
      for node in nodes { try await cluster.addNode(node, hasVirtHandler: false) }
      try await cluster.addKubeVirt()
      try await cluster.load(vms - running, prefix: "rests", on: nodes)
      try await cluster.load(running, prefix: "moves", on: nodes, migration: .running)
      return try await body(KubeFleet(cluster: cluster))
    }
  }

  func kubeconfig() throws -> String { try cluster.server.kubeconfig(.admin) }

  /// Lists with curl, in one process and over one connection, as whoever wants no indentation does.
  ///
  /// - Parameter directory: Where the lists go, in their order; nil for nowhere.
  /// - Returns: How long that took, in seconds.
  @discardableResult
  func curl(_ paths: [String], into directory: String? = nil) throws -> Double {
    var words = [
      "/usr/bin/curl", "-sSf", "-A", "x", "--cacert", cluster.server.caFile, "-H",
      "Authorization: Bearer \(User.admin.token)",
    ]
    for (index, path) in paths.enumerated() {
      let target = directory.map { "\($0)/\(index)" } ?? "/dev/null"
      words += ["-o", target, "\(cluster.server.address)\(path)?resourceVersion=0"]
    }
    let began = Meters.nanoseconds
    _ = try Child(words).rest()
    return Double(Meters.nanoseconds - began) / 1e9
  }

  /// Everything that is watched, as the server tells it, by path.
  func record() throws -> [String: [UInt8]] {
    let scratch = try Scratch()
    try curl(Self.paths, into: scratch.path)
    var lists: [String: [UInt8]] = [:]
    for (index, path) in Self.paths.enumerated() {
      lists[path] = Array(try Data(contentsOf: URL(filePath: "\(scratch.path)/\(index)")))
    }
    return lists
  }
}

/// Events of a watch of VMIs, made of a recorded list.
struct KubeEvents {
  private var items: [String] = []
  private(set) var meanLength = 0

  init(list: [UInt8]) throws {
    var scanner = JSONItemScanner()
    var items: [String] = []
    try scanner.scan(list) { items.append(String(decoding: $0, as: UTF8.self)) }
    guard !items.isEmpty else { throw BenchError("a recorded list without objects") }
    self.items = items
    meanLength = items.reduce(0) { $0 + $1.utf8.count } / items.count
  }

  /// Updates of one VMI after the other; one in ten has another node than before, and the last is on `last`.
  func updates(_ count: Int, last: String) -> [[UInt8]] {
    (0..<count).map { index in
      var item = items[index % items.count]
      if index == count - 1 {
        for node in KubeFleet.nodes {
          item = item.replacingOccurrences(of: "\"\(node)\"", with: "\"\(last)\"")
        }
      } else if index % 10 == 0 {
        let (one, other) = (KubeFleet.nodes[0], KubeFleet.nodes[1])
        item = item.replacingOccurrences(of: "\"\(one)\"", with: "\"\(other)\"")
      }
      return Array("{\"type\":\"MODIFIED\",\"object\":\(item)}\n".utf8)
    }
  }
}
