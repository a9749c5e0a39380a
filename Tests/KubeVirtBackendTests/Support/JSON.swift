import FoundationEssentials
import Testing

@testable import Kubernetes

/// JSON as a value: written as a literal, changed at a path, decoded as what the API would have sent.
enum JSON: Hashable, Sendable {
  case null
  case bool(Bool)
  case int(Int64)
  case number(Double)
  case string(String)
  case array([JSON])
  case object([String: JSON])

  /// A member of an object, made where it is not there; `null` takes it away.
  subscript(_ path: String...) -> JSON {
    get { path.reduce(self) { $0.members[$1] ?? .null } }
    set { self = setting(newValue, at: path[...]) }
  }

  var members: [String: JSON] { if case .object(let members) = self { members } else { [:] } }

  private func setting(_ value: JSON, at path: ArraySlice<String>) -> JSON {
    guard let name = path.first else { return value }
    var members = members
    let changed = (members[name] ?? .null).setting(value, at: path.dropFirst())
    // A bare nil would be a JSON null.
    members[name] = changed == .null ? JSON?.none : changed
    return .object(members)
  }

  /// An object of the members that are neither null nor empty: the API leaves such ones out.
  static func present(_ members: [String: JSON]) -> JSON {
    .object(
      members.filter { _, value in
        switch value {
        case .null, .string(""), .array([]), .object([:]): false
        default: true
        }
      })
  }

  static func strings(_ members: [String: String]) -> JSON { .object(members.mapValues { .string($0) }) }

  /// Decodes it as an object of the API.
  func decoded<Object: Decodable>(as type: Object.Type = Object.self) throws -> Object {
    try Array(JSONEncoder().encode(self)).withUnsafeBufferPointer { try LazyDecoder.decode(type, from: $0) }
  }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral,
  ExpressibleByNilLiteral
{
  init(stringLiteral value: String) { self = .string(value) }
  init(integerLiteral value: Int64) { self = .int(value) }
  init(floatLiteral value: Double) { self = .number(value) }
  init(booleanLiteral value: Bool) { self = .bool(value) }
  init(arrayLiteral elements: JSON...) { self = .array(elements) }
  init(dictionaryLiteral elements: (String, JSON)...) {
    self = .object(Dictionary(elements) { _, last in last })
  }
  init(nilLiteral: ()) { self = .null }
}

extension JSON: Codable {
  init(from decoder: any Decoder) throws {
    let value = try decoder.singleValueContainer()
    if value.decodeNil() {
      self = .null
    } else if let bool = try? value.decode(Bool.self) {
      self = .bool(bool)
    } else if let int = try? value.decode(Int64.self) {
      self = .int(int)
    } else if let number = try? value.decode(Double.self) {
      self = .number(number)
    } else if let string = try? value.decode(String.self) {
      self = .string(string)
    } else if let array = try? value.decode([JSON].self) {
      self = .array(array)
    } else {
      self = .object(try value.decode([String: JSON].self))
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .bool(let value): try container.encode(value)
    case .int(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .string(let value): try container.encode(value)
    case .array(let values): try container.encode(values)
    case .object(let members): try container.encode(members)
    }
  }
}
