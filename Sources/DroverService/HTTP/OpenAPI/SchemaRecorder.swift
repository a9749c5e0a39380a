/// A decoder that has nothing to decode: it gives what it is asked for, and notes what that was.
final class SchemaRecorder: Decoder {
  /// What has been asked for; nothing yet.
  private(set) var schema = Schema.anything
  let codingPath: [any CodingKey] = []
  let userInfo: [CodingUserInfoKey: Any] = [:]

  /// The schema of a type that is not decodable from made-up values is `anything`.
  static func schema<Value: Decodable>(of type: Value.Type) -> Schema {
    if type == Timestamp.self { return .time }
    if type == OrNull.self { return .orNull(.text) }
    let recorder = SchemaRecorder()
    _ = try? Value(from: recorder)
    return recorder.schema
  }

  fileprivate static func value<Value: Decodable>(_ type: Value.Type) throws -> (Value, Schema) {
    if let time = Timestamp(unixMilliseconds: 0) as? Value { return (time, .time) }
    if let text = OrNull(wrappedValue: nil) as? Value { return (text, .orNull(.text)) }
    // Made-up text is none of the words of a closed list.
    if let word = (type as? any CaseIterable.Type)?.anyCase as? Value { return (word, .text) }
    let recorder = SchemaRecorder()
    return (try Value(from: recorder), recorder.schema)
  }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedDecodingContainer<Key> {
    if case .object = schema {} else { schema = .object([:]) }
    return KeyedDecodingContainer(Members<Key>(recorder: self))
  }

  func unkeyedContainer() -> any UnkeyedDecodingContainer { Elements(recorder: self) }

  func singleValueContainer() -> any SingleValueDecodingContainer { Single(recorder: self) }

  fileprivate func note(_ schema: Schema) { self.schema = schema }

  fileprivate func note(_ name: String, _ schema: Schema, isRequired: Bool) {
    guard case .object(var members, let isOpen) = self.schema else { return }
    members[name] = Schema.Member(schema: schema, isRequired: isRequired)
    self.schema = .object(members, isOpen: isOpen)
  }

  fileprivate static func schema(ofPlain type: any Any.Type) -> Schema {
    switch type {
    case is Bool.Type: .boolean
    case is String.Type: .text
    case is Double.Type, is Float.Type: .number
    default: .integer
    }
  }
}

private struct Members<Key: CodingKey>: KeyedDecodingContainerProtocol {
  let recorder: SchemaRecorder
  let codingPath: [any CodingKey] = []
  let allKeys: [Key] = []

  func contains(_ key: Key) -> Bool { true }
  func decodeNil(forKey key: Key) -> Bool { false }

  func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
    let (value, schema) = try SchemaRecorder.value(type)
    recorder.note(key.stringValue, schema, isRequired: true)
    return value
  }

  func decodeIfPresent<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value? {
    recorder.note(key.stringValue, try SchemaRecorder.value(type).1, isRequired: false)
    return nil
  }

  private func plain<Value>(_ value: Value, _ key: Key) -> Value {
    recorder.note(key.stringValue, SchemaRecorder.schema(ofPlain: Value.self), isRequired: true)
    return value
  }

  private func plain<Value>(ifPresent type: Value.Type, _ key: Key) -> Value? {
    recorder.note(key.stringValue, SchemaRecorder.schema(ofPlain: type), isRequired: false)
    return nil
  }

  func decode(_ type: Bool.Type, forKey key: Key) -> Bool { plain(false, key) }
  func decode(_ type: String.Type, forKey key: Key) -> String { plain("", key) }
  func decode(_ type: Double.Type, forKey key: Key) -> Double { plain(0, key) }
  func decode(_ type: Int.Type, forKey key: Key) -> Int { plain(0, key) }
  func decode(_ type: Int64.Type, forKey key: Key) -> Int64 { plain(0, key) }
  func decode(_ type: UInt64.Type, forKey key: Key) -> UInt64 { plain(0, key) }
  func decodeIfPresent(_ type: Bool.Type, forKey key: Key) -> Bool? { plain(ifPresent: type, key) }
  func decodeIfPresent(_ type: String.Type, forKey key: Key) -> String? { plain(ifPresent: type, key) }
  func decodeIfPresent(_ type: Double.Type, forKey key: Key) -> Double? { plain(ifPresent: type, key) }
  func decodeIfPresent(_ type: Int.Type, forKey key: Key) -> Int? { plain(ifPresent: type, key) }
  func decodeIfPresent(_ type: Int64.Type, forKey key: Key) -> Int64? { plain(ifPresent: type, key) }
  func decodeIfPresent(_ type: UInt64.Type, forKey key: Key) -> UInt64? { plain(ifPresent: type, key) }

  func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key)
    -> KeyedDecodingContainer<Nested>
  {
    SchemaRecorder().container(keyedBy: type)
  }
  func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedDecodingContainer {
    SchemaRecorder().unkeyedContainer()
  }
  func superDecoder() -> any Decoder { SchemaRecorder() }
  func superDecoder(forKey key: Key) -> any Decoder { SchemaRecorder() }
}

/// A list of one element.
private struct Elements: UnkeyedDecodingContainer {
  let recorder: SchemaRecorder
  let codingPath: [any CodingKey] = []
  let count: Int? = 1
  var currentIndex = 0
  var isAtEnd: Bool { currentIndex > 0 }

  mutating func decodeNil() -> Bool { false }

  mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    currentIndex += 1
    let (value, schema) = try SchemaRecorder.value(type)
    recorder.note(.array(schema))
    return value
  }

  mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type)
    -> KeyedDecodingContainer<Nested>
  {
    SchemaRecorder().container(keyedBy: type)
  }
  mutating func nestedUnkeyedContainer() -> any UnkeyedDecodingContainer {
    SchemaRecorder().unkeyedContainer()
  }
  mutating func superDecoder() -> any Decoder { SchemaRecorder() }
}

private struct Single: SingleValueDecodingContainer {
  let recorder: SchemaRecorder
  let codingPath: [any CodingKey] = []

  private func plain<Value>(_ value: Value) -> Value {
    recorder.note(SchemaRecorder.schema(ofPlain: Value.self))
    return value
  }

  func decodeNil() -> Bool { false }
  func decode(_ type: Bool.Type) -> Bool { plain(false) }
  func decode(_ type: String.Type) -> String { plain("") }
  func decode(_ type: Double.Type) -> Double { plain(0) }
  func decode(_ type: Float.Type) -> Float { plain(0) }
  func decode(_ type: Int.Type) -> Int { plain(0) }
  func decode(_ type: Int8.Type) -> Int8 { plain(0) }
  func decode(_ type: Int16.Type) -> Int16 { plain(0) }
  func decode(_ type: Int32.Type) -> Int32 { plain(0) }
  func decode(_ type: Int64.Type) -> Int64 { plain(0) }
  func decode(_ type: UInt.Type) -> UInt { plain(0) }
  func decode(_ type: UInt8.Type) -> UInt8 { plain(0) }
  func decode(_ type: UInt16.Type) -> UInt16 { plain(0) }
  func decode(_ type: UInt32.Type) -> UInt32 { plain(0) }
  func decode(_ type: UInt64.Type) -> UInt64 { plain(0) }
  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    let (value, schema) = try SchemaRecorder.value(type)
    recorder.note(schema)
    return value
  }
}

extension CaseIterable {
  fileprivate static var anyCase: Any? { allCases.first }
}
