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
    let (client, place) = try store(call)
    try await within(Self.claimDeadline, call) { () async throws(ControlError) in
      var left = Self.attempts
      while true {
        var (book, found) = try await Self.read(client, place, call)
        guard book.add(claim) else {
          throw ControlError(
            .refused, call: call, cause: "it was claimed already, by this Drover or one that led before",
            remedy: "look at what became of it: drover decisions, on each replica")
        }
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

/// The ConfigMap, and the claims in it.
struct ClaimMap: Codable, Sendable {
  struct Metadata: Codable, Sendable {
    var name: String
    var namespace: String
    var resourceVersion: String?
    var labels: [String: String]? = ["app.kubernetes.io/name": "drover"]
  }

  static let key = "claims.json"
  private static let version = 1

  var apiVersion: String? = "v1"
  var kind: String? = "ConfigMap"
  var metadata: Metadata
  var data: [String: String]?

  private struct Content: Codable {
    var version: Int
    var claims: [Entry]
  }

  private struct Entry: Codable {
    var migration: String
    var backend: String
    var namespace: String?
    var host: String?
    var vm: String
    var trigger: String
    var claimedAt: Int64
    var claimant: String?
  }

  /// What was claimed; nil where that cannot be read.
  var book: ClaimBook? {
    guard let text = data?[Self.key] else { return ClaimBook() }
    guard let content = try? JSONDecoder().decode(Content.self, from: Data(text.utf8)),
      content.version == Self.version
    else { return nil }
    var claims: [AbortClaim] = []
    for entry in content.claims {
      guard let migration = MigrationID(entry.migration), let trigger = Trigger(rawValue: entry.trigger),
        let scope = entry.namespace.map(Scope.namespace) ?? entry.host.map(Scope.host)
      else { return nil }
      var claim = AbortClaim(
        migration: migration,
        vm: VMRef(backend: BackendName(rawValue: entry.backend), scope: scope, name: entry.vm),
        trigger: trigger, claimedAt: entry.claimedAt)
      claim.claimant = entry.claimant ?? ""
      claims.append(claim)
    }
    return ClaimBook(claims)
  }

  static func text(_ book: ClaimBook, _ call: String) throws(ControlError) -> String {
    let entries = book.claims.map { claim in
      var entry = Entry(
        migration: claim.migration.description, backend: claim.vm.backend.rawValue, vm: claim.vm.name,
        trigger: claim.trigger.rawValue, claimedAt: claim.claimedAt)
      entry.claimant = claim.claimant.isEmpty ? nil : claim.claimant
      switch claim.vm.scope {
      case .namespace(let name): entry.namespace = name
      case .host(let name): entry.host = name
      }
      return entry
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    do {
      return String(
        decoding: try encoder.encode(Content(version: version, claims: entries)), as: UTF8.self)
    } catch {
      throw ControlError(.other, call: call, cause: "\(error)", remedy: "report this")
    }
  }
}
