/// Decodes an object from its JSON, and looks at nothing that the type does not ask for.
///
/// Most of an object of the API is read by nobody, and there are thousands: FoundationEssentials' decoder, which
/// reads all of it and makes a dictionary of each object in it, takes three times as long.
struct LazyDecoder: Decoder {
  let text: JSONText
  let place: JSONPlace?

  static func decode<Value: Decodable>(
    _ type: Value.Type, from bytes: UnsafeBufferPointer<UInt8>
  ) throws -> Value {
    try Value(from: LazyDecoder(text: JSONText(bytes), place: nil))
  }

  var codingPath: [any CodingKey] { JSONPlace.path(place) }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    KeyedDecodingContainer(LazyObject<Key>(members: try LazyMembers(self)))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer { try LazyArray(self) }

  func singleValueContainer() throws -> any SingleValueDecodingContainer { LazyValue(decoder: self) }
}

/// Where in an object a value stands.
final class JSONPlace: Sendable {
  /// What is read as deep as it goes is not read deeper: there is so much stack.
  static let deepest = 200

  private let key: any CodingKey
  private let outer: JSONPlace?
  let depth: Int

  init(_ key: any CodingKey, in outer: JSONPlace?) {
    (self.key, self.outer) = (key, outer)
    depth = (outer?.depth ?? 0) + 1
  }

  static func path(_ place: JSONPlace?) -> [any CodingKey] {
    var (path, next): ([any CodingKey], JSONPlace?) = ([], place)
    while let place = next {
      path.append(place.key)
      next = place.outer
    }
    return path.reversed()
  }

  struct Index: CodingKey {
    let index: Int
    var intValue: Int? { index }
    var stringValue: String { "\(index)" }
    init(_ index: Int) { self.index = index }
    init?(intValue: Int) { index = intValue }
    init?(stringValue: String) { nil }
  }
}

extension LazyDecoder {
  func mismatch(_ type: Any.Type) -> DecodingError {
    let context = DecodingError.Context(codingPath: codingPath, debugDescription: "no \(type)")
    return isNull ? .valueNotFound(type, context) : .typeMismatch(type, context)
  }

  /// What should be made of parts is something else, or no JSON.
  func broken(_ kind: String) -> DecodingError {
    let problem = isTooDeep ? "more than \(JSONPlace.deepest) deep" : "no JSON \(kind)"
    return .dataCorrupted(DecodingError.Context(codingPath: codingPath, debugDescription: problem))
  }

  var isTooDeep: Bool { place.map { $0.depth > JSONPlace.deepest } ?? false }

  var isNull: Bool { text.isNull }

  func bool() throws -> Bool {
    guard let bool = text.bool() else { throw mismatch(Bool.self) }
    return bool
  }

  func string() throws -> String {
    guard let string = text.string() else { throw mismatch(String.self) }
    return string
  }

  func double() throws -> Double {
    guard let double = text.double() else { throw mismatch(Double.self) }
    return double
  }

  func integer<Number: FixedWidthInteger>(_ type: Number.Type) throws -> Number {
    guard let number = text.integer(type) else { throw mismatch(type) }
    return number
  }

  /// A value of any type; a string, the most frequent, without a container.
  func value<Value: Decodable>(_ type: Value.Type) throws -> Value {
    if type == String.self, let string = try string() as? Value { return string }
    return try Value(from: self)
  }
}

// MARK: Objects

/// The members of an object, found by name.
struct LazyMembers {
  /// With more than that, one search through all for each is too much.
  private static let few = 32

  let decoder: LazyDecoder
  private let members: JSONMembers
  private var index: [String: Int]?

  init(_ decoder: LazyDecoder) throws {
    guard !decoder.isTooDeep, let members = decoder.text.members() else { throw decoder.broken("object") }
    self.decoder = decoder
    self.members = members
    guard members.hasEscapes || members.all.count > Self.few else { return }
    index = Dictionary(names.enumerated().map { ($1, $0) }) { $1 }
  }

  var names: [String] {
    members.all.map { member in
      let name = decoder.text.bytes[member.name]
      guard members.hasEscapes else { return String(decoding: name, as: UTF8.self) }
      let quoted = [0x22] + name + [0x22]
      return quoted.withUnsafeBufferPointer { JSONText($0).string() } ?? String(decoding: name, as: UTF8.self)
    }
  }

  var values: [JSONText] { members.all.map(decoder.text.value) }

  func find(_ key: some CodingKey) -> JSONText? {
    if let index { return index[key.stringValue].map { decoder.text.value(members.all[$0]) } }
    var name = key.stringValue
    return name.withUTF8(find)
  }

  func find(_ name: StaticString) -> JSONText? {
    if let index { return index["\(name)"].map { decoder.text.value(members.all[$0]) } }
    return name.withUTF8Buffer(find)
  }

  private func find(_ name: UnsafeBufferPointer<UInt8>) -> JSONText? {
    // Of two of one name the last counts.
    decoder.text.bytes.withUnsafeBufferPointer { bytes in
      members.all.last { member in
        member.name.count == name.count
          && UnsafeBufferPointer(rebasing: bytes[member.name]).elementsEqual(name)
      }
    }.map(decoder.text.value)
  }

