internal import Glibc
public import MicroHTTP

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

  /// Whether a request may act on the daemon itself: over the socket, as root or as the daemon's own user.
  ///
  /// An address is no identity, so nobody may over TCP; and a browser never may, whoever it runs as.
  public static func mayAdminister(_ request: Request) -> Bool {
    mayAdminister(request, ownUID: getuid())
  }

  static func mayAdminister(_ request: Request, ownUID: UInt32) -> Bool {
    guard case .unix(let uid, _, _) = request.peer, request.headers["Origin"] == nil,
      request.headers["Sec-Fetch-Site"] == nil
    else { return false }
    return uid == 0 || uid == ownUID
  }
}
