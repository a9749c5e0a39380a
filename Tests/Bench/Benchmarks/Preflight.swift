import Foundation
import Glibc

extension Benchmark {
  static let preflight = Benchmark(
    "preflight", "what a drain would do to 5,000 VMs on 100 nodes, asked of recorded lists"
  ) {
    let fleet = DrainFleet(vms: 5000, nodes: 100)
    let lists = fleet.lists
    let replay = try KubeReplay(lists: lists)
    defer { replay.end() }
    let scratch = try Scratch()
    let kubeconfig = scratch.path + "/kubeconfig"
    try replay.kubeconfig.write(toFile: kubeconfig, atomically: true, encoding: .utf8)
    let file = scratch.path + "/drover.yaml"
    try "backends: [{kubevirt: {name: bench, kubeconfig: \(kubeconfig), virtHandler: none}}]\n"
      .write(toFile: file, atomically: true, encoding: .utf8)
    let drover = try DroverProcess(["--config.file", file], controlSocket: scratch.path + "/control.sock")
    try drover.waitUntilAnswered("/-/ready")
    // The first survey of all VMs comes by itself, and is not what is measured.
    sleep(20)
    let before = drover.resident
    var (times, processor): ([Double], [Double]) = ([], [])
    for turn in 0..<3 {
      // What was read is shared for ten seconds.
      if turn > 0 { sleep(12) }
      let (began, used) = (Meters.nanoseconds, drover.processorSeconds)
      let body = try RawClient.connected(port: drover.port, path: "/api/v1/preflight").text()
      times.append(Double(Meters.nanoseconds - began) / 1e9)
      processor.append(drover.processorSeconds - used)
      let outcomes = body.components(separatedBy: "\"migrates\"").count - 1
      guard outcomes == fleet.vms else { throw BenchError("\(outcomes) VMs migrate, not \(fleet.vms)") }
    }
    return [
      Figure("a preflight, median of 3", times.median, "s", atMost: 10),
      Figure("processor time of that", processor.median, "s"),
      Figure("lists that it reads", Double(lists.values.reduce(0) { $0 + $1.count }) / 1e6, "MB"),
      Figure("resident before", before / 1e6, "MB"),
      Figure("resident, highest", Meters.peakResident(drover.id) / 1e6, "MB", atMost: 300),
    ]
  }
}
