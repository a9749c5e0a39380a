internal import FoundationEssentials

/// What Prometheus answers to a query for a range of raw samples.
struct PrometheusAnswer: Decodable, Sendable {
  /// One series.
  struct Series: Decodable, Sendable {
    /// The labels; the name is `__name__`.
    var metric: [String: String]
    /// The samples, in the order of time.
    var values: [Point]

    private enum CodingKeys: CodingKey { case metric, values }

    /// Takes a series without plain samples, such as one of native histograms, for an empty one.
    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      metric = try container.decode([String: String].self, forKey: .metric)
      values = try container.decodeIfPresent([Point].self, forKey: .values) ?? []
    }
  }

  /// One sample: `[1772445615.112,"8606609920"]`.
  struct Point: Decodable, Sendable {
    /// Milliseconds since 1970.
    var at: Int64
    /// The value; NaN where the text is no number.
    var value: Double

    /// Reads the pair.
    init(from decoder: any Decoder) throws {
      var pair = try decoder.unkeyedContainer()
      let seconds = try pair.decode(Double.self)
      at = Int64(exactly: (seconds * 1000).rounded()) ?? 0
      value = Double(exposed: try pair.decode(String.self)) ?? .nan
    }
  }

  private struct Result: Decodable {
    var resultType: String
    var result: [Series]

    private enum CodingKeys: CodingKey { case resultType, result }

    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      resultType = try container.decode(String.self, forKey: .resultType)
      result = resultType == "matrix" ? try container.decode([Series].self, forKey: .result) : []
    }
  }

  /// The series; nil in an error.
  let series: [Series]?
  /// The kind of result; nil in an error.
  let resultType: String?
  /// Whether the query succeeded.
  let isSuccess: Bool
  /// What went wrong, with its kind before it; nil in a success.
  let error: String?
  /// What the answer may lack.
  let warnings: [String]

  private enum CodingKeys: CodingKey { case status, data, errorType, error, warnings }

  /// Reads an answer, or an error.
  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    isSuccess = try container.decode(String.self, forKey: .status) == "success"
    warnings = (try? container.decodeIfPresent([String].self, forKey: .warnings)) ?? []
    let kind = (try? container.decodeIfPresent(String.self, forKey: .errorType)) ?? nil
    let text = (try? container.decodeIfPresent(String.self, forKey: .error)) ?? nil
    error = isSuccess ? nil : [kind, text].compactMap { $0 }.joined(separator: ": ")
    let data = isSuccess ? try container.decode(Result.self, forKey: .data) : nil
    series = data?.result
    resultType = data?.resultType
  }

  /// Reads JSON; nil where it is something else.
  init?(json: [UInt8]) {
    guard let answer = try? JSONDecoder().decode(Self.self, from: Data(json)) else { return nil }
    self = answer
  }
}

extension HandlerReading {
  /// Reads the series of a Prometheus, which keep the times that virt-handler gave them.
  ///
  /// - Parameters:
  ///   - nodes: The nodes that were asked about; other series are passed over.
  ///   - serverTime: The clock of Prometheus when it answered, milliseconds since 1970.
  init(_ series: [PrometheusAnswer.Series], of nodes: Set<String>, serverTime: Int64, warnings: [String]) {
    var builder = HandlerReadingBuilder(serverTime: serverTime)
    for one in series {
      guard let name = one.metric["__name__"], let family = HandlerFamily(name) else { continue }
      let key = HandlerKey { one.metric[$0] }
      guard key.node.isEmpty || nodes.contains(key.node) else { continue }
      for point in one.values { builder.take(family, of: key, value: point.value, at: point.at) }
    }
    builder.warn(warnings.prefix(10).map(\.oneLine))
    self = builder.finish()
  }
}
