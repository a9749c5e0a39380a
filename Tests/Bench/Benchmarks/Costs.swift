import DroverCore
import Exposition

extension Benchmark {
  static let costs = Benchmark("costs", "single steps of the work, with 10,000 migrations; without goals") {
    let model = try FleetModel(count: 10_000)
    var tracker = try model.tracker(steps: 4)
    var observe: [Double] = []
    var observeShared: [Double] = []
    var tick: [Double] = []
    var snapshots: [Double] = []
    var gzip: [Double] = []
    var squeeze = 0.0
    var again: (text: [Double], gzip: [Double]) = ([], [])
    for step in 4..<13 {
      var held: FleetSnapshot?
      if step.isMultiple(of: 2) { held = tracker.snapshot() }
      // Making the observations is not the tracker's work.
      let observations = (0..<model.count).map { model.observation($0, step: step) }
      let taking = cost {
        for observation in observations {
          keep(tracker.receive(.migration(observation), at: observation.takenAt))
        }
      }
      let each = taking.seconds / Double(model.count) * 1e9
      if held == nil { observe.append(each) } else { observeShared.append(each) }
      held = nil
      snapshots.append(cost { for _ in 0..<1000 { keep(tracker.snapshot()) } }.seconds * 1e6)
      tick.append(cost { keep(tracker.tick(at: model.end(of: step))) }.seconds * 1e3)

      let snapshot = tracker.snapshot()
      let renderer = ScrapeRenderer()
      let plain = renderer.render(snapshot, in: .bench(model.end(of: step)))
      var packed: RenderedScrape?
      let zipping = cost {
        packed = renderer.render(snapshot, as: ScrapeFormat.gzip, in: .bench(model.end(of: step)))
      }
      gzip.append(Double(plain.byteCount) / zipping.seconds / 1e6)
      // Once more, so that nothing is left to be kept.
      for _ in 0..<2 {
        let plain = cost { keep(renderer.render(snapshot, in: .bench(model.end(of: step)))) }
        let packed = cost {
          keep(renderer.render(snapshot, as: ScrapeFormat.gzip, in: .bench(model.end(of: step))))
        }
        again.text.append(plain.seconds * 1e3)
        again.gzip.append(packed.seconds * 1e3)
      }
      squeeze = Double(plain.byteCount) / Double(packed?.byteCount ?? 0)
    }
    return [
      Figure("one observation taken in", observe.median, "ns"),
      Figure("one observation, a snapshot being held", observeShared.median, "ns"),
      Figure("one snapshot", snapshots.median, "ns"),
      Figure("one tick", tick.median, "ms"),
      Figure("gzip, of text", gzip.median, "MB/s"),
      Figure("gzip, smaller by", squeeze, "times"),
      Figure("unchanged scrape put together, text", again.text.median, "ms"),
      Figure("unchanged scrape put together, gzip", again.gzip.median, "ms"),
    ]
  }
}
