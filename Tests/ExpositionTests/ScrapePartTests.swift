import DroverCore
import Testing

@testable import Exposition

@Suite("Parts of a scrape")
struct ScrapePartTests {
  @Test(
    "collect[] picks parts, and without it all are there",
    arguments: [
      ([], Set(ScrapePart.allCases)), (["vms"], [.vms]), (["self", "nodes", "self"], [.exporter, .nodes]),
      (["migrations"], [.migrations]),
    ] as [([String], Set<ScrapePart>)])
  func collect(_ values: [String], _ parts: Set<ScrapePart>) throws {
    #expect(try Set(collect: values) == parts)
  }

  @Test(
    "a value that names no part is an error with the ones that there are",
    arguments: ["", "Migrations", "all"])
  func unknown(_ value: String) {
    let error = #expect(throws: UnknownScrapePart.self) { try Set(collect: ["vms", value]) }
    #expect(error?.value == value)
    #expect(error?.description.contains("use one of migrations, vms, nodes, self") == true)
  }

  @Test("a scrape of some parts holds their families and no others", arguments: ScrapePart.allCases)
  func families(_ part: ScrapePart) {
    let all = ScrapeRenderer().render(recordedFleet(), in: recordedContext()).text
    let some = ScrapeRenderer().render(recordedFleet(), parts: [part], in: recordedContext()).text
    func names(_ text: String) -> Set<String> {
      Set(
        text.split(separator: "\n").filter { $0.hasPrefix("# TYPE") }.map {
          String($0.split(separator: " ")[2])
        })
    }
    let ofPart = Set(MetricReference.families.filter { $0.part == part }.map(\.name))
    #expect(names(some) == names(all).intersection(ofPart))
    #expect(!names(some).isEmpty)
  }

  @Test("a scrape without anything is still whole")
  func nothing() {
    let renderer = ScrapeRenderer()
    #expect(renderer.render(.init(), parts: [.vms], in: context()).text == "")
    #expect(renderer.render(.init(), parts: [.vms], as: .openMetrics, in: context()).text == "# EOF\n")
  }
}
