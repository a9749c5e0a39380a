internal import DroverCore
internal import FoundationEssentials

/// The ConfigMap: claims, and why automatic aborts wait.
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
    /// Absent where an earlier Drover wrote it.
    var holds: Holds?
  }

  fileprivate struct Holds: Codable {
    var breaker: Breaker?
    var breakerResetAt: Int64?
    var partition: Partition?
    var partitionEndedAt: Int64?
    var losses: [String: Int64]?
    var asOf: Int64?
  }

  fileprivate struct Breaker: Codable {
    var since: Int64
    var lastWish: Int64
    var trigger: String
  }

  fileprivate struct Partition: Codable {
    var since: Int64
    var quiet: Int64
    var names: [String]
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
    var book = ClaimBook(claims)
    guard let told = content.holds else { return book }
    guard let holds = SharedHolds(told) else { return nil }
    book.holds = holds
    return book
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
      let holds = book.holds == SharedHolds() ? nil : Holds(book.holds)
      return String(
        decoding: try encoder.encode(Content(version: version, claims: entries, holds: holds)),
        as: UTF8.self)
    } catch {
      throw ControlError(.other, call: call, cause: "\(error)", remedy: "report this")
    }
  }
}

extension ClaimMap.Holds {
  fileprivate init(_ holds: SharedHolds) {
    self.init(
      breaker: holds.breaker.map {
        .init(since: $0.since, lastWish: $0.lastWish, trigger: $0.trigger.rawValue)
      },
      breakerResetAt: holds.breakerResetAt,
      partition: holds.partition.map { .init(since: $0.since, quiet: $0.quiet, names: $0.names) },
      partitionEndedAt: holds.partitionEndedAt,
      losses: holds.losses.isEmpty
        ? nil
        : Dictionary(holds.losses.map { ($0.migration.description, $0.at) }) { max($0, $1) },
      asOf: holds.asOf)
  }
}

extension SharedHolds {
  /// Nil where it is of a form that this Drover does not know.
  fileprivate init?(_ told: ClaimMap.Holds) {
    self.init()
    if let breaker = told.breaker {
      guard let trigger = Trigger(rawValue: breaker.trigger) else { return nil }
      self.breaker = Breaker(since: breaker.since, lastWish: breaker.lastWish, trigger: trigger)
    }
    breakerResetAt = told.breakerResetAt
    partition = told.partition.map { Partition(since: $0.since, quiet: $0.quiet, names: $0.names) }
    partitionEndedAt = told.partitionEndedAt
    for (id, at) in (told.losses ?? [:]).sorted(by: { ($0.value, $0.key) < ($1.value, $1.key) }) {
      guard let migration = MigrationID(id) else { return nil }
      losses.append(Loss(migration: migration, at: at))
    }
    asOf = told.asOf ?? 0
  }
}
