public import DroverCore

/// Which VM somebody meant by `vm`, `namespace/vm`, `host/vm` or `backend/namespace/vm`.
public enum VMLookup: Sendable {
  /// Exactly this one.
  case found(VMView)
  /// None has this name.
  case none
  /// Several have, and none may be guessed.
  case ambiguous([String])

  /// Looks for the fullest name first.
  public init(_ typed: String, in vms: some Sequence<VMView>) {
    let found = vms.filter { view in
      let vm = view.vm
      return typed == vm.name || typed == "\(vm.scope.name)/\(vm.name)" || typed == vm.fullName
    }
    switch found.count {
    case 0: self = .none
    case 1: self = .found(found[0])
    default: self = .ambiguous(found.map(\.vm.fullName).sorted())
    }
  }
}

extension VMRef {
  /// The back end's name, the namespace or host, and the VM's name.
  public var fullName: String { "\(backend.rawValue)/\(scope.name)/\(name)" }
}
