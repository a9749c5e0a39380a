import KeptBytes
import Testing

@testable import DroverCore
@testable import Exposition

@Suite("Kept renderings")
struct ScrapeRendererTests {
  /// Blocks in the order of the body, each once.
  private func blocks(_ scrape: RenderedScrape) -> [ObjectIdentifier] {
    var seen: Set<ObjectIdentifier> = []
    return scrape.slices.map { ObjectIdentifier($0.block) }.filter { seen.insert($0).inserted }
  }

  private let fleet = snapshot([group(1, [running("a"), running("b")]), group(2, [running("c"), ended()])])
  private let ways: [Negotiation] = [.text, .openMetrics, .gzip, .openMetricsGzip]

  @Test("of an unchanged fleet are sent again as they are")
  func unchanged() {
    let renderer = ScrapeRenderer()
    for way in ways {
      let first = renderer.render(fleet, parts: [.migrations], as: way, in: context(now: 100))
      let second = renderer.render(fleet, parts: [.migrations], as: way, in: context(now: 105))
      #expect(first.bytes == second.bytes)
      // Behind them come the exporter's own part, made for each scrape, and what ends a gzip member.
      #expect(Set(blocks(first).dropLast(way.allowsGzip ? 2 : 1)).isSubset(of: blocks(second)))
      #expect(second.slices.count == first.slices.count)
    }
  }

