import Testing

@testable import DroverService

@Suite("The control socket")
struct ControlSocketTests {
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
