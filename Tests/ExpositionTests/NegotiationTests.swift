import Testing

@testable import Exposition

@Suite("Negotiation")
struct NegotiationTests {
  private static let prometheus = """
    application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
    application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
    text/plain;version=0.0.4;q=0.3,*/*;q=0.2
    """

  @Test(
    "the highest weight wins, then the closest range, then text 0.0.4",
    arguments: [
      (nil, .text004), ("", .text004), ("*/*", .text004),
      (prometheus, .openMetrics100),
      (
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
          + prometheus, .openMetrics100
      ),
      ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", .text004),
      ("text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4", .text004),
      ("text/plain; version=1.0.0; escaping=underscores", .text100),
      ("text/plain;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.7", .text100),
      ("text/plain", .text004), ("text/*", .text004), ("application/*", .openMetrics100),
      ("application/openmetrics-text", .openMetrics100),
      // A tie goes to the closer range, else to text 0.0.4.
      ("*/*, application/openmetrics-text;version=1.0.0", .openMetrics100),
      ("text/*, application/openmetrics-text", .openMetrics100),
      ("text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0", .text004),
      ("application/openmetrics-text;version=1.0.0, text/plain;version=1.0.0", .openMetrics100),
      // A weight of 0 takes a type out of a wider range.
      ("text/plain;q=0, */*;q=0.1", .openMetrics100),
      ("application/openmetrics-text;q=0, */*", .text004),
      ("*/*;q=0", .text004), ("application/openmetrics-text;q=0", .text004),
      // The draft is the last resort.
      ("application/openmetrics-text;version=0.0.1", .openMetrics100),
      ("application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", .text004),
      ("application/openmetrics-text;version=0.0.1;q=0", .text004),
      // Versions that there are not.
      ("application/openmetrics-text;version=2.0.0, text/plain;version=0.0.4;q=0.1", .text004),
      ("text/plain;version=0.0.3", .text004), ("application/json", .text004),
      // Case, spaces and quotes.
      ("Application/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=0.9 , text/plain;q=0.8", .openMetrics100),
      (#"text/plain;a="x,y;q=0;\"";q=0.1, application/openmetrics-text;q=0.2"#, .openMetrics100),
      // What cannot be read is skipped.
      ("application/openmetrics-text;q=2, text/plain;q=0.1", .text004),
      ("application/openmetrics-text;q=0.1234, text/plain;q=0.1", .text004),
      ("application/openmetrics-text;q=, text/plain;q=0.1", .text004),
      ("application/openmetrics-text;version, text/plain;q=0.1", .text004),
      ("application/openmetrics-text;version=\"1.0.0, text/plain;q=0.1", .text004),
      (",;=,  ,application/openmetrics-text;;q=1.000,", .openMetrics100),
      ("application /openmetrics-text", .text004),
    ] as [(String?, ScrapeMediaType)])
  func mediaType(_ accept: String?, _ type: ScrapeMediaType) {
    #expect(Negotiation(accept: accept).mediaType == type)
  }

  @Test(
    "gzip is used where it is allowed and not thought worse than nothing",
    arguments: [
      (nil, false), ("", false), ("gzip", true), ("GZip", true), ("x-gzip", true),
      ("deflate, gzip;q=0.5, br", true),
      ("gzip;q=0", false), ("gzip;q=0.000", false), ("*", true), ("*;q=0", false), ("*, gzip;q=0", false),
      ("gzip, *;q=0", true), ("identity", false), ("identity;q=0.5, gzip;q=0.4", false),
      ("identity, gzip", true),
      ("identity;q=0, gzip;q=0.1", true), ("br, zstd", false), ("gzip;q=x", false),
    ] as [(String?, Bool)])
  func gzip(_ acceptEncoding: String?, _ isAllowed: Bool) {
    #expect(Negotiation(acceptEncoding: acceptEncoding).allowsGzip == isAllowed)
  }

  @Test(
    "another answer's type is covered or not",
    arguments: [
      (nil, true), ("", true), ("*/*", true), ("application/*", true), ("application/json", true),
      ("text/html, application/json;q=0.1", true), ("text/html", false), ("application/json;q=0, */*", false),
      ("application/*;q=0, */*", false), ("*/*;q=0", false), (",", true),
    ] as [(String?, Bool)])
  func accepts(_ accept: String?, _ isCovered: Bool) {
    #expect(Negotiation.accepts("application/json", accept) == isCovered)
  }

  @Test(
    "the answer says its type",
    arguments: [
      (.text004, "text/plain; version=0.0.4; charset=utf-8"),
      (.text100, "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"),
      (.openMetrics100, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"),
    ] as [(ScrapeMediaType, String)])
  func contentType(_ type: ScrapeMediaType, _ text: String) {
    #expect(type.contentType == text)
  }
}
