import MicroHTTP
import Testing

@testable import DroverService

@Suite("The control socket")
struct ControlSocketTests {
  @Test(
    "is where root and drover's own user administer, and nobody else, and no browser",
    arguments: [
      (.unix(uid: 0, gid: 0, pid: 1), [:], true), (.unix(uid: 1000, gid: 1, pid: 1), [:], true),
      (.unix(uid: 1001, gid: 0, pid: 1), [:], false), (.tcp(address: "127.0.0.1"), [:], false),
      (.unix(uid: 0, gid: 0, pid: 1), ["Origin": "http://localhost"], false),
      (.unix(uid: 0, gid: 0, pid: 1), ["Sec-Fetch-Site": "cross-site"], false),
    ] as [(Peer, Headers, Bool)])
  func mayAdminister(peer: Peer, headers: Headers, expected: Bool) {
    let request = Request(.post, "/-/reload", headers: headers, peer: peer)
    #expect(ControlSocket.mayAdminister(request, ownUID: 1000) == expected)
  }

  @Test(
    "is in the runtime directory, or where the user's is",
    arguments: [
      (["RUNTIME_DIRECTORY": "/run/x:/run/y"], true, "/run/x/control.sock"),
      ([:], true, "/run/drover/control.sock"),
      (["XDG_RUNTIME_DIR": "/run/user/7"], false, "/run/user/7/drover/control.sock"), ([:], false, nil),
    ] as [([String: String], Bool, String?)])
  func defaultPath(environment: [String: String], isRoot: Bool, path: String?) {
    #expect(ControlSocket.defaultPath(environment: environment, isRoot: isRoot) == path)
  }
}
