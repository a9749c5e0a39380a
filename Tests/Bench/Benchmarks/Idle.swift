import Foundation
import Glibc

extension Benchmark {
  static let idle = Benchmark("idle", "drover serve with 50 QEMUs that do nothing") {
    let scratch = try Scratch()
    let fakes = try FakeQEMUs.start(in: scratch.path, count: 50)
    let drover = try DroverProcess(
      watching: scratch.path + "/*.qmp", controlSocket: scratch.path + "/control.sock")
    try drover.waitUntilAnswered("/-/ready")
    try drover.waitUntilWatching(50)
    sleep(3)
    let alone = try share(of: drover, seconds: 20) {}
    let client = try RawClient.connected(port: drover.port, headers: prometheusHeaders)
    let scraped = try share(of: drover, seconds: 20) { _ = try client.get() }
    let resident = drover.resident
    fakes.end()
    return [
      Figure("processor time", alone * 100, "% of one", atMost: 1),
      Figure("processor time, scraped every 5 s", scraped * 100, "% of one"),
      Figure("resident", resident / 1e6, "MB"),
    ]
  }

  /// What Prometheus 3 asks for.
  private static let prometheusHeaders = [
    "Accept": "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
      + "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
      + "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    "Accept-Encoding": "gzip", "User-Agent": "Prometheus/3.0.0",
  ]

  /// The part of one processor that it uses, with some work every 5 s.
  private static func share(of drover: DroverProcess, seconds: Int, _ work: () throws -> Void) throws
    -> Double
  {
    let (processor, began) = (drover.processorSeconds, Meters.nanoseconds)
    for _ in 0..<(seconds / 5) {
      try work()
      sleep(5)
    }
    return (drover.processorSeconds - processor) / (Double(Meters.nanoseconds - began) / 1e9)
  }
}
