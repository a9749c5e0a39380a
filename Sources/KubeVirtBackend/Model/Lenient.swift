/// Lenient reading: a field that is not what it should be counts as absent, since no field is worth losing an object for.
extension KeyedDecodingContainer {
  /// The field's value; nil where it is absent or malformed.
  func lenient<Value: Decodable>(_ key: Key, as type: Value.Type = Value.self) -> Value? {
    (try? decodeIfPresent(Value.self, forKey: key)) ?? nil
  }

  /// The elements of a list that can be read.
  func lenientList<Value: Decodable>(_ key: Key, of type: Value.Type = Value.self) -> [Value] {
    guard let list = try? decodeIfPresent([Lossy<Value>].self, forKey: key) else { return [] }
    return list.compactMap(\.value)
  }
}

/// An element of a list that may be malformed.
private struct Lossy<Value: Decodable>: Decodable {
  let value: Value?

  init(from decoder: any Decoder) throws { value = try? Value(from: decoder) }
}

/// A number, or a text that is one or a quantity: the API has fields that may be either.
struct IntOrText: Decodable, Hashable, Sendable {
  let text: String

  init(from decoder: any Decoder) throws {
    let value = try decoder.singleValueContainer()
    // Quantities are texts nearly always, and each attempt that fails costs more than all the rest.
    if let text = try? value.decode(String.self) {
      self.text = text
    } else if let number = try? value.decode(Int64.self) {
      text = String(number)
    } else {
      text = String(try value.decode(Double.self))
    }
  }
}
