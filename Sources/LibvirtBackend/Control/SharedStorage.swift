internal import CLibvirt

/// Whether a file is on storage that other hosts have, too; nil where that cannot be told.
///
/// By the kind of its file system, as libvirt itself decides before it migrates.
///
/// - Parameter root: Where the host's files are.
func isOnSharedStorage(_ path: String, root: String) -> Bool? {
  var info = statfs()
  let prefix = root.hasSuffix("/") ? String(root.dropLast()) : root
  guard path.hasPrefix("/"), statfs(prefix + path, &info) == 0 else { return nil }
  return isSharedFileSystem(UInt32(truncatingIfNeeded: info.f_type))
}

/// Whether a kind of file system, by its magic number, is one that hosts share; nil for FUSE, which may be anything.
func isSharedFileSystem(_ magic: UInt32) -> Bool? {
  switch magic {
  case 0x6573_5546: nil
  case 0x6969,  // NFS
    0x0116_1970,  // GFS2
    0x7461_636F,  // OCFS2
    0x5346_414F,  // AFS
    0x517B, 0xFF53_4D42, 0xFE53_4D42,  // SMB, CIFS
    0x00C3_6400,  // Ceph
    0x4750_4653,  // GPFS
    0x0BD0_0BD0,  // Lustre
    0x6163_6673,  // ACFS
    0x1983_0326:  // BeeGFS
    true
  default: false
  }
}
