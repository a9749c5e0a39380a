public import DroverCore

/// Which VM somebody meant who typed `name`, `namespace/name`, or `backend/namespace/name`.
public enum VMLookup: Hashable, Sendable {
  /// Exactly this one.
  case found(VMPath)
  /// None has this name.
  case none
  /// Several have, and none may be guessed.
  case ambiguous([VMPath])

  /// Looks among the VMs that are known; one that is typed in full need not be.
  public init(_ typed: String, in items: [VMItem]) {
    let parts = typed.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    let paths = items.map { VMPath(backend: $0.backend, scope: $0.namespace ?? $0.host ?? "", name: $0.vm) }
    switch parts.count {
    case 1: self.init(paths.filter { $0.name == parts[0] })
    case 2: self.init(paths.filter { $0.scope == parts[0] && $0.name == parts[1] })
    case 3 where !parts.contains(""):
      self = .found(VMPath(backend: parts[0], scope: parts[1], name: parts[2]))
    default: self = .none
    }
  }

  /// The same among the VMs of a snapshot.
  public init(_ typed: String, in views: some Sequence<VMView>) {
    let parts = typed.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    self.init(
      views.lazy.map { VMPath($0.vm) }.filter { path in
        [path.backend, path.scope, path.name].suffix(parts.count) == parts[...]
      })
  }

  private init(_ found: [VMPath]) {
    self = found.count > 1 ? .ambiguous(found) : found.first.map { .found($0) } ?? .none
  }
}

/// Names a VM in the API.
public struct VMPath: Hashable, Sendable, CustomStringConvertible {
  /// The back end's configured name.
  public var backend: String
  /// Its namespace or host.
  public var scope: String
  /// Its name.
  public var name: String

  /// Names a VM.
  public init(backend: String, scope: String, name: String) {
    self.backend = backend
    self.scope = scope
    self.name = name
  }

  /// Names a VM that is known.
  public init(_ vm: VMRef) { self.init(backend: vm.backend.rawValue, scope: vm.scope.name, name: vm.name) }

  /// As it is typed in full.
  public var description: String { "\(backend)/\(scope)/\(name)" }
}

extension FleetSnapshot {
  /// The VM at a path; nil where none is known there.
  func vm(at path: VMPath) -> VMView? { vms.first { VMPath($0.vm) == path } }
}
