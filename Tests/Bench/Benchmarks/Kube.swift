import Foundation
import Glibc
import KubeLab
import QEMURig

extension Benchmark {
  static let kube = Benchmark(
    "kube", "a real API server with 10,000 guests, 1,000 of which migrate; then 2,000 events a second"
  ) {
    var figures: [Figure] = []
    var lists: [String: [UInt8]] = [:]
    try await KubeFleet.with { fleet in
      let scratch = try Scratch()
      lists = try fleet.record()
      figures += try firstScrape(of: fleet, scratch)
      let drover = try serve(fleet.kubeconfig(), scratch)
      try drover.waitUntilWhole()
      sleep(30)
      figures += try rest(of: drover)
      figures += try await changes(of: fleet, in: drover)
    }
    return figures + (try events(lists))
  }

  // MARK: The first list

  private static func firstScrape(of fleet: KubeFleet, _ scratch: Scratch) throws -> [Figure] {
    var (curls, scrapes, peaks): ([Double], [Double], [Double]) = ([], [], [])
    for _ in 0..<8 {
      curls.append(try fleet.curl(KubeFleet.paths))
      let began = Meters.nanoseconds
      let drover = try serve(fleet.kubeconfig(), scratch)
      scrapes.append(Double(try drover.waitUntilWhole() - began) / 1e9)
      peaks.append(Meters.peakResident(drover.id))
    }
    let (curl, scrape) = (curls.min() ?? .nan, scrapes.min() ?? .nan)
    return [
      Figure("first complete scrape, by the time of curl for the lists", scrape / curl, atMost: 1.5),
      Figure("first complete scrape", scrape * 1e3, "ms"),
      Figure("curl", curl * 1e3, "ms"),
      Figure("resident, highest, first list included", (peaks.max() ?? .nan) / 1e6, "MB", atMost: 150),
    ]
  }

  private static func serve(_ kubeconfig: String, _ scratch: Scratch) throws -> DroverProcess {
    let file = scratch.path + "/drover.yaml"
    try "backends: [{kubevirt: {name: bench, kubeconfig: \(kubeconfig), virtHandler: none}}]\n"
      .write(toFile: file, atomically: true, encoding: .utf8)
    return try DroverProcess(["--config.file", file], controlSocket: scratch.path + "/control.sock")
  }

  // MARK: Nothing changes

  private static func rest(of drover: DroverProcess) throws -> [Figure] {
    let (processor, began) = (drover.processorSeconds, Meters.nanoseconds)
    sleep(30)
    let share = (drover.processorSeconds - processor) / (Double(Meters.nanoseconds - began) / 1e9)
    return [
      Figure("resident at rest", drover.resident / 1e6, "MB", atMost: 100),
      Figure("processor time, nothing changes", share * 100, "% of one", atMost: 1),
    ]
  }

  // MARK: Something changes

  /// How long it takes until a change on the API server is in the metrics.
  private static func changes(of fleet: KubeFleet, in drover: DroverProcess) async throws -> [Figure] {
    var (answered, sent): ([Double], [Double]) = ([], [])
    for index in 0..<20 {
      let began = Meters.nanoseconds
      try await fleet.cluster.api.patch(
        .vmis, String(format: "moves-%05d", index), in: "default",
        ["status": ["migrationState": ["mode": "PostCopy"]]])
      let changed = Meters.nanoseconds
      try wait("a changed phase") { try drover.bytes().count(of: "phase=\"postcopy\"} 1\n") == index + 1 }
      answered.append(Double(Meters.nanoseconds - changed) / 1e6)
      sent.append(Double(Meters.nanoseconds - began) / 1e6)
    }
    return [
      Figure("a phase changed, until it shows, longest of 20", answered.max() ?? .nan, "ms", atMost: 250),
      Figure("a phase changed, until it shows, median", answered.median, "ms"),
      Figure("the same, with the API server's own time, longest", sent.max() ?? .nan, "ms"),
    ]
  }

  // MARK: Everything changes

