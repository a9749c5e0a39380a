/// Texts that are left out where there are none.
@propertyWrapper
public struct LeftOutIfEmpty: Codable, Hashable, Sendable {
  /// The texts.
  public var wrappedValue: [String]

  /// Wraps texts, or none.
  public init(wrappedValue: [String]) { self.wrappedValue = wrappedValue }
}

// What is synthesized for a type that has such a property calls these.
extension KeyedEncodingContainer {
  mutating func encode(_ value: LeftOutIfEmpty, forKey key: Key) throws {
    if !value.wrappedValue.isEmpty { try encode(value.wrappedValue, forKey: key) }
  }
}

extension KeyedDecodingContainer {
  func decode(_ type: LeftOutIfEmpty.Type, forKey key: Key) throws -> LeftOutIfEmpty {
    LeftOutIfEmpty(wrappedValue: try decodeIfPresent([String].self, forKey: key) ?? [])
  }
}

/// Texts by their names, left out where there are none.
@propertyWrapper
public struct LeftOutIfNone: Codable, Hashable, Sendable {
  /// The texts.
  public var wrappedValue: [String: String]

  /// Wraps texts, or none.
  public init(wrappedValue: [String: String]) { self.wrappedValue = wrappedValue }
}

extension KeyedEncodingContainer {
  mutating func encode(_ value: LeftOutIfNone, forKey key: Key) throws {
    if !value.wrappedValue.isEmpty { try encode(value.wrappedValue, forKey: key) }
  }
}

extension KeyedDecodingContainer {
  func decode(_ type: LeftOutIfNone.Type, forKey key: Key) throws -> LeftOutIfNone {
    LeftOutIfNone(wrappedValue: try decodeIfPresent([String: String].self, forKey: key) ?? [:])
  }
}

/// A text that is null, not left out, where there is none.
@propertyWrapper
public struct OrNull: Codable, Hashable, Sendable {
  /// The text.
  public var wrappedValue: String?

  /// Wraps a text or nothing.
  public init(wrappedValue: String?) { self.wrappedValue = wrappedValue }

  /// Decodes a text or null.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    wrappedValue = container.decodeNil() ? nil : try container.decode(String.self)
  }

  /// Encodes a text or null.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let wrappedValue { try container.encode(wrappedValue) } else { try container.encodeNil() }
  }
}
