import DroverCore
import DroverService
import Exposition

extension Benchmark {
  static let resident = Benchmark("resident", "memory of the whole process; without goals") {
    let scratch = try Scratch()
    let drover = try DroverProcess(watching: nil, controlSocket: scratch.path + "/control.sock")
    try drover.waitUntilAnswered("/-/ready")
    let rest = Figure("drover serve at rest", drover.resident / 1e6, "MB")

    // 10,000 migrations need 10,000 sources, so these are told to the same service in this process.
    let model = try FleetModel(count: 10_000, began: SystemTimepiece().now() - .seconds(600))
    return [rest]
      + (try await LocalService.run(migrations: model.count) { service in
        func resident(_ name: String) -> Figure {
          Figure("the service, \(name)", Meters.resident() / 1e6, "MB")
        }
        var figures = [resident("at rest")]
        service.fill(model)
        figures.append(resident("10,000 migrations"))
        let packed = try RawClient.connected(port: service.port, headers: ["Accept-Encoding": "gzip"])
        _ = try packed.get()
        figures.append(resident("these rendered with gzip"))
        let plain = try RawClient.connected(port: service.port).get().length
        figures.append(resident("these rendered as text, too"))
        return figures + [Figure("length of that text", Double(plain) / 1e6, "MB")]
      })
  }
}
