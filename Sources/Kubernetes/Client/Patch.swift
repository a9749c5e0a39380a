/// A change to an object, in one of the two forms that every resource takes.
///
/// The strategic form is left out: the server refuses it for custom resources (415).
public enum Patch: Hashable, Sendable {
  /// Operations in their order, all or none (RFC 6902); a ``Operation/test(_:_:)`` that fails is answered with 422.
  case json([Operation])
  /// Fields to set; null removes one (RFC 7386).
  case merge(JSONValue)

  /// One operation of a JSON patch; a path is a JSON pointer, see ``pointer(_:)``.
  public enum Operation: Hashable, Sendable {
    /// Refuses the whole patch unless the value there is this one.
    case test(String, JSONValue)
    /// Sets a field, or inserts an element.
    case add(String, JSONValue)
    /// Sets a field that must be there.
    case replace(String, JSONValue)
    /// Removes a field that must be there.
    case remove(String)
  }

  /// Writes a JSON pointer from keys as they are: `["metadata", "labels", "a/b"]` is `/metadata/labels/a~1b`.
  public static func pointer(_ keys: [String]) -> String {
    keys.map { "/" + $0.replacing("~", with: "~0").replacing("/", with: "~1") }.joined()
  }

  /// The media type that tells the server which form it is.
  var contentType: String {
    switch self {
    case .json: "application/json-patch+json"
    case .merge: "application/merge-patch+json"
    }
  }

  var body: JSONValue {
    switch self {
    case .json(let operations): .array(operations.map(\.body))
    case .merge(let fields): fields
    }
  }
}

extension Patch.Operation {
  fileprivate var body: JSONValue {
    switch self {
    case .test(let path, let value): ["op": "test", "path": .string(path), "value": value]
    case .add(let path, let value): ["op": "add", "path": .string(path), "value": value]
    case .replace(let path, let value): ["op": "replace", "path": .string(path), "value": value]
    case .remove(let path): ["op": "remove", "path": .string(path)]
    }
  }
}