  @Test("are replaced for the group that changed, and for no other")
  func oneChanged() throws {
    let renderer = ScrapeRenderer()
    var changed = fleet
    changed.groups[1] = group(3, [running("c", at: 101), ended()])
    for way in ways {
      let before = renderer.render(fleet, parts: [.migrations], as: way, in: context())
      let after = renderer.render(changed, parts: [.migrations], as: way, in: context())
      let old = Set(blocks(before))
      let offset = way.allowsGzip ? 1 : 0
      let names = blocks(after)
      #expect(old.contains(names[offset]), "headers")
      #expect(old.contains(names[offset + 1]), "the group that is as it was")
      #expect(!old.contains(names[offset + 2]), "the group that changed")
      #expect(
        after.bytes == ScrapeRenderer().render(changed, parts: [.migrations], as: way, in: context()).bytes)
    }
  }

  @Test("of a large fleet, shared out between processors, are what they are one after the other")
  func shared() {
    var fleet = snapshot((1...9).map { group(UInt64($0), [running("a\($0)"), ended(name: "b\($0)")]) })
    fleet.vms = (0..<1200).map { number in
      VMView(
        vm: VMRef(backend: BackendName(rawValue: "lab"), scope: .namespace("default"), name: "vm-\(number)"),
        blockers: [.hostDevice])
    }
    for way in ways {
      let shared = ScrapeRenderer().render(fleet, as: way, in: context(vms: .all))
      let renderer = ScrapeRenderer()
      for count in 1...9 {
        let part = snapshot(Array(fleet.groups.prefix(count)))
        _ = renderer.render(part, as: way, in: context(vms: .all))
      }
      let isSame = renderer.render(fleet, as: way, in: context(vms: .all)).bytes == shared.bytes
      #expect(isSame)
    }
    let text = String(decoding: ScrapeRenderer().render(fleet, in: context(vms: .all)).bytes, as: UTF8.self)
    #expect(text.split(separator: "\n").count { $0.hasPrefix("drover_vm_not_migratable{") } == 1200)
    #expect(text.split(separator: "\n").count { $0.hasPrefix("drover_migration_info{") } == 18)
  }

  @Test("of groups that are gone are forgotten")
  func gone() {
    let renderer = ScrapeRenderer()
    _ = renderer.render(snapshot([]), in: context())
    let empty = renderer.keptByteCount
    _ = renderer.render(fleet, in: context())
    let full = renderer.keptByteCount
    _ = renderer.render(snapshot([fleet.groups[0]]), in: context())
    let half = renderer.keptByteCount
    _ = renderer.render(snapshot([]), in: context())
    #expect(empty < half && half < full)
    #expect(renderer.keptByteCount == empty)
  }

  @Test("take hardly more than the bytes of the codings that were asked for", arguments: [1, 2, 3])
  func size(_ asked: Int) {
    let views = (0..<MigrationGroup.capacity).map { running("guest-\($0)") }
    let fleet = snapshot((0..<8).map { group($0 + 1, views) })
    let renderer = ScrapeRenderer()
    var bytes = 0
    if asked & 1 != 0 {
      bytes += renderer.render(fleet, parts: [.migrations], as: .text, in: context()).byteCount
    }
    if asked & 2 != 0 {
      bytes += renderer.render(fleet, parts: [.migrations], as: .gzip, in: context()).byteCount
    }
    #expect(Double(renderer.keptByteCount) <= 1.2 * Double(bytes))
    // Both formats share their samples.
    _ = renderer.render(
      fleet, parts: [.migrations], as: asked & 1 != 0 ? .openMetrics : .openMetricsGzip, in: context())
    #expect(Double(renderer.keptByteCount) <= 1.2 * Double(bytes))
  }

  @Test("in a coding that nobody asks for any more are forgotten")
  func unused() {
    let renderer = ScrapeRenderer(keepUnused: .seconds(60))
    _ = renderer.render(fleet, as: .text, in: context(now: 0))
    let plain = renderer.keptByteCount
    _ = renderer.render(fleet, as: .gzip, in: context(now: 1))
    let both = renderer.keptByteCount
    _ = renderer.render(fleet, as: .gzip, in: context(now: 60))
    #expect(renderer.keptByteCount == both)
    _ = renderer.render(fleet, as: .gzip, in: context(now: 60.5))
    #expect(renderer.keptByteCount < both)
    renderer.trim(now: at(1000))
    #expect(renderer.keptByteCount < plain)
    #expect(renderer.render(fleet, as: .gzip, in: context(now: 1001)).bytes.count > 0)
  }

  @Test("are not touched by a scrape of other parts")
  func otherParts() {
    let renderer = ScrapeRenderer()
    let before = renderer.render(fleet, in: context())
    _ = renderer.render(fleet, parts: [.exporter], in: context())
    #expect(Set(blocks(before)).intersection(blocks(renderer.render(fleet, in: context()))).count == 3)
  }

  @Test("are made anew when the clock was set, and not when two readings of it differ a little")
  func clockStep() {
    let renderer = ScrapeRenderer()
    var later = context()
    _ = renderer.render(fleet, parts: [.migrations], in: later)
    later.epochOffset = EpochOffset(milliseconds: later.epochOffset.milliseconds + 3_600_000)
    let third = renderer.render(fleet, parts: [.migrations], in: later).text
    #expect(
      !third.contains(
        "drover_migration_start_timestamp_seconds{backend=\"rack1\",host=\"node-1\",vm=\"a\",migration=\"5f3c-1790000000000\"} 1790000000\n"
      ))
    #expect(
      third.contains(
        "drover_migration_start_timestamp_seconds{backend=\"rack1\",host=\"node-1\",vm=\"a\",migration=\"5f3c-1790000000000\"} 1790003600\n"
      ))
  }

  @Test("hold for scrapes that overlap")
  func overlapping() async {
    let renderer = ScrapeRenderer()
    let fleets = (1...4).map { revision in
      snapshot([group(1, [running("a")]), group(UInt64(revision * 10), [running("b", at: Double(revision))])])
    }
    let expected = fleets.map { ScrapeRenderer().render($0, as: .openMetricsGzip, in: context()).bytes }
    let areSame = await withTaskGroup(of: Bool.self) { tasks in
      for round in 0..<200 {
        let fleet = fleets[round % 4]
        let bytes = expected[round % 4]
        tasks.addTask { renderer.render(fleet, as: .openMetricsGzip, in: context()).bytes == bytes }
      }
      return await tasks.reduce(true) { $0 && $1 }
    }
    #expect(areSame)
  }

  @Test("carry their headers", arguments: [false, true])
  func headerFields(_ isCompressed: Bool) {
    let scrape = ScrapeRenderer().render(
      fleet, as: isCompressed ? .openMetricsGzip : .openMetrics, in: context())
    let fields = Dictionary(uniqueKeysWithValues: scrape.headerFields.map { ($0.name, $0.value) })
    #expect(
      fields
        == [
          "Content-Type": "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
          "Vary": "Accept, Accept-Encoding",
        ].merging(isCompressed ? ["Content-Encoding": "gzip"] : [:]) { $1 })
    #expect(scrape.byteCount == scrape.bytes.count)
  }
}
