/// Header fields in their order; names compare without case, repeated ones stay apart.
public struct HTTPHeaders: Hashable, Sendable, ExpressibleByDictionaryLiteral {
  /// One field.
  public struct Field: Hashable, Sendable {
    /// The name as it was written.
    public let name: String
    /// The value without surrounding white space.
    public let value: String

    /// Makes a field; ``CurlClient/send(_:)`` refuses one that HTTP does not allow.
    public init(name: String, value: String) {
      self.name = name
      self.value = value
    }
  }

  /// All fields in their order.
  public private(set) var fields: [Field]

  /// Holds these fields.
  public init(_ fields: [Field] = []) { self.fields = fields }

  /// Holds these fields, repeated names included.
  public init(dictionaryLiteral elements: (String, String)...) {
    fields = elements.map { Field(name: $0.0, value: $0.1) }
  }

  /// Appends a field, whether or not the name is there already.
  mutating func append(_ name: String, _ value: String) {
    fields.append(Field(name: name, value: value))
  }

  /// The first value under a name.
  public subscript(name: String) -> String? {
    fields.first { Self.sameName($0.name, name) }?.value
  }

  /// All values under a name, in order.
  public func values(_ name: String) -> [String] {
    fields.filter { Self.sameName($0.name, name) }.map(\.value)
  }

  private static func sameName(_ a: String, _ b: String) -> Bool {
    a.utf8.elementsEqual(b.utf8) { $0.asciiLowercased == $1.asciiLowercased }
  }
}

extension UInt8 {
  /// The lower-case letter for an ASCII upper-case one, else the byte itself.
  var asciiLowercased: UInt8 { (0x41...0x5A).contains(self) ? self | 0x20 : self }
}
