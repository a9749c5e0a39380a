import CurlClient
import Foundation
import Glibc
import LibvirtLab
import QEMURig

extension Benchmark {
  static let libvirt = Benchmark(
    "libvirt", "a libvirt host with 100 idle guests, beside prometheus-libvirt-exporter"
  ) {
    try await LabHosts.with { lab in
      try await lab.startIdleGuests(100)
      shareLikeASlice()
      let scratch = try Scratch()
      let drover = try DroverProcess(
        [
          "--libvirt.uri", lab.uri(.a), "--path.rootfs", "/proc/\(lab.initProcess(.a))/root",
        ], controlSocket: scratch.path + "/control.sock")
      try drover.waitUntilAnswered("/-/ready")
      try drover.waitUntilWatching(100)
      let peer = try PeerExporter(uri: lab.uri(.a))
      // What happens once is not what is asked for.
      _ = try await peer.scrape()
      sleep(12)

      var figures: [Figure] = []
      let cycles = 40
      let idle = try watch(drover, seconds: cycles * 2)
      let cycle = idle.processorSeconds / Double(cycles)
      var scrapes: [(seconds: Double, processorSeconds: Double)] = []
      for _ in 0..<10 { scrapes.append(try await peer.scrape()) }
      let scrape = scrapes.map(\.processorSeconds).median
      figures += [
        Figure(
          "processor time of a cycle (2 s), by that of the exporter's scrape", cycle / scrape, atMost: 0.1),
        Figure("processor time of a cycle", cycle * 1e3, "ms"),
        Figure("processor time of the exporter's scrape", scrape * 1e3, "ms"),
        Figure("scrape of the exporter, median", scrapes.map(\.seconds).median * 1e3, "ms"),
        Figure("resident", drover.resident / 1e6, "MB"),
        Figure("resident, exporter", peer.resident / 1e6, "MB"),
      ]
      figures += idle.figures("scrape")

      try await lab.guest(
        "busy", memoryMebibytes: 256, rate: DirtyRate(atLeastMebibytesPerSecond: 200),
        workingSet: WorkingSet(atLeastMebibytes: 64))
      try await lab.setSpeed("busy", mebibytesPerSecond: 20)
      let migration = try await lab.migrate("busy", over: .mig)
      try await lab.untilUnderWay("busy")
      sleep(5)
      let migrating = try watch(drover, seconds: 40)
      try await lab.cut(.mig)
      let outage = try watch(drover, seconds: 40)
      try await lab.heal(.mig)
      try await lab.abort("busy")
      _ = await migration.result()
      figures.append(
        Figure("processor time while one guest migrates", migrating.processorSeconds / 40 * 100, "% of one"))
      return figures + migrating.figures("scrape while one guest migrates")
        + outage.figures("scrape in an outage")
    }
  }

  /// Gives Drover, and whoever asks it, the share of the processors that services have on a host.
  ///
  /// There, systemd divides them between its slices of services and of guests. Without slices, every guest has a share
  /// as large as that of all of this; the kernel's session groups take weights, of which this is about a hundred.
  private static func shareLikeASlice() {
    // Absent where the kernel was built without such groups.
    guard let file = FileHandle(forWritingAtPath: "/proc/self/autogroup") else { return }
    try? file.write(contentsOf: Data("-20".utf8))
  }

  private struct Watched {
    var processorSeconds = 0.0
    /// What each scrape took that had witnesses, and how long one of these waited meanwhile.
    var witnessed: [(seconds: Double, stalled: Double)] = []
    /// What each other took.
    var alone: [Double] = []

