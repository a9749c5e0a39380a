internal import DroverCore
internal import Glibc

/// Whether the directories that globs are looked up in can be read: in one that cannot, no socket is found.
struct PatternDirectories {
  enum News: Equatable {
    case readable
    case unreadable(QMPErrorKind, String)
  }

  private var healths: [String: SocketHealth] = [:]

  /// Those that cannot be read now.
  var unreadable: [SocketHealth] { healths.values.filter(\.isBad) }

  /// Takes what a look came to: 0, or its `errno`; returns what is worth a line.
  mutating func looked(at directory: String, _ code: Int32, _ now: Moment) -> News? {
    var health = healths[directory] ?? SocketHealth(since: now)
    defer { healths[directory] = health }
    let wasBad = health.isBad
    guard code != 0 else {
      health.answered(at: now)
      return wasBad ? .readable : nil
    }
    let kind: QMPErrorKind = code == EACCES ? .permission : .connect
    let problem = "access \(directory): \(text(of: code)); \(Self.remedy(code))"
    let isNews = health.problem != problem
    health.failed(kind, problem)
    return isNews ? .unreadable(kind, problem) : nil
  }

  private static func remedy(_ code: Int32) -> String {
    switch code {
    case ENOENT, ENOTDIR: "create the directory, or name the one that the sockets are in"
    case EACCES: "let Drover's user read and search the directory, and those above it"
    default: "check the directory"
    }
  }
}
