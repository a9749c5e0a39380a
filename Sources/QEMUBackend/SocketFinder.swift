internal import CLinux
internal import Glibc

/// A configured path or glob.
struct SocketPattern: Hashable, Sendable {
  let text: String
  let isGlob: Bool

  init(_ text: String) {
    self.text = text
    isGlob = text.utf8.contains {
      $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "[")
    }
  }

  /// The directory in front of the first wildcard.
  var fixedDirectory: String {
    var parts = text.split(separator: "/", omittingEmptySubsequences: true).dropLast()
    if let wild = parts.firstIndex(where: { SocketPattern(String($0)).isGlob }) { parts = parts[..<wild] }
    return "/" + parts.joined(separator: "/")
  }

  /// The paths that are found now, sorted; a path without wildcards always is.
  ///
  /// What cannot be looked at is not found.
  func matches() -> [String] {
    guard isGlob else { return [text] }
    var result = glob_t()
    defer { globfree(&result) }
    guard glob(text, 0, nil, &result) == 0, let names = result.gl_pathv else { return [] }
    return (0..<Int(result.gl_pathc)).compactMap { names[$0].map { String(cString: $0) } }
  }
}

/// Tells a socket file from another of the same name.
struct FileIdentity: Equatable {
  let device: UInt
  let inode: UInt
  let changed: Int
  let isSocket: Bool

  /// Nil where there is no such file.
  init?(_ path: String) {
    var info = stat()
    guard stat(path, &info) == 0 else { return nil }
    device = UInt(info.st_dev)
    inode = UInt(info.st_ino)
    changed = info.st_ctim.tv_sec &* 1_000_000_000 &+ info.st_ctim.tv_nsec
    isSocket = info.st_mode & S_IFMT == S_IFSOCK
  }
}

/// What a look at a path proves.
enum SocketPresence: Equatable {
  case there, missing
  /// The system could not look: no descriptors, no right to search.
  case unknown

  init(_ path: String) {
    var info = stat()
    if stat(path, &info) == 0 {
      self = info.st_mode & S_IFMT == S_IFSOCK ? .there : .missing
    } else {
      self = [ENOENT, ENOTDIR].contains(errno) ? .missing : .unknown
    }
  }
}

/// Managers that hold the monitors of their QEMUs themselves.
enum SocketOwner {
  /// A directory and whose sockets lie under it.
  typealias Place = (directory: String, owner: String)

  static let places: [Place] = [
    ("/var/lib/libvirt/qemu", "libvirt"), ("/run/libvirt", "libvirt"), ("/var/run/libvirt", "libvirt"),
    ("/run/qemu-server", "Proxmox"), ("/var/run/qemu-server", "Proxmox"),
  ]

  /// Whose sockets lie in the directory, as written or after its symbolic links; nil where nobody's.
  static func of(_ directory: String, in places: [Place]) -> String? {
    let spellings = [directory, resolved(directory)]
    return places.first { place in
      spellings.contains { $0 == place.directory || $0.hasPrefix(place.directory + "/") }
    }?.owner
  }

  /// Whose socket this is.
  static func ofSocket(_ path: String, in places: [Place]) -> String? {
    of(directory(of: resolved(path)), in: places) ?? of(directory(of: path), in: places)
  }

  private static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
    return String(path[..<slash])
  }

  /// The path without symbolic links; what does not exist is kept as written.
  private static func resolved(_ path: String) -> String {
    if let real = realpath(path, nil) {
      defer { free(real) }
      return String(cString: real)
    }
    guard path != "/", let slash = path.lastIndex(of: "/") else { return path }
    let parent = resolved(directory(of: path))
    return (parent == "/" ? "" : parent) + path[slash...]
  }
}
