internal import CLibvirt

/// What libvirt is asked for to start a migration: live, and led by the source's daemon.
///
/// A persistent domain is defined at the target and undefined at the source, a transient one just goes; both as by
/// `virsh migrate --live --p2p`, with `--persistent --undefinesource`. Disks are not copied, and nothing is forced.
struct MigrationRequest: Hashable, Sendable {
  var domain: String
  var isPersistent: Bool
  var peer: LibvirtPeer

  var flags: UInt32 {
    var flags = VIR_MIGRATE_LIVE.rawValue | VIR_MIGRATE_PEER2PEER.rawValue
    if isPersistent {
      flags |= VIR_MIGRATE_PERSIST_DEST.rawValue | VIR_MIGRATE_UNDEFINE_SOURCE.rawValue
    }
    return flags
  }

  /// The same as a command.
  var words: String {
    var words = ["virsh", "migrate", "--live", "--p2p"]
    if isPersistent { words += ["--persistent", "--undefinesource"] }
    words += [domain, peer.uri]
    if !peer.migrateURI.isEmpty { words.append(peer.migrateURI) }
    return words.joined(separator: " ")
  }
}
