import Testing

@testable import Exposition

@Suite("Headers and escapes")
struct FormatTests {
  private func header(
    _ kind: FamilyKind, _ name: String, unit: FamilyUnit? = nil, in format: ExpositionFormat
  ) -> String {
    let family = Family<Int>(
      name, kind, unit: unit, part: .exporter, labels: [], filledBy: [.drover], "a \\ b\nc \"d\""
    ) { _, _ in }
    var writer = ByteWriter(capacity: 0)
    writer.append(headerOf: family.declaration, in: format)
    return writer.withUnsafeBytes(0..<writer.count) { String(decoding: $0, as: UTF8.self) }
  }

  @Test(
    "follow each format",
    arguments: [
      (.counter, "x_seconds_total", .seconds, "counter", "x_seconds", "counter"),
      (.gauge, "x_seconds", .seconds, "gauge", "x_seconds", "gauge"),
      (.info, "x_info", nil, "gauge", "x", "info"),
      (.stateSet, "x", nil, "gauge", "x", "gauge"),
      (.histogram, "x_bytes", .bytes, "histogram", "x_bytes", "histogram"),
    ] as [(FamilyKind, String, FamilyUnit?, String, String, String)])
  func headers(
    _ kind: FamilyKind, _ name: String, _ unit: FamilyUnit?, _ textType: String, _ openMetricsName: String,
    _ openMetricsType: String
  ) {
    #expect(
      header(kind, name, unit: unit, in: .text) == """
        # HELP \(name) a \\\\ b\\nc "d"
        # TYPE \(name) \(textType)

        """)
    let unitLine = unit.map { "# UNIT \(openMetricsName) \($0.rawValue)\n" } ?? ""
    #expect(
      header(kind, name, unit: unit, in: .openMetrics) == """
        # TYPE \(openMetricsName) \(openMetricsType)
        \(unitLine)# HELP \(openMetricsName) a \\\\ b\\nc \\"d\\"

        """)
  }

  @Test(
    "escape label values",
    arguments: [
      ("plain", "plain"), (#"a\b"#, #"a\\b"#), ("a\nb", #"a\nb"#), (#""a""#, #"\"a\""#), ("tab\t", "tab\t"),
      ("é🚚\r", "é🚚\r"), (#"\n"#, #"\\n"#),
    ])
  func labels(_ value: String, _ escaped: String) {
    var writer = ByteWriter(capacity: 0)
    writer.append(label: "vm", value)
    let text = writer.withUnsafeBytes(0..<writer.count) { String(decoding: $0, as: UTF8.self) }
    #expect(text == "vm=\"\(escaped)\"")
  }
}
