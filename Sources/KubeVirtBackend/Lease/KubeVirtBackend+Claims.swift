public import DroverCore
internal import FoundationEssentials
internal import Kubernetes

extension KubeVirtBackend: ClaimStore {
  private static let configMaps = Resource(plural: "configmaps")
  private static let claimDeadline = Duration.seconds(5)
  /// Somebody else may write at the same time, but not again and again.
  private static let attempts = 3

  /// Reads the ConfigMap beside the Lease; nothing is claimed where there is none.
  public func claims() async throws(ControlError) -> ClaimBook {
    let call = "reading what other Drovers claimed"
    let (client, place) = try store(call)
    return try await within(Self.claimDeadline, call) { () async throws(ControlError) in
      try await Self.read(client, place, call).book
    }
  }

  /// Adds a claim to it, if it is still as it was read.
  public func claim(_ claim: AbortClaim) async throws(ControlError) {
    let call = "claiming migration \(claim.migration)"
    try await change(call) { book throws(ControlError) in
      guard book.add(claim) else {
        throw ControlError(
          .refused, call: call, cause: "it was claimed already, by this Drover or one that led before",
          remedy: "look at what became of it: drover decisions, on each replica")
      }
    }
  }

  /// Adds why automatic aborts wait, if it is still as it was read.
  public func share(_ holds: SharedHolds) async throws(ControlError) {
    try await change("telling other Drovers of holds") { $0.holds.merge(holds) }
  }

  private func change(
    _ call: String, _ change: @escaping @Sendable (inout ClaimBook) throws(ControlError) -> Void
  ) async throws(ControlError) {
    let (client, place) = try store(call)
    try await within(Self.claimDeadline, call) { () async throws(ControlError) in
      var left = Self.attempts
      while true {
        var (book, found) = try await Self.read(client, place, call)
        try change(&book)
        do throws(ControlError) {
          return try await Self.write(book, found, client, place, call)
        } catch {
          left -= 1
          guard error.kind == .replaced, left > 0 else { throw error }
        }
      }
    }
  }

  private struct Place: Sendable {
    var namespace: String
    var name: String
    var path: ResourcePath { KubeVirtBackend.configMaps.named(name, in: namespace) }
  }

  private func store(_ call: String) throws(ControlError) -> (KubernetesClient, Place) {
    guard let lease = configuration.lease else {
      throw ControlError(
        .unsupported, call: call, cause: "there is no election", remedy: "name a Lease in kubevirt.lease")
    }
    return (try running(call), Place(namespace: lease.namespace, name: lease.name))
  }

  private static func read(
    _ client: KubernetesClient, _ place: Place, _ call: String
  ) async throws(ControlError) -> (book: ClaimBook, found: ClaimMap?) {
    let map: ClaimMap
    do throws(KubernetesError) {
      map = try await client.get(place.path)
    } catch {
      if error.kind == .notFound { return (ClaimBook(), nil) }
      throw ControlError(error, call)
    }
    guard let book = map.book else {
      throw ControlError(
        .other, call: call, cause: "\(place.path) is not of this Drover's form",
        remedy: "a newer Drover wrote it: upgrade this one; or delete it if nobody acts")
    }
    return (book, map)
  }

  private static func write(
    _ book: ClaimBook, _ found: ClaimMap?, _ client: KubernetesClient, _ place: Place, _ call: String
  ) async throws(ControlError) {
    var map = found ?? ClaimMap(metadata: .init(name: place.name, namespace: place.namespace))
    map.data = [ClaimMap.key: try ClaimMap.text(book, call)]
    do throws(KubernetesError) {
      if found == nil {
        try await client.create(map, in: configMaps.within(place.namespace))
      } else {
        try await client.update(place.path, with: map)
      }
    } catch {
      // Two that make it at once are the same as two that change it at once.
      if error.kind == .alreadyExists {
        throw ControlError(.replaced, call: call, cause: "\(error)", remedy: "try again", mayBeDone: false)
      }
      throw ControlError(error, call)
    }
  }
}
