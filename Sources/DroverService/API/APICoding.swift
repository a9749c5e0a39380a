internal import FoundationEssentials

/// The API's JSON: sorted keys, no blanks.
public enum APICoding {
  /// Encodes an answer.
  public static func encode(_ value: some Encodable) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return Array(try encoder.encode(value))
  }

  /// Decodes an answer; unknown keys are passed over, so that an older client reads a newer server.
  public static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
    try JSONDecoder().decode(type, from: Data(bytes))
  }

  /// What is wrong with a body, as its sender would call it.
  ///
  /// - Parameter model: Whose form it should have.
  static func words(of error: any Error, model: String) -> String {
    func place(_ path: [any CodingKey]) -> String {
      path.map { key in key.intValue.map { "[\($0)]" } ?? ".\(key.stringValue)" }.joined().drop { $0 == "." }
        .description
    }
    switch error as? DecodingError {
    case .keyNotFound(let key, let context):
      return "it has no \(quoted(place(context.codingPath + [key])))"
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      let name = place(context.codingPath)
      return name.isEmpty ? "it is no object" : "\(quoted(name)) is of another kind than \(model)"
    case .dataCorrupted, nil: return "it is no JSON"
    @unknown default: return "it is no JSON of that form"
    }
  }
}
