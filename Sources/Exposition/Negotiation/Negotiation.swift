/// What a client and Drover agree upon: media type and compression of a scrape.
public struct Negotiation: Hashable, Sendable {
  /// The media type of the answer.
  public let mediaType: ScrapeMediaType
  /// Whether the answer may be compressed with gzip.
  public let allowsGzip: Bool

  /// Agrees on what the headers `Accept` and `Accept-Encoding` ask for; several of one name are joined by commas.
  ///
  /// The highest weight wins, then the more specific range, then text 0.0.4, which is also the answer to a client
  /// that accepts nothing that there is.
  public init(accept: String? = nil, acceptEncoding: String? = nil) {
    mediaType = ScrapeMediaType.preferred(by: AcceptItem.list(accept ?? ""))
    allowsGzip = Self.allowsGzip(AcceptItem.list(acceptEncoding ?? ""))
  }

  /// Whether the header `Accept` covers a media type, given without parameters; no header covers all.
  public static func accepts(_ mediaType: String, _ accept: String?) -> Bool {
    let ranges = AcceptItem.list(accept ?? "")
    // The closest range decides.
    let closest = [mediaType, mediaType.prefix { $0 != "/" } + "/*", "*/*"].lazy
      .compactMap { name in ranges.last { $0.value == name } }.first
    return ranges.isEmpty || (closest?.weight ?? 0) > 0
  }

  private static func allowsGzip(_ items: [AcceptItem]) -> Bool {
    func weight(_ names: Set<String>) -> Int? {
      (items.last { names.contains($0.value) } ?? items.last { $0.value == "*" })?.weight
    }
    guard let gzip = weight(["gzip", "x-gzip"]), gzip > 0 else { return false }
    let identity = items.last { $0.value == "identity" }?.weight ?? 0
    return gzip >= identity
  }
}

/// A media type that scrapes are answered in.
public enum ScrapeMediaType: CaseIterable, Sendable {
  /// The classic text format.
  case text004
  /// OpenMetrics 1.0.
  case openMetrics100
  /// The classic text format with quoted names, of which Drover has none.
  case text100

  /// The header `Content-Type`.
  ///
  /// Types of version 1.0.0 must say how names outside the legacy alphabet are escaped; Drover has none of these,
  /// so every scheme makes the same bytes.
  public var contentType: String {
    switch self {
    case .text004: "text/plain; version=0.0.4; charset=utf-8"
    case .openMetrics100: "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
    case .text100: "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"
    }
  }

  /// The format of its bytes.
  public var format: ExpositionFormat { self == .openMetrics100 ? .openMetrics : .text }

  /// How closely a range names this type, 0 to 3; nil where it does not cover it.
  private func match(_ range: AcceptItem) -> Int? {
    let version = range.parameters["version"]
    switch (self, range.value, version) {
    case (.text004, "text/plain", "0.0.4"), (.text100, "text/plain", "1.0.0"),
      (.openMetrics100, "application/openmetrics-text", "1.0.0"):
      return 3
    case (.text004, "text/plain", nil), (.openMetrics100, "application/openmetrics-text", nil): return 2
    case (.text004, "text/*", _), (.openMetrics100, "application/*", _): return 1
    case (.text004, "*/*", _), (.openMetrics100, "*/*", _): return 0
    default: return nil
    }
  }

  static func preferred(by ranges: [AcceptItem]) -> ScrapeMediaType {
    var best: (type: ScrapeMediaType, weight: Int, match: Int)?
    // In the order of preference: a later one must be better to win.
    for type in allCases {
      // The closest range decides on a type, so that a weight of 0 can take one out of `*/*`.
      let closest = ranges.compactMap { range in type.match(range).map { (weight: range.weight, match: $0) } }
        .max { ($0.match, $0.weight) < ($1.match, $1.weight) }
      guard let closest, closest.weight > 0 else { continue }
      if let best, (closest.weight, closest.match) <= (best.weight, best.match) { continue }
      best = (type, closest.weight, closest.match)
    }
    if let best { return best.type }
    // OpenMetrics 0.0.1 was the draft of 1.0.0 and its readers read 1.0.0; whoever offers text besides gets text.
    let acceptsDraft = ranges.contains {
      $0.value == "application/openmetrics-text" && $0.parameters["version"] == "0.0.1" && $0.weight > 0
    }
    return acceptsDraft ? .openMetrics100 : .text004
  }
}
