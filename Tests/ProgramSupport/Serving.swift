/// A `drover serve` on a port of its own, with its control socket in a directory of its own.
struct Serving {
  let program: Program
  let directory: TemporaryDirectory
  let web: Web
  let control: Web

  init(_ arguments: [String] = [], in directory: TemporaryDirectory? = nil) async throws {
    let directory = try directory ?? TemporaryDirectory()
    let port = try freePort()
    self.directory = directory
    program = try Program(
      [
        "serve", "--web.listen-address", "127.0.0.1:\(port)", "--control.socket",
        "\(directory.path)/control.sock",
      ]
        + arguments, in: directory)
    web = try Web("http://127.0.0.1:\(port)")
    control = try Web("unix://\(directory.path)/control.sock")
    let (program, web) = (program, web)
    try await eventually("an answer of drover serve", every: .milliseconds(1)) {
      try program.mustRun()
      return try await web.get("/-/healthy").status == 200 ? true : nil
    }
  }

  /// The back ends that are there.
  func backends() async throws -> Set<String> {
    Set(
      try await web.metrics()["drover_backend_info"].keys.compactMap { labels in
        labels.firstMatch(of: /backend="([^"]*)"/).map { String($0.1) }
      })
  }
}
