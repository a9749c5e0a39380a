internal import Glibc
internal import Posix

/// The file of a listening Unix socket.
struct UnixSocketFile: Sendable {
  private let path: String
  private let device: dev_t
  private let inode: ino_t

  /// Binds a socket at a path, replacing a file that nobody listens behind any more.
  ///
  /// Everybody may connect (mode 0666): who may do what is told by the peer's credentials.
  static func open(_ path: String, name: String) throws(HTTPServerError) -> (Int32, UnixSocketFile) {
    let address = try address(path, name)
    try removeStale(path, address, name)
    let descriptor = try openSocket(AF_UNIX, name)
    let bound = address.bind(descriptor)
    // Nobody can connect before `listen`, so the mode is never seen otherwise.
    guard bound == 0, chmod(path, 0o666) == 0, let status = status(path) else {
      let error = HTTPServerError.system(bound == 0 ? "chmod" : "bind", errno, name)
      close(descriptor)
      if bound == 0 { Glibc.unlink(path) }
      throw error
    }
    return (descriptor, UnixSocketFile(path: path, device: status.st_dev, inode: status.st_ino))
  }

  /// Makes the directory that a socket lies in, with mode 0755, and those above it.
  static func makeDirectory(for path: String, name: String) throws(HTTPServerError) {
    let parts = path.split(separator: "/").dropLast()
    var directory = ""
    for part in parts {
      directory += "/\(part)"
      guard mkdir(directory, 0o755) == 0 else {
        if errno == EEXIST { continue }
        throw .system("mkdir \(directory)", errno, name)
      }
      // The umask may have taken rights away that other users need on the way to the socket.
      guard chmod(directory, 0o755) == 0 else { throw .system("chmod \(directory)", errno, name) }
    }
  }

  /// Removes the file, unless another process has put its own there.
  func remove() {
    guard let status = Self.status(path), status.st_dev == device, status.st_ino == inode else { return }
    Glibc.unlink(path)
  }

  private static func address(_ path: String, _ name: String) throws(HTTPServerError) -> UnixAddress {
    if let address = UnixAddress(path) { return address }
    throw HTTPServerError(
      .pathTooLong, address: name,
      cause: "the path has \(path.utf8.count) bytes, the kernel takes \(UnixAddress.longestPath)",
      remedy: "choose a shorter path")
  }

  private static func removeStale(
    _ path: String, _ address: UnixAddress, _ name: String
  ) throws(HTTPServerError) {
    guard let status = status(path) else { return }
    guard status.st_mode & S_IFMT == S_IFSOCK else {
      throw HTTPServerError(
        .notASocket, address: name, cause: "there is a file that is not a socket",
        remedy: "remove it or choose another path")
    }
    let probe = try openSocket(AF_UNIX, name)
    defer { close(probe) }
    let answer = address.connect(probe) == 0 ? 0 : errno
    switch answer {
    case ECONNREFUSED:
      guard Glibc.unlink(path) == 0 || errno == ENOENT else { throw .system("unlink", errno, name) }
    case ENOENT: break
    // EAGAIN is a listener with a full backlog.
    case 0, EAGAIN: throw .system("connect", EADDRINUSE, name)
    default: throw .system("connect", answer, name)
    }
  }

  private static func status(_ path: String) -> stat? {
    var status = stat()
    return lstat(path, &status) == 0 ? status : nil
  }
}
