import DroverCore
import DroverService
import Exposition
import Logging
import QEMUBackend

extension Benchmark {
  static let memory = Benchmark(
    "memory", "bytes of an idle VM, of a migration, and of what is kept for scrapes"
  ) {
    let idle = try await idleVMs(1000)
    return idle + (try model(10_000)) + (try kept(10_000))
  }

  /// Back end, sessions, tracker and inventory of QEMUs that do nothing; the fakes live elsewhere.
  private static func idleVMs(_ count: Int) async throws -> [Figure] {
    let scratch = try Scratch()
    let directory = scratch.path
    let log = Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
    let clock = SystemTimepiece()
    let monitor = FleetMonitor(settings: MigrationTracker.Settings(), clock: clock, log: log)
    let backend = QEMUBackend(
      configuration: QEMUConfiguration(
        name: BackendName(rawValue: "rack1"), sockets: [directory + "/*.qmp"], host: "node-1"),
      clock: clock, log: log)
    monitor.register(backend.descriptor)
    let watching = Task { await backend.run { monitor.receive($0) } }
    let figures = await Task.onThread {
      // What the back end takes without a VM is no VM's.
      try wait("the first look") { monitor.snapshot().backends.first?.hasAttempted == true }
      let heap = Meters.heap
      let resident = Meters.resident()
      let fakes = try FakeQEMUs.start(in: directory, count: count)
      try wait("the inventory") { monitor.snapshot().vms.count { $0.vm.name.hasPrefix("guest-") } == count }
      // Long enough for a few more looks at each.
      let end = clock.now() + .seconds(7)
      try wait("the end of the settling") { clock.now() >= end }
      guard monitor.snapshot().backends.first?.isUp == true else {
        throw BenchError("a fake QEMU does not answer")
      }
      defer { fakes.end() }
      return [
        Figure("idle VM, heap", (Meters.heap - heap) / Double(count), "B", atMost: 2048),
        Figure("idle VM, resident", (Meters.resident() - resident) / Double(count), "B"),
      ]
    }
    watching.cancel()
    await watching.value
    withExtendedLifetime(scratch) {}
    return try figures.get()
  }

  private static func model(_ count: Int) throws -> [Figure] {
    let model = try FleetModel(count: count)
    let heap = Meters.heap
    let tracker = try model.tracker(steps: 12)
    let used = Meters.heap - heap
    keep(tracker)
    return [Figure("running migration, heap of the model", used / Double(count), "B", atMost: 4096)]
  }

  /// Heap of a renderer by the bytes of all encodings that were asked for lately.
  private static func kept(_ count: Int) throws -> [Figure] {
    let model = try FleetModel(count: count)
    var tracker = try model.tracker(steps: 4)
    let before = tracker.snapshot()
    model.advance(&tracker, to: 4)
    let now = tracker.snapshot()
    func size(_ agreed: Negotiation) -> Double {
      Double(ScrapeRenderer().render(now, as: agreed, in: .bench(model.end(of: 4))).byteCount)
    }
    let (text, gzip) = (size(ScrapeFormat.text), size(ScrapeFormat.gzip))

    func figure(
      _ name: String, bytes: Double, trims: Bool = false,
      asked: [(fleet: FleetSnapshot, format: Negotiation, second: Int)]
    ) -> Figure {
      let heap = Meters.heap
      let renderer = ScrapeRenderer(keepUnused: .seconds(300))
      for (fleet, format, second) in asked {
        keep(renderer.render(fleet, as: format, in: .bench(model.end(of: 4) + .seconds(second))))
      }
      if trims { renderer.trim(now: model.end(of: 4) + .seconds(301)) }
      // Read while the renderer still lives.
      return withExtendedLifetime(renderer) {
        Figure("kept for \(name), heap by bytes", (Meters.heap - heap) / bytes, atMost: 1.2)
      }
    }
    let (asText, asOpenMetrics, asGzip) = (ScrapeFormat.text, ScrapeFormat.openMetrics, ScrapeFormat.gzip)
    return [
      figure("text", bytes: text, asked: [(now, asText, 0)]),
      // The samples of both formats are the same bytes, so both together may take no more than one.
      figure("text and OpenMetrics", bytes: text, asked: [(now, asText, 0), (now, asOpenMetrics, 0)]),
      figure("text and gzip", bytes: text + gzip, asked: [(now, asText, 0), (now, asGzip, 0)]),
      figure("gzip", bytes: gzip, asked: [(now, asGzip, 0)]),
      figure(
        "gzip, text no more", bytes: gzip, asked: [(now, asText, 0), (now, asGzip, 0), (now, asGzip, 301)]),
      figure("gzip, text of a fleet before", bytes: gzip, asked: [(before, asText, 0), (now, asGzip, 0)]),
      figure(
        "nothing any more (of text)", bytes: text, trims: true, asked: [(now, asText, 0), (now, asGzip, 0)]),
    ]
  }
}
