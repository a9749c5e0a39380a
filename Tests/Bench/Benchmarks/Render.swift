import DroverCore
import Exposition
import KeptBytes

extension Benchmark {
  static let render = Benchmark("render", "10,000 migrations that all changed, rendered on one core") {
    let model = try FleetModel(count: 10_000)
    var tracker = try model.tracker(steps: 4)
    let text = RenderTrial(ScrapeFormat.text)
    let openMetrics = RenderTrial(ScrapeFormat.openMetrics)
    var last: (snapshot: FleetSnapshot, lines: [[UInt8]])?
    var share = 0.0
    for step in 4..<13 {
      model.advance(&tracker, to: step)
      let snapshot = tracker.snapshot()
      let scrape = text.run(snapshot, now: model.end(of: step))
      openMetrics.run(snapshot, now: model.end(of: step))
      guard step < 6 else { continue }
      // Looked at twice only: cutting the lines takes longer than rendering them.
      let lines = scrape.samples
      if let last {
        try last.snapshot.mustAllHaveChanged(to: snapshot)
        share = Double(zip(last.lines, lines).count { $0 != $1 }) / Double(lines.count)
      }
      last = (snapshot, lines)
      text.series = lines.count
      openMetrics.series = openMetrics.last?.samples.count ?? 0
    }
    let series = Double(text.series) / Double(model.count)
    return [
      Figure("text", text.megabytesPerSecond, "MB/s", atLeast: 400),
      Figure("OpenMetrics", openMetrics.megabytesPerSecond, "MB/s", atLeast: 400),
      Figure("text, allocations for each sample", text.allocationsPerSample, atMost: 0.01),
      Figure("OpenMetrics, allocations for each sample", openMetrics.allocationsPerSample, atMost: 0.01),
      Figure("series of a migration", series),
      Figure("bytes of a migration", Double(text.last?.byteCount ?? 0) / Double(model.count), "B"),
      Figure("samples that differ from the scrape before", share * 100, "%"),
      Figure("text, whole scrape", text.seconds.median * 1000, "ms"),
    ]
  }
}

/// What clients ask for.
enum ScrapeFormat {
  static let text = Negotiation()
  static let openMetrics = Negotiation(accept: "application/openmetrics-text;version=1.0.0")
  static let gzip = Negotiation(acceptEncoding: "gzip")
}

extension RenderContext {
  static func bench(_ now: Moment) -> RenderContext {
    RenderContext(
      now: now, epochOffset: EpochOffset(milliseconds: 1_790_000_000_000 - 1_000_000_000),
      build: BuildInfo(version: "0.0.0", revision: "benchmark"))
  }
}

/// One renderer that is given one changed fleet after another.
private final class RenderTrial {
  private let renderer = ScrapeRenderer()
  private let agreed: Negotiation
  private(set) var seconds: [Double] = []
  private var rates: [Double] = []
  private var allocations = Int.max
  private(set) var last: RenderedScrape?
  var series = 0

  init(_ agreed: Negotiation) { self.agreed = agreed }

  @discardableResult
  func run(_ snapshot: FleetSnapshot, now: Moment) -> RenderedScrape {
    // A scrape that is sent does not outlive the next one.
    last = nil
    var scrape: RenderedScrape?
    let taken = cost { scrape = renderer.render(snapshot, as: agreed, in: .bench(now)) }
    let made = scrape ?? renderer.render(snapshot, as: agreed, in: .bench(now))
    seconds.append(taken.seconds)
    rates.append(Double(made.byteCount) / taken.seconds / 1e6)
    allocations = min(allocations, taken.allocations)
    last = made
    return made
  }

  var megabytesPerSecond: Double { rates.median }
  var allocationsPerSample: Double { series > 0 ? Double(allocations) / Double(series) : .nan }
}

extension RenderedScrape {
  var bytes: [UInt8] { slices.flatMap { slice in slice.withUnsafeBytes { Array($0) } } }

  /// The lines that are no comments.
  var samples: [[UInt8]] {
    bytes.split(separator: UInt8(ascii: "\n")).filter { $0.first != UInt8(ascii: "#") }.map { Array($0) }
  }
}

extension FleetSnapshot {
  /// The measurement means nothing where a part of the fleet could be taken from what is kept.
  fileprivate func mustAllHaveChanged(to next: FleetSnapshot) throws {
    let revisions = Set(groups.map(\.revision))
    guard trackedCount == next.trackedCount,
      zip(migrations, next.migrations).allSatisfy({ $0.sample != $1.sample }),
      !next.groups.contains(where: { revisions.contains($0.revision) })
    else { throw BenchError("not every migration has changed") }
  }
}
