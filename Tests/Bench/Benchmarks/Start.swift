import Foundation

extension Benchmark {
  static let start = Benchmark("start", "drover serve from its start to the first scrape") {
    var figures: [Figure] = []
    for count in [0, 50] {
      let scratch = try Scratch()
      let fakes = try FakeQEMUs.start(in: scratch.path, count: count)
      var times: [(scrape: Double, ready: Double, processor: Double)] = []
      for _ in 0..<10 {
        let began = Meters.nanoseconds
        let drover = try DroverProcess(
          watching: count > 0 ? scratch.path + "/*.qmp" : nil, controlSocket: scratch.path + "/control.sock")
        try drover.waitUntilAnswered("/metrics")
        let scrape = Double(Meters.nanoseconds - began) / 1e6
        let processor = drover.processorSeconds * 1000
        try drover.waitUntilAnswered("/-/ready")
        times.append((scrape, Double(Meters.nanoseconds - began) / 1e6, processor))
      }
      fakes.end()
      let name = "\(count) sockets"
      figures += [
        Figure("\(name), until the first scrape", times.map(\.scrape).median, "ms", atMost: 100),
        Figure("\(name), until ready", times.map(\.ready).median, "ms"),
        Figure("\(name), processor time until the first scrape", times.map(\.processor).median, "ms"),
      ]
    }
    return figures
  }
}
