import DroverCore
import FoundationEssentials
import LibvirtBackend
import LibvirtLab
import Testing

@testable import ScenarioSupport

/// What ends and starts migrations, on hosts that are real.
extension Scene {
  /// Both hosts with a watcher; the source may send to the other one, over the wire for data.
  static func controlled<R: Sendable>(
    peers: @escaping @Sendable (LabHosts) -> [LibvirtPeer] = { [.other($0)] },
    _ body: (Scene) async throws -> R
  ) async throws -> R {
    try await LabHosts.with(keepalive: .fast) { lab in
      try await watching(lab, configure: { $0.peers = peers(lab) }, body)
    }
  }

  /// What acts on the host that guests leave.
  var control: LibvirtBackend { get throws { try #require(backends[.a]) } }

  /// A migration, as somebody who has seen it names it.
  func target(_ view: MigrationView) -> MigrationTarget {
    MigrationTarget(id: view.identity.id, vm: view.identity.vm, domain: view.identity.domain)
  }

  /// The migration of a guest that has a job, whether or not it was seen.
  func targetByJob(_ name: String = "g") async throws -> MigrationTarget {
    let uuid = try await lab.virsh(.a, ["domuuid", name])
    let deadline = ContinuousClock.now + .seconds(20)
    var elapsed: UInt64?
    while elapsed == nil, ContinuousClock.now < deadline {
      elapsed = try await lab.jobFigures(name)["time_elapsed"]
    }
    let started = Int64(Date().timeIntervalSince1970 * 1000) - Int64(try #require(elapsed))
    let domain = try #require(DomainKey(uuid: uuid))
    return MigrationTarget(
      id: MigrationID(domain: domain, startedUnixMilliseconds: started), vm: vm(name), domain: domain)
  }

  func vm(_ name: String = "g") -> VMRef {
    VMRef(backend: BackendName(rawValue: "a"), scope: .host("lab-a"), name: name)
  }

  func live(_ target: MigrationTarget) async throws -> LiveMigration { try await control.live(target) }

  /// Aborts a migration that may be aborted, and waits for its end.
  @discardableResult
  func abort(_ target: MigrationTarget) async throws -> MigrationView {
    // As who decides does before it sends.
    watcher.announceAbort(of: target.id, cause: .userAbort)
    try await control.abort(target)
    return try await untilOver(target.id)
  }

  /// Why an abort is not sent; nil where it is.
  func abortError(_ target: MigrationTarget) async throws -> ControlError? {
    await error { () throws(ControlError) in try await (try? control)?.abort(target) }
  }
}

extension LibvirtPeer {
  static func other(_ lab: LabHosts) -> LibvirtPeer {
    LibvirtPeer(
      name: "b", uri: "qemu+tcp://\(lab.address(.b, on: .ctl))/system",
      migrateURI: "tcp://\(lab.address(.b, on: .mig))", checkURI: lab.uri(.b))
  }
}

/// What a call throws; nil where it throws nothing.
func error<R>(_ body: () async throws(ControlError) -> R) async -> ControlError? {
  do throws(ControlError) {
    _ = try await body()
    return nil
  } catch {
    return error
  }
}
