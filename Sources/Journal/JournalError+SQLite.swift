internal import DroverCore
internal import GRDB
internal import Glibc

extension JournalError {
  /// What SQLite's error means for a journal.
  init(_ error: any Error, call: String, path: String) {
    if let error = error as? JournalError {
      self = error
      return
    }
    guard let error = error as? DatabaseError else {
      self.init(.other, call: call, cause: "\(error)", remedy: "report this to the makers of drover")
      return
    }
    let cause = error.message ?? "\(error.resultCode)"
    let (kind, remedy): (Kind, String) =
      switch error.resultCode {
      case .SQLITE_FULL: (.full, "free space on its file system")
      case .SQLITE_READONLY, .SQLITE_PERM:
        (.readOnly, "make it writable for the user that drover runs as, and its directory, too")
      case .SQLITE_BUSY, .SQLITE_LOCKED: (.busy, "end whatever else writes it")
      case .SQLITE_CORRUPT, .SQLITE_NOTADB:
        (.damaged, "move it and the files beside it away; a new one is begun")
      case .SQLITE_CANTOPEN:
        (.absent, "let the user that drover runs as write to its directory")
      case .SQLITE_IOERR where Self.isFull(path): (.full, "free space on its file system")
      case .SQLITE_IOERR: (.other, "look at the disk, and at the kernel's log")
      default: (.other, "report this to the makers of drover")
      }
    self.init(kind, call: call, cause: cause, remedy: remedy)
  }

  private static func isFull(_ path: String) -> Bool {
    var status = statvfs()
    return statvfs(path, &status) == 0 && status.f_bavail == 0
  }
}
