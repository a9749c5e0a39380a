/// Where the journal is.
enum JournalPlace: Hashable, Sendable {
  /// Nowhere: none is wanted.
  case none
  /// Where somebody said.
  case given(String)
  /// Where it is when nobody says otherwise; nil where the environment names no place.
  case standard(String?)

  /// The file's name in the directory for the state of services.
  private static let name = "journal.db"

  /// The place that the configuration names, else the environment.
  init(configured: String, environment: [String: String], isRoot: Bool) {
    self =
      configured.isEmpty
      ? .standard(Self.standardPath(environment: environment, isRoot: isRoot)) : .given(configured)
  }

  var path: String? {
    switch self {
    case .none: nil
    case .given(let path): path
    case .standard(let path): path
    }
  }

  static func standardPath(environment: [String: String], isRoot: Bool) -> String? {
    if let directory = environment["STATE_DIRECTORY"]?.split(separator: ":").first {
      return "\(directory)/\(name)"
    }
    if isRoot { return "/var/lib/drover/\(name)" }
    // Both must be absolute; one that is not is passed over, as the XDG specification asks.
    if let directory = environment["XDG_STATE_HOME"], directory.hasPrefix("/") {
      return "\(directory)/drover/\(name)"
    }
    if let home = environment["HOME"], home.hasPrefix("/") {
      return "\(home)/.local/state/drover/\(name)"
    }
    return nil
  }

  /// What is wrong with a path; nil where nothing is.
  static func refusal(of path: String) -> String? {
    guard path.hasPrefix("/"), !path.hasSuffix("/") else {
      return "\(quoted(path)) is no absolute path of a file; give one such as /var/lib/drover/\(name)"
    }
    guard path.utf8.count < 4000, !path.unicodeScalars.contains(where: { $0.value == 0 }) else {
      return "\(quoted(path)) is no path; give one such as /var/lib/drover/\(name)"
    }
    return nil
  }
}
