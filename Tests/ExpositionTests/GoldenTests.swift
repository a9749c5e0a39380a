import Foundation
import Testing

@testable import Exposition

@Suite("A whole scrape")
struct GoldenTests {
  private func scrape(_ agreed: Negotiation) -> RenderedScrape {
    ScrapeRenderer().render(recordedFleet(), as: agreed, in: recordedContext())
  }

  @Test("is the recorded one in both formats")
  func golden() throws {
    try expectFile(Repository.fixtures.appending(path: "golden.txt"), holds: scrape(.text).text)
    try expectFile(Repository.fixtures.appending(path: "golden.om"), holds: scrape(.openMetrics).text)
  }

  @Test("gives promtool nothing to complain about")
  func promtool() throws {
    let result = try run(["promtool", "check", "metrics"], input: scrape(.text).bytes)
    #expect(result.status == 0, "install Debian's package prometheus if promtool is missing")
    #expect(result.text == "")
    #expect(result.errors == "")
  }

  @Test("holds the same samples in both formats, as strict readers read them")
  func sameSamples() throws {
    let read = """
      import json, sys
      from prometheus_client.parser import text_string_to_metric_families as text
      from prometheus_client.openmetrics.parser import text_string_to_metric_families as strict
      body = sys.stdin.buffer.read().decode()
      families = list((strict if body.endswith('# EOF\\n') else text)(body))
      samples = [[s.name, sorted(s.labels.items()), repr(float(s.value))] for f in families for s in f.samples]
      print(json.dumps(samples))
      """
    let text = try python(read, input: scrape(.text).bytes)
    let openMetrics = try python(read, input: scrape(.openMetrics).bytes)
    #expect(text.errors == "")
    #expect(openMetrics.errors == "")
    let samples = text.text
    let areSame = samples == openMetrics.text
    #expect(areSame)
    // A reader undoes the escapes.
    let readsNames = samples.contains(#"d\u00e9v \"box\" \\ 1\n2 \ud83d\ude9a"#)
    #expect(readsNames)
  }

  @Test("has no blank line, no series twice, and a state set with exactly one 1")
  func wellFormed() {
    let lines = scrape(.text).text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
    let samples = lines.filter { !$0.hasPrefix("#") }
    #expect(!lines.contains(""))
    #expect(Set(samples.map { $0[..<($0.lastIndex(of: " ") ?? $0.endIndex)] }).count == samples.count)
    let ones = samples.filter { $0.hasPrefix("drover_migration_phase{") && $0.hasSuffix(" 1") }
    #expect(ones.count == 15)
  }
}
