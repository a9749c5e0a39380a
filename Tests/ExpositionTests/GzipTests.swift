import Foundation
import Testing

@testable import DroverCore
@testable import Exposition

@Suite("Compressed scrapes")
struct GzipTests {
  private static let ways: [(plain: Negotiation, gzip: Negotiation)] = [
    (.text, .gzip), (.openMetrics, .openMetricsGzip),
  ]

  @Test("are one gzip member that Python and gzip read back as the plain bytes", arguments: 0..<2)
  func readBack(_ way: Int) throws {
    let renderer = ScrapeRenderer()
    let plain = renderer.render(recordedFleet(), as: Self.ways[way].plain, in: recordedContext())
    let joined = renderer.render(recordedFleet(), as: Self.ways[way].gzip, in: recordedContext())
    #expect(joined.contentEncoding == "gzip")
    #expect(joined.byteCount < plain.byteCount / 3)

    let check = try run(["gzip", "-t", "-v"], input: joined.bytes)
    #expect(check.status == 0, "\(check.errors)")
    let read = try python(
      """
      import sys, zlib
      reader = zlib.decompressobj(31)
      sys.stdout.buffer.write(reader.decompress(sys.stdin.buffer.read()))
      sys.exit(0 if reader.eof and not reader.unused_data else 1)
      """, input: joined.bytes)
    #expect(read.status == 0, "not one member: \(read.errors)")
    let isSame = Array(read.output) == plain.bytes
    #expect(isSame)
  }

  @Test("join pieces that were compressed at different times")
  func joined() throws {
    let renderer = ScrapeRenderer()
    var fleet = recordedFleet()
    _ = renderer.render(fleet, as: .gzip, in: recordedContext())
    fleet.groups[0] = group(99, [running("other", at: 107)])
    fleet.groups.insert(group(98, []), at: 1)
    let joined = renderer.render(fleet, as: .gzip, in: recordedContext())
    let plain = ScrapeRenderer().render(fleet, in: recordedContext())
    let read = try run(["gzip", "-dc"], input: joined.bytes)
    #expect(read.errors == "")
    let isSame = Array(read.output) == plain.bytes
    #expect(isSame)
  }

  @Test("are left plain below a kilobyte, and are not from there on")
  func small() throws {
    var context = context()
    func scrape(_ way: Negotiation) -> RenderedScrape {
      ScrapeRenderer().render(FleetSnapshot(), parts: [.exporter], as: way, in: context)
    }
    let missing = 1024 - scrape(.text).byteCount
    try #require(missing > 1)
    context.build.version += String(repeating: "x", count: missing - 1)
    #expect(scrape(.text).byteCount == 1023)
    #expect(scrape(.gzip).contentEncoding == nil)
    #expect(scrape(.gzip).bytes == scrape(.text).bytes)
    context.build.version += "x"
    #expect(scrape(.gzip).contentEncoding == "gzip")
  }
}
