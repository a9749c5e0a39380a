public import DroverCore

/// What a migration can be named by.
public protocol MigrationNames {
  /// Its identifier.
  var lookupID: String { get }
  /// Other names: `namespace/vm` or `host/vm`, also behind the back end's, and `namespace/object` where there is one.
  var lookupNames: [String] { get }
  /// The VM's name alone, which may mean several.
  var lookupVM: String { get }
  /// Whether it is over; running ones are preferred.
  var isOver: Bool { get }
}

extension MigrationView: MigrationNames {
  /// Its identifier.
  public var lookupID: String { identity.id.description }
  /// Its VM's name.
  public var lookupVM: String { identity.vm.name }
  /// Its VM's scope, and the VM's name or its own.
  public var lookupNames: [String] {
    names(VMPath(identity.vm), object: facts.object)
  }
}

extension MigrationItem: MigrationNames {
  /// Its identifier.
  public var lookupID: String { id }
  /// Its VM's name.
  public var lookupVM: String { vm }
  /// Its VM's scope, and the VM's name or its own.
  public var lookupNames: [String] {
    names(VMPath(backend: backend, scope: scope, name: vm), object: object ?? "")
  }
  /// Whether it is over.
  public var isOver: Bool { ending != nil }

  /// The namespace or host, whichever there is.
  public var scope: String { namespace ?? host ?? "" }
}

private func names(_ vm: VMPath, object: String) -> [String] {
  ["\(vm.scope)/\(vm.name)", vm.description] + (object.isEmpty ? [] : ["\(vm.scope)/\(object)"])
}

/// Which migration somebody meant.
public enum MigrationLookup<Migration: MigrationNames & Sendable>: Sendable {
  /// Exactly this one.
  case found(Migration)
  /// None has this name.
  case none
  /// Several have, and none may be guessed.
  case ambiguous([Migration])

  /// Looks for an identifier, else for another name, else for a VM's name alone; running migrations come before ended
  /// ones.
  public init(_ typed: String, in migrations: some Sequence<Migration>) {
    var named: [Migration] = []
    var bare: [Migration] = []
    for migration in migrations {
      if migration.lookupID == typed {
        self = .found(migration)
        return
      }
      if migration.lookupNames.contains(typed) {
        named.append(migration)
      } else if migration.lookupVM == typed {
        bare.append(migration)
      }
    }
    let meant = named.isEmpty ? bare : named
    let running = meant.filter { !$0.isOver }
    let candidates = running.isEmpty ? meant : running
    switch candidates.count {
    case 0: self = .none
    case 1: self = .found(candidates[0])
    default: self = .ambiguous(candidates)
    }
  }
}
