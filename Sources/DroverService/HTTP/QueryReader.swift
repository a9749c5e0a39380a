internal import MicroHTTP

/// The values of a query; the first that is wrong is told.
struct QueryReader {
  private var values: [String: String] = [:]

  /// - Throws: A name that is not one of `names`, and one that stands twice: a slip must not show everything.
  init(_ request: Request, names: [String]) throws(QueryError) {
    for item in request.query {
      guard names.contains(item.name) else {
        let meant = suggestion(for: item.name, among: names).map { "; did you mean \($0)?" } ?? ""
        let allowed = names.isEmpty ? "nothing" : names.joined(separator: ", ")
        throw QueryError("there is no \(quoted(item.name)) here\(meant); allowed behind the ?: \(allowed)")
      }
      guard values.updateValue(item.value, forKey: item.name) == nil else {
        throw QueryError("\(item.name) stands twice; give it once")
      }
    }
  }

  /// A text; nil where it is absent.
  func text(_ name: String) -> String? { values[name] }

  /// A whole number; nil where it is absent.
  func number(_ name: String, in range: ClosedRange<Int64>, words: String) throws(QueryError) -> Int64? {
    try value(name, words: words) { Int64($0).flatMap { range.contains($0) ? $0 : nil } }
  }

  /// One of a few words; nil where it is absent.
  func word<Word: RawRepresentable & CaseIterable>(_ name: String, _: Word.Type = Word.self)
    throws(QueryError)
    -> Word? where Word.RawValue == String
  {
    let words = Word.allCases.map(\.rawValue).joined(separator: ", ")
    return try value(name, words: "one of \(words)") { Word(rawValue: $0) }
  }

  /// What `parse` makes of a text; nil where it is absent.
  func value<Value>(_ name: String, words: String, parse: (String) -> Value?) throws(QueryError) -> Value? {
    guard let text = values[name] else { return nil }
    guard let value = parse(text) else { throw QueryError("\(name) must be \(words), not \(quoted(text))") }
    return value
  }
}

extension Handler {
  /// The same, for a path that takes no query: a filter that is not known must not show everything, and a `dryRun` that
  /// stands beside the body must not be done.
  var withoutQuery: Handler {
    switch self {
    case .immediate(let answer): .immediate { $0.refusedQuery ?? answer($0) }
    case .deferred(let answer):
      .deferred { request in
        if let refused = request.refusedQuery { return refused }
        return await answer(request)
      }
    }
  }
}

extension Request {
  fileprivate var refusedQuery: Response? {
    do throws(QueryError) {
      _ = try QueryReader(self, names: [])
      return nil
    } catch {
      return .problem(status: 400, detail: "\(error)")
    }
  }
}

/// A query that cannot be answered.
struct QueryError: Error, Hashable, Sendable, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
