import Testing

@testable import KubeVirtBackend

@Suite("The text format of metrics")
struct HandlerTextTests {
  private typealias Sample = PrometheusText.Sample
  private typealias Label = PrometheusText.Label

  @Test("a sample is read with its labels, its value and its time")
  func sample() {
    let (samples, tally) = read(#"wanted_bytes{name="a",namespace="b"} 8.60660992e+09 1772445615112"#)
    #expect(
      samples == [
        Sample(
          name: "wanted_bytes",
          labels: [Label(name: "name", value: "a"), Label(name: "namespace", value: "b")],
          value: 8_606_609_920, timestamp: 1_772_445_615_112)
      ])
    #expect(samples[0].label("namespace") == "b" && samples[0].label("node") == nil)
    #expect(tally == PrometheusText.Tally(lines: 1, samples: 1, malformed: 0))
  }

  @Test(
    "every form of a line that exporters write is taken",
    arguments: [
      ("wanted 1", 1, nil),
      ("wanted\t1\t7", 1, 7),
      ("  wanted   1   -7  ", 1, -7),
      ("wanted{} 1", 1, nil),
      ("wanted {a=\"b\"} 1", 1, nil),
      ("wanted{ a = \"b\" , c = \"d\" , } 1", 1, nil),
      ("wanted{a=\"b\"}1", 1, nil),
      ("wanted 1\r", 1, nil),
      ("wanted 1 5\r", 1, 5),
      ("wanted:rule_1 1", 1, nil),
      ("wanted{a=\"} # , =\"} 1", 1, nil),
      ("wanted +Inf", .infinity, nil),
      ("wanted -inf", -.infinity, nil),
      ("wanted Infinity", .infinity, nil),
      ("wanted 1e400", .infinity, nil),
      ("wanted -1.5E-3", -0.0015, nil),
      ("wanted .5", 0.5, nil),
      ("wanted 5.", 5, nil),
      ("wanted 0x1p4", 16, nil),
      ("wanted 18446744073709551616", 0x1p64, nil),
    ] as [(String, Double, Int64?)])
  func forms(line: String, value: Double, timestamp: Int64?) {
    let (samples, tally) = read(line)
    #expect(samples.map(\.value) == [value] && samples.map(\.timestamp) == [timestamp])
    #expect(tally.malformed == 0)
  }

  @Test("NaN is a value", arguments: ["NaN", "nan", "NAN"])
  func notANumber(text: String) {
    #expect(read("wanted \(text)").samples.first?.value.isNaN == true)
  }

  @Test(
    "a line that is not of the format is counted, and the next one is read",
    arguments: [
      "wanted", "wanted ", "wanted{", "wanted{a", "wanted{a=", "wanted{a=\"", "wanted{a=\"b",
      "wanted{a=\"b\"",
      "wanted{a=\"b\\", "wanted{a=\"b\\\"} 1", "wanted{a=\"b\\q\"} 1", "wanted{a=\"b\"} ",
      "wanted{a=\"b\"} x",
      "wanted{a=\"b\"\"c\"} 1", "wanted{a=b} 1", "wanted{1=\"b\"} 1", "wanted{,} 1", "wanted 1 x",
      "wanted 1 2 3",
      "wanted 1 2.5", "wanted 1 99999999999999999999", "wanted- 1", "wanted nan(1)", "wanted -nan",
      "wanted 1_000",
      "wanted 1 2 # {} 3", "<html>", "{\"status\":\"error\"}", "\u{0}\u{1}", "ü 1", "1 2",
    ])
  func malformed(line: String) {
    let (samples, tally) = read("\(line)\nwanted 2\n")
    #expect(samples.map(\.value) == [2])
    #expect(tally.malformed == 1 && tally.lines == 2)
  }

  @Test("escapes in labels are undone; a backslash is no end")
  func escapes() {
    let (samples, _) = read(#"wanted{a="1\\2\"3\n4",b="\\",c="ü"} 1"#)
    #expect(samples.first?.labels.map(\.value) == ["1\\2\"3\n4", "\\", "ü"])
  }

  @Test("bytes that are no UTF-8 are replaced")
  func notUTF8() {
    let bytes = Array("wanted{a=\"".utf8) + [0xFF] + Array("\"} 1".utf8)
    var samples: [PrometheusText.Sample] = []
    _ = PrometheusText.visit(bytes.span, prefixes: ["wanted"]) { samples.append($0) }
    #expect(samples.first?.label("a") == "\u{FFFD}")
  }

  @Test("comments, empty lines and other metrics are passed over", arguments: ["\n", "\r\n"])
  func others(lineEnd: String) {
    let lines = [
      "# HELP wanted_a What it is", "# TYPE wanted_a gauge", "#", "", "  ", "other_a{wanted=\"1\"} 1",
      "wante 1",
      ":rule 1", "wanted_a 1", "wanted_b 2", "other wanted_c 1",
    ]
    let (samples, tally) = read(lines.joined(separator: lineEnd))
    #expect(samples.map(\.name) == ["wanted_a", "wanted_b"])
    #expect(tally == PrometheusText.Tally(lines: 11, samples: 2, malformed: 0))
  }

  @Test("several prefixes are asked for at once; repeated series come in their order")
  func prefixes() {
    var values: [Double] = []
    let body = Array("a_x 1\nb_x 2\nab_x 3\na_x 4\na_x 5\nc_x 6".utf8)
    let tally = PrometheusText.visit(body.span, prefixes: ["a_", "b_"]) { values.append($0.value) }
    #expect(values == [1, 2, 4, 5] && tally.lines == 6)
  }

  @Test("an empty body has no lines")
  func empty() {
    #expect(read("").tally == PrometheusText.Tally())
  }

  @Test("no cut or mangled byte of a real body ends it")
  func mangled() throws {
    let body = Array(try fixture("virt-handler-metrics.txt"))
    let whole = read(body).samples
    #expect(whole.count == 22)
    for length in stride(from: 0, through: body.count, by: 13) {
      #expect(read(Array(body[..<length])).samples.count <= whole.count)
    }
    var random = SystemRandomNumberGenerator()
    for position in stride(from: 0, to: body.count, by: 11) {
      var mangled = body
      mangled[position] = UInt8.random(in: 0...255, using: &random)
      let (samples, tally) = read(mangled)
      #expect(samples.count + tally.malformed >= whole.count - 2)
    }
  }

  private func read(_ text: String) -> (samples: [PrometheusText.Sample], tally: PrometheusText.Tally) {
    var samples: [PrometheusText.Sample] = []
    let bytes = Array(text.utf8)
    let tally = PrometheusText.visit(bytes.span, prefixes: ["wanted"]) { samples.append($0) }
    return (samples, tally)
  }

  private func read(_ bytes: [UInt8]) -> (samples: [PrometheusText.Sample], tally: PrometheusText.Tally) {
    var samples: [PrometheusText.Sample] = []
    let tally = PrometheusText.visit(bytes.span, prefixes: HandlerFamily.prefixes) { samples.append($0) }
    return (samples, tally)
  }
}
