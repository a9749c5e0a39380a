internal import DroverCore
internal import Glibc

/// The journal's file on the disk, held against other Drovers until it is let go of.
final class JournalFile: Sendable {
  let path: String
  /// Why it cannot be written although it is there; nil where it can.
  let refusal: JournalError?

  private let lock: Int32
  private let identity: Identity

  /// Makes directory and file where there are none.
  init(path: String) throws(JournalError) {
    self.path = path
    guard path.hasPrefix("/"), !path.hasSuffix("/") else {
      throw Self.failure(
        .absent, path, "this is no absolute path of a file", "give one such as /var/lib/drover/journal.db")
    }
    try Self.makeDirectories(above: path)
    var status = stat()
    let exists = stat(path, &status) == 0
    if exists, status.st_mode & S_IFMT != S_IFREG {
      throw Self.failure(.absent, path, "it is no regular file", "give another path with --journal.path")
    }
    let lock = Self.open("\(path).lock")
    guard lock >= 0 || exists else { throw Self.failure(path, making: "\(path).lock", errno) }
    if lock < 0 {
      refusal = Self.failure(path, making: "\(path).lock", errno, fallback: .readOnly)
    } else if !Self.isTaken(lock) {
      close(lock)
      throw Self.failure(
        .busy, path, "another drover uses it", "end that one, or give each its own with --journal.path")
    } else if exists, access(path, W_OK) != 0 {
      refusal = Self.failure(path, making: path, errno, fallback: .readOnly)
    } else {
      refusal = nil
    }
    if !exists {
      let file = Self.open(path)
      guard file >= 0 else {
        let code = errno
        close(lock)
        throw Self.failure(path, making: path, code)
      }
      close(file)
    }
    self.lock = lock
    identity = Identity(path)
  }

  deinit { if lock >= 0 { close(lock) } }

  /// Looks whether the path still leads to this file; that may take as long as its file system hangs.
  func checkPlace(_ call: String) throws(JournalError) {
    guard Identity(path) != identity else { return }
    throw JournalError(
      .absent, call: call, cause: "the file was moved away or deleted",
      remedy: "a new one is begun within a minute")
  }

  var isEmpty: Bool { Self.length(path) == 0 }

  /// Whether something was recorded that is not in the file itself yet.
  var hasLog: Bool { Self.length("\(path)-wal") > 0 }

  func size() -> Bytes { Bytes(["", "-wal", "-shm"].map { Self.length(path + $0) }.reduce(0, +)) }

  /// Brings the names of new files to the disk.
  func settle() {
    let directory = Glibc.open(Self.directory(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { return }
    fsync(directory)
    close(directory)
  }

  /// The file for SQLite, with the promise that nobody writes it.
  var immutableURI: String {
    let path = path.replacing("%", with: "%25").replacing("?", with: "%3f").replacing("#", with: "%23")
    return "file:\(path)?immutable=1"
  }

  /// Tells a file from another in the same place.
  private struct Identity: Hashable, Sendable {
    var device: UInt
    var number: UInt

    init(_ path: String) {
      var status = stat()
      let isThere = stat(path, &status) == 0
      device = isThere ? UInt(status.st_dev) : 0
      number = isThere ? UInt(status.st_ino) : 0
    }
  }

  private static func open(_ path: String) -> Int32 { Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o640) }

  /// Takes the lock, with patience: a process that is begun meanwhile holds a copy of it from its fork to its exec.
  private static func isTaken(_ lock: Int32) -> Bool {
    for _ in 0..<20 {
      if flock(lock, LOCK_EX | LOCK_NB) == 0 { return true }
      usleep(10_000)
    }
    return false
  }

  private static func length(_ path: String) -> UInt64 {
    var status = stat()
    return stat(path, &status) == 0 ? UInt64(clamping: status.st_size) : 0
  }

  private static func directory(of path: String) -> String {
    let directory = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
    return directory.isEmpty ? "/" : String(directory)
  }

  private static func makeDirectories(above path: String) throws(JournalError) {
    let directory = directory(of: path)
    var made = ""
    for part in directory.split(separator: "/") {
      made += "/\(part)"
      guard mkdir(made, 0o750) != 0, errno != EEXIST else { continue }
      let code = errno
      var status = stat()
      // A directory that exists may be told as unwritable instead.
      if stat(made, &status) == 0 { continue }
      throw failure(path, making: made, code)
    }
  }

  private static func failure(
    _ path: String, making part: String, _ code: Int32, fallback: JournalError.Kind = .absent
  ) -> JournalError {
    let cause = "\(part): \(String(cString: strerror(code)))"
    return switch code {
    case ENOSPC, EDQUOT: failure(.full, path, cause, "free space on its file system")
    case EROFS: failure(.readOnly, path, cause, "give a place that can be written with --journal.path")
    default:
      failure(
        fallback, path, cause,
        "let the user that drover runs as write there, or give another place with --journal.path")
    }
  }

  private static func failure(
    _ kind: JournalError.Kind, _ path: String, _ cause: String, _ remedy: String
  ) -> JournalError {
    JournalError(kind, call: "opening \(path)", cause: cause, remedy: remedy)
  }
}
