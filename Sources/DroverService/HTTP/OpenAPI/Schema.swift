/// What a value looks like as JSON, in the words of JSON Schema 2020-12.
indirect enum Schema: Hashable, Sendable {
  case boolean
  case integer
  case number
  case text
  /// RFC 3339 in UTC.
  case time
  case array(Schema)
  /// Members by name; and whether there may be others than these.
  case object([String: Member], isOpen: Bool = true)
  case orNull(Schema)
  /// Nothing is said of it.
  case anything

  /// A member of an object.
  struct Member: Hashable, Sendable {
    var schema: Schema
    var isRequired: Bool
  }

  /// The schema of a type, found out by having it decoded: what it asks for is what it is made of.
  static func of<Value: Decodable>(_ type: Value.Type) -> Schema { SchemaRecorder.schema(of: type) }

  /// The same where no other members are allowed, as in what a client sends.
  var closed: Schema {
    if case .object(let members, _) = self { .object(members, isOpen: false) } else { self }
  }

  /// As it stands in a document.
  var json: JSONTree {
    switch self {
    case .boolean: ["type": "boolean"]
    case .integer: ["type": "integer"]
    case .number: ["type": "number"]
    case .text: ["type": "string"]
    case .time: ["type": "string", "format": "date-time"]
    case .anything: [:]
    case .array(let element): ["type": "array", "items": element.json]
    case .orNull(let schema): ["anyOf": [schema.json, ["type": "null"]]]
    case .object(let members, let isOpen):
      .object(
        [
          "type": "object", "properties": .object(members.mapValues(\.schema.json)),
          "required": .array(members.filter(\.value.isRequired).keys.sorted().map(JSONTree.text)),
        ].merging(isOpen ? [:] : ["additionalProperties": false]) { $1 })
    }
  }
}

/// JSON that is written only.
indirect enum JSONTree: Hashable, Sendable, Encodable, ExpressibleByStringLiteral,
  ExpressibleByBooleanLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  case text(String)
  case truth(Bool)
  case integer(Int)
  case array([JSONTree])
  case object([String: JSONTree])

  init(stringLiteral value: String) { self = .text(value) }
  init(booleanLiteral value: Bool) { self = .truth(value) }
  init(arrayLiteral elements: JSONTree...) { self = .array(elements) }
  init(dictionaryLiteral elements: (String, JSONTree)...) { self = .object(Dictionary(elements) { $1 }) }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .text(let value): try container.encode(value)
    case .truth(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .array(let value): try container.encode(value)
    case .object(let value): try container.encode(value)
    }
  }
}