    func figures(_ what: String) -> [Figure] {
      let undisturbed = witnessed.filter { $0.stalled == 0 }.map(\.seconds)
      let rest = witnessed.filter { $0.stalled > 0 }
      let share = Double(rest.count) / Double(witnessed.count)
      var figures = [
        Figure("\(what), slowest", (undisturbed.max() ?? .nan) * 1e3, "ms", atMost: 5),
        Figure("\(what), median", undisturbed.median * 1e3, "ms"),
        Figure("\(what), share beside a standstill", share * 100, "%", atMost: 20),
      ]
      if !rest.isEmpty {
        let unexplained = rest.map { $0.seconds - $0.stalled }.max() ?? .nan
        figures += [
          Figure("\(what), slowest of these", (rest.map(\.seconds).max() ?? .nan) * 1e3, "ms"),
          Figure("\(what), slowest of these less the standstill", unexplained * 1e3, "ms", atMost: 5),
        ]
      }
      return figures + [
        Figure("\(what), slowest without witnesses", (alone.max() ?? .nan) * 1e3, "ms"),
        Figure("\(what), median without witnesses", alone.median * 1e3, "ms"),
      ]
    }
  }

  /// Watches `drover` for a while, and scrapes it once a second, in turn with witnesses and without; what the scrapes take
  /// is not counted.
  private static func watch(_ drover: DroverProcess, seconds: Int) throws -> Watched {
    let client = try RawClient.connected(port: drover.port)
    _ = try client.get()
    func scrape() throws {
      guard try client.get().status == 200 else { throw BenchError("a scrape failed") }
    }
    var watched = Watched()
    for second in 0..<seconds {
      let before = drover.processorSeconds
      sleep(1)
      watched.processorSeconds += drover.processorSeconds - before
      if second % 2 == 0 {
        watched.witnessed.append(try StallWitness.time(scrape))
      } else {
        let began = Meters.nanoseconds
        try scrape()
        watched.alone.append(Double(Meters.nanoseconds - began) / 1e9)
      }
    }
    return watched
  }
}

extension LabHosts {
  /// Starts as many tiny guests as said on host A.
  fileprivate func startIdleGuests(_ count: Int) async throws {
    // The first asks QEMU what it can do, which the others then know.
    try await startIdleGuest(1)
    for group in stride(from: 2, through: count, by: 4) {
      try await withThrowingDiscardingTaskGroup { tasks in
        for n in group..<min(group + 4, count + 1) { tasks.addTask { try await self.startIdleGuest(n) } }
      }
    }
  }

  private func startIdleGuest(_ n: Int) async throws {
    try await guest("idle\(n)", memoryMebibytes: 4, workingSet: WorkingSet(atLeastMebibytes: 1))
  }
}

/// Debian's prometheus-libvirt-exporter on the same host.
private final class PeerExporter {
  private static let program = "/usr/bin/prometheus-libvirt-exporter"

  private let child: Child
  private let port: UInt16
  private let client = CurlClient()

  init(uri: String) throws {
    guard access(Self.program, X_OK) == 0 else {
      throw BenchError("there is no \(Self.program); `make bench-libvirt` installs it")
    }
    port = try Loopback.freePort()
    child = try Child([Self.program, "--libvirt.uri=\(uri)", "--web.listen-address=127.0.0.1:\(port)"])
    let port = port
    try wait("an answer of the exporter") { RawClient(port: port, path: "/") != nil }
  }

  func scrape() async throws -> (seconds: Double, processorSeconds: Double) {
    let address = try ServerAddress(parsing: "http://127.0.0.1:\(port)")
    var request = Request(.get, Endpoint(address, path: "/metrics"))
    // Prometheus asks for gzip, but this one's packing is not what is compared.
    request.acceptsGzip = false
    let (processor, began) = (Meters.processorSeconds(child.id), Meters.nanoseconds)
    let answer = try await client.send(request)
    guard answer.status == 200, answer.body.count > 30_000 else {
      throw BenchError("the exporter answered \(answer.body.count) bytes with status \(answer.status)")
    }
    return (Double(Meters.nanoseconds - began) / 1e9, Meters.processorSeconds(child.id) - processor)
  }

  var resident: Double { Meters.resident("\(child.id)") }
}
