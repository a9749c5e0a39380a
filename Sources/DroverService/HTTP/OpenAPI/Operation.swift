internal import MicroHTTP

/// What a route of the API takes and answers: declared beside the route, and the OpenAPI document is made of these.
struct Operation: Sendable {
  let method: Method
  /// The path as the router takes it.
  let pattern: String
  /// A name for programs, unique.
  let id: String
  /// What it does, in a sentence.
  let summary: String
  let query: [Parameter]
  let body: Body?
  /// What it answers where all is well.
  let answers: [Answer]
  /// The statuses of the problems that it tells itself, beside those that stand before every route.
  let problems: [Int]
  /// What acting takes; nil for what only reads.
  let acting: ActingRoute?

  /// A parameter of the query.
  struct Parameter: Sendable {
    let name: String
    let schema: Schema
    /// Closed list of its values; empty for any.
    var values: [String] = []

    static func text(_ name: String, _ values: [String] = []) -> Parameter {
      Parameter(name: name, schema: .text, values: values)
    }
    static func number(_ name: String) -> Parameter { Parameter(name: name, schema: .integer) }
  }

  /// What a client sends as JSON.
  struct Body: Sendable {
    let schema: Schema
    let isRequired: Bool

    static func of<Value: StrictBody>(_ type: Value.Type, isRequired: Bool = false) -> Body {
      Body(schema: Schema.of(type).closed, isRequired: isRequired)
    }

    /// What another program sends, of which not all is read.
    static func open<Value: Decodable>(_ type: Value.Type) -> Body {
      Body(schema: Schema.of(type), isRequired: true)
    }
  }

  /// An answer that is no problem.
  struct Answer: Sendable {
    let status: Int
    let name: String
    let schema: Schema

    static func of<Value: Decodable>(_ type: Value.Type, _ status: Int = 200) -> Answer {
      Answer(status: status, name: "\(type)", schema: .of(type))
    }
  }

  /// Declares a route that reads.
  init(
    get path: String, _ id: String, _ summary: String, query: [Parameter] = [], _ answers: Answer...,
    problems: [Int] = []
  ) {
    method = .get
    pattern = "/api/v1/\(path)"
    (self.id, self.summary, self.query, self.answers, self.problems) = (id, summary, query, answers, problems)
    body = nil
    acting = nil
  }

  /// Declares a route that acts.
  init(
    _ acting: ActingRoute, _ id: String, _ summary: String, body: Body? = nil, _ answers: Answer...,
    problems: [Int] = []
  ) {
    method = acting.method
    pattern = acting.pattern
    (self.id, self.summary, self.answers, self.problems) = (id, summary, answers, problems)
    query = []
    self.body = body
    self.acting = acting
  }

  /// The names of the parts of the path that are parameters.
  var pathParameters: [String] {
    pattern.split(separator: "/").filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
  }
}