  private static func events(_ lists: [String: [UInt8]]) throws -> [Figure] {
    let rate = 2000.0
    let replay = try KubeReplay(lists: lists)
    defer { replay.end() }
    let scratch = try Scratch()
    let kubeconfig = scratch.path + "/kubeconfig"
    try replay.kubeconfig.write(toFile: kubeconfig, atomically: true, encoding: .utf8)
    let drover = try serve(kubeconfig, scratch)
    try drover.waitUntilWhole()
    try wait("a watch of VMIs") { replay.isWatched(KubeFleet.vmis) }
    let events = try KubeEvents(list: lists[KubeFleet.vmis] ?? [])
    sleep(3)

    // Alone first: a scrape costs, too.
    let quiet = events.updates(20_000, last: "node-first-end")
    let processor = drover.processorSeconds
    let first = try replay.tell(quiet, to: KubeFleet.vmis, rate: rate)
    try drover.waitUntilSeen("node-first-end")
    let spent = drover.processorSeconds - processor

    let loud = events.updates(20_000, last: "node-second-end")
    let telling = Failures()
    let done = DispatchSemaphore(value: 0)
    Thread {
      do { _ = try replay.tell(loud, to: KubeFleet.vmis, rate: rate) } catch { telling.add(error) }
      done.signal()
    }.start()
    let client = try RawClient.connected(port: drover.port)
    var scrapes: [Double] = []
    repeat {
      let began = Meters.nanoseconds
      guard try client.get().status == 200 else { throw BenchError("a scrape failed") }
      scrapes.append(Double(Meters.nanoseconds - began) / 1e6)
    } while done.wait(timeout: .now() + 0.5) == .timedOut
    try telling.rethrow()
    let told = Meters.nanoseconds
    try drover.waitUntilSeen("node-second-end")
    let lag = Double(Meters.nanoseconds - told) / 1e6
    return [
      Figure("processor time of a VMI's update", spent / 20_000 * 1e3, "ms", atMost: 0.15),
      Figure("length of an update", Double(events.meanLength), "B"),
      Figure("updates absorbed", 20_000 / first.seconds, "1/s", atLeast: rate * 0.99),
      Figure("updates absorbed, the last one seen after", lag, "ms", atMost: 250),
      Figure("scrape meanwhile, slowest", scrapes.max() ?? .nan, "ms", atMost: 50),
      Figure("scrape meanwhile, median", scrapes.median, "ms"),
      Figure("resident after that", drover.resident / 1e6, "MB"),
    ]
  }
}

extension DroverProcess {
  /// A whole scrape.
  fileprivate func bytes(_ query: String = "") throws -> [UInt8] {
    try RawClient.connected(port: port, path: "/metrics" + query).bytes()
  }

  /// Some parts of a scrape.
  fileprivate func scrape(_ query: String) throws -> String {
    String(decoding: try bytes(query), as: UTF8.self)
  }

  /// Waits until a scrape holds all VMs and migrations, and the back end is up.
  ///
  /// - Returns: When that scrape had come.
  @discardableResult
  fileprivate func waitUntilWhole() throws -> UInt64 {
    try waitUntilAnswered("/-/healthy")
    let wanted = [1, Double(KubeFleet.vms), Double(KubeFleet.running)]
    var seen: [Double] = []
    let end = Meters.nanoseconds + 180_000_000_000
    while seen != wanted {
      // What asks all the time would be what is measured.
      usleep(20_000)
      var text = try scrape("?collect[]=self")
      seen = [text.sum(of: "drover_backend_up")]
      if seen == [1] {
        text = try scrape("?collect[]=nodes")
        seen += ["drover_node_vms", "drover_node_migrations_outbound"].map { text.sum(of: $0) }
      }
      guard Meters.nanoseconds < end else { throw BenchError("up, VMs, migrations: \(seen), not \(wanted)") }
    }
    let whole = try bytes()
    let came = Meters.nanoseconds
    guard whole.count(of: "\ndrover_migration_info{") == KubeFleet.running else {
      throw BenchError("a scrape without some of the migrations")
    }
    return came
  }

  /// Waits until a VM is seen on a node that only the last event names.
  fileprivate func waitUntilSeen(_ node: String) throws {
    try wait("the last event") {
      try scrape("?collect[]=nodes").contains("drover_node_vms{backend=\"bench\",node=\"\(node)\"} 1\n")
    }
  }
}

extension String {
  /// The sum over all series of a family.
  fileprivate func sum(of family: String) -> Double {
    var sum = 0.0
    for line in utf8.split(separator: 0x0A) where line.starts(with: "\(family){".utf8) {
      sum += line.lastIndex(of: 0x20).flatMap { Double(Substring(line[line.index(after: $0)...])) } ?? .nan
    }
    return sum
  }
}

extension [UInt8] {
  /// How often a text is in it.
  fileprivate func count(of text: String) -> Int {
    // Quick, since what is measured waits for it.
    (self + [0]).withUnsafeBufferPointer { bytes in
      bytes.withMemoryRebound(to: CChar.self) { bytes in
        var count = 0
        var next = bytes.baseAddress.flatMap { strstr($0, text) }
        while let found = next {
          count += 1
          next = strstr(found + 1, text)
        }
        return count
      }
    }
  }
}
