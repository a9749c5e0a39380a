public import FoundationEssentials

/// What the server answered to a request that it granted.
public struct KubernetesAnswer: Sendable {
  /// The HTTP status, from 200 to 299.
  public let status: Int
  /// The body as it came.
  public let body: [UInt8]
  /// The server's clock when it answered, to the second; nil where it told none.
  public let serverTime: Date?
  let call: String

  /// The body as a value; the error says where it differs.
  public func decoded<Value: Decodable>(as type: Value.Type = Value.self) throws(KubernetesError) -> Value {
    do {
      return try body.withUnsafeBufferPointer { try LazyDecoder.decode(type, from: $0) }
    } catch {
      throw .decoding(call: call, problem: "the answer is no \(type): \(decodingProblem(error))")
    }
  }

  /// The body as text.
  public var text: String { String(decoding: body, as: UTF8.self) }
}

/// What a decoder found, in a few words and without the values.
func decodingProblem(_ error: any Error) -> String {
  func place(_ context: DecodingError.Context) -> String {
    let path = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? ".\($0.stringValue)" }.joined()
    return path.isEmpty ? "" : " at \(path)"
  }
  return switch error {
  case DecodingError.keyNotFound(let key, let context): "no \(key.stringValue)\(place(context))"
  case DecodingError.typeMismatch(let type, let context): "no \(type)\(place(context))"
  case DecodingError.valueNotFound(let type, let context): "null in place of \(type)\(place(context))"
  case DecodingError.dataCorrupted(let context): "\(context.debugDescription)\(place(context))"
  default: "\(error)"
  }
}