  func decoder(_ key: some CodingKey) -> LazyDecoder? {
    find(key).map { LazyDecoder(text: $0, place: JSONPlace(key, in: decoder.place)) }
  }

  func required(_ key: some CodingKey) throws -> LazyDecoder {
    guard let found = decoder(key) else {
      throw DecodingError.keyNotFound(
        key, DecodingError.Context(codingPath: decoder.codingPath, debugDescription: "no \(key.stringValue)"))
    }
    return found
  }

  /// A member that is there and is not null.
  func present(_ key: some CodingKey) -> LazyDecoder? {
    guard let found = decoder(key), !found.isNull else { return nil }
    return found
  }
}

private struct LazyObject<Key: CodingKey>: KeyedDecodingContainerProtocol {
  let members: LazyMembers

  var codingPath: [any CodingKey] { members.decoder.codingPath }
  var allKeys: [Key] { members.names.compactMap { Key(stringValue: $0) } }

  func contains(_ key: Key) -> Bool { members.find(key) != nil }
  func decodeNil(forKey key: Key) throws -> Bool { try members.required(key).isNull }

  func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try members.required(key).bool() }
  func decode(_ type: String.Type, forKey key: Key) throws -> String { try members.required(key).string() }
  func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try members.required(key).double() }
  func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
    try members.required(key).value(type)
  }

  func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? {
    try members.present(key)?.bool()
  }
  func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? {
    try members.present(key)?.string()
  }
  func decodeIfPresent<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value? {
    try members.present(key)?.value(type)
  }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) throws -> KeyedDecodingContainer<Nested> { try members.required(key).container(keyedBy: type) }

  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    try members.required(key).unkeyedContainer()
  }

  func superDecoder() throws -> any Decoder { members.decoder }
  func superDecoder(forKey key: Key) throws -> any Decoder { try members.required(key) }
}

// MARK: Arrays

private struct LazyArray: UnkeyedDecodingContainer {
  private let decoder: LazyDecoder
  private let elements: [JSONText]
  private(set) var currentIndex = 0

  init(_ decoder: LazyDecoder) throws {
    guard !decoder.isTooDeep, let elements = decoder.text.elements() else { throw decoder.broken("array") }
    (self.decoder, self.elements) = (decoder, elements)
  }

  var codingPath: [any CodingKey] { decoder.codingPath }
  var count: Int? { elements.count }
  var isAtEnd: Bool { currentIndex == elements.count }

  private func present() throws -> LazyDecoder {
    let place = JSONPlace(JSONPlace.Index(currentIndex), in: decoder.place)
    guard !isAtEnd else {
      throw DecodingError.valueNotFound(
        Any.self,
        DecodingError.Context(codingPath: JSONPlace.path(place), debugDescription: "no more elements"))
    }
    return LazyDecoder(text: elements[currentIndex], place: place)
  }

  private mutating func next<Value>(_ read: (LazyDecoder) throws -> Value) throws -> Value {
    let value = try read(present())
    currentIndex += 1
    return value
  }

  mutating func decodeNil() throws -> Bool {
    guard try present().isNull else { return false }
    currentIndex += 1
    return true
  }

  mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    try next { try $0.value(type) }
  }

  mutating func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type
  ) throws -> KeyedDecodingContainer<Nested> { try next { try $0.container(keyedBy: type) } }

  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    try next { try $0.unkeyedContainer() }
  }

  mutating func superDecoder() throws -> any Decoder { try next { $0 } }
}

// MARK: Single values

private struct LazyValue: SingleValueDecodingContainer {
  let decoder: LazyDecoder

  var codingPath: [any CodingKey] { decoder.codingPath }

  func decodeNil() -> Bool { decoder.isNull }
  func decode(_ type: Bool.Type) throws -> Bool { try decoder.bool() }
  func decode(_ type: String.Type) throws -> String { try decoder.string() }
  func decode(_ type: Double.Type) throws -> Double { try decoder.double() }
  func decode(_ type: Float.Type) throws -> Float { Float(try decoder.double()) }
  func decode(_ type: Int.Type) throws -> Int { try decoder.integer(type) }
  func decode(_ type: Int8.Type) throws -> Int8 { try decoder.integer(type) }
  func decode(_ type: Int16.Type) throws -> Int16 { try decoder.integer(type) }
  func decode(_ type: Int32.Type) throws -> Int32 { try decoder.integer(type) }
  func decode(_ type: Int64.Type) throws -> Int64 { try decoder.integer(type) }
  func decode(_ type: UInt.Type) throws -> UInt { try decoder.integer(type) }
  func decode(_ type: UInt8.Type) throws -> UInt8 { try decoder.integer(type) }
  func decode(_ type: UInt16.Type) throws -> UInt16 { try decoder.integer(type) }
  func decode(_ type: UInt32.Type) throws -> UInt32 { try decoder.integer(type) }
  func decode(_ type: UInt64.Type) throws -> UInt64 { try decoder.integer(type) }
  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try decoder.value(type) }
}
