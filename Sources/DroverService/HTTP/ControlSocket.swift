/// The Unix socket that tells who is calling, and so the place for everything that acts.
public enum ControlSocket {
  /// Where it is when nobody says otherwise; nil where the environment names no place.
  public static func defaultPath(environment: [String: String], isRoot: Bool) -> String? {
    if let directory = environment["RUNTIME_DIRECTORY"]?.split(separator: ":").first {
      return "\(directory)/control.sock"
    }
    if isRoot { return "/run/drover/control.sock" }
    if let directory = environment["XDG_RUNTIME_DIR"], !directory.isEmpty {
      return "\(directory)/drover/control.sock"
    }
    return nil
  }
}
