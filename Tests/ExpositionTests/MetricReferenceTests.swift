import Foundation
import Testing

@testable import Exposition

@Suite("The metric reference")
struct MetricReferenceTests {
  @Test("is what the declarations say")
  func file() throws {
    try expectFile(Repository.root.appending(path: "docs/metrics.md"), holds: MetricReference.markdown)
  }

  @Test("names follow their kind and unit", arguments: MetricReference.families.map(\.name))
  func names(_ name: String) throws {
    let family = try #require(MetricReference.families.first { $0.name == name })
    #expect(name.hasSuffix("_total") == (family.kind == .counter))
    #expect(name.hasSuffix("_info") == (family.kind == .info))
    if let unit = family.unit { #expect(family.name(in: .openMetrics).hasSuffix("_" + unit.rawValue)) }
    #expect(!family.help.isEmpty && family.help.utf8.count <= 120)
    #expect(name.hasPrefix("drover_") || name.hasPrefix("process_"))
  }

  @Test("holds every family, in the order of a scrape")
  func complete() {
    let all = MigrationFamilies.all.map(\.declaration.name) + FleetFamilies.all.map(\.declaration.name)
    #expect(MetricReference.families.map(\.name) == all)
  }

  @Test("no name stands twice")
  func unique() {
    let names = MetricReference.families.map(\.name)
    #expect(Set(names).count == names.count)
  }
}
