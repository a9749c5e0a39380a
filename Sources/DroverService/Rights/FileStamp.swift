internal import Glibc

/// What changes when a file does, without reading it.
struct FileStamp: Hashable, Sendable {
  private let device: UInt64
  private let inode: UInt64
  private let size: Int64
  private let times: [Int]
  /// Permissions of the file.
  let mode: UInt32

  /// Nil where there is no such file, or nobody tells.
  init?(_ path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    self.init(status)
  }

  private init(_ status: stat) {
    device = UInt64(status.st_dev)
    inode = UInt64(status.st_ino)
    size = Int64(status.st_size)
    times = [
      status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec,
    ]
    mode = UInt32(status.st_mode)
  }

  /// Whether everybody on the machine may read the file.
  var isWorldReadable: Bool { mode & 0o004 != 0 }
}

/// A file that cannot be used.
struct FileProblem: Error, Hashable, Sendable, CustomStringConvertible {
  var path: String
  var cause: String

  var description: String { "\(path): \(cause)" }
}

/// Reads a small regular file whole.
///
/// - Throws: Why it cannot be read, or that it has more than `limit` bytes.
func contents(of path: String, limit: Int) throws(FileProblem) -> [UInt8] {
  func failed(_ code: Int32) -> FileProblem {
    FileProblem(path: path, cause: "cannot be read: \(String(cString: strerror(code)))")
  }
  // Not to wait for a writer where somebody has put a pipe in the file's place.
  let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
  guard descriptor >= 0 else { throw failed(errno) }
  defer { close(descriptor) }
  var status = stat()
  guard fstat(descriptor, &status) == 0 else { throw failed(errno) }
  guard status.st_mode & S_IFMT == S_IFREG else {
    throw FileProblem(path: path, cause: "is no regular file")
  }
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 16 << 10)
  while bytes.count <= limit {
    let count = read(descriptor, &chunk, chunk.count)
    if count < 0, errno == EINTR { continue }
    guard count >= 0 else { throw failed(errno) }
    guard count > 0 else { return bytes }
    bytes += chunk[..<count]
  }
  throw FileProblem(path: path, cause: "is larger than \(limit) bytes")
}
