public import QEMURig

extension JSONValue {
  /// The elements of a list; empty where this is none.
  public var array: [JSONValue] { if case .array(let values) = self { values } else { [] } }

  /// The members of an object; empty where this is none.
  public var members: [String: JSONValue] { if case .object(let members) = self { members } else { [:] } }

  /// What lies at the end of a path of keys.
  ///
  /// Setting makes the objects on the way; nil takes the last key away.
  public subscript(path keys: String...) -> JSONValue? {
    get { self[keys: keys] }
    set { self[keys: keys] = newValue }
  }

  private subscript(keys keys: [String]) -> JSONValue? {
    get { keys.reduce(Optional(self)) { $0?[$1] } }
    set {
      guard let first = keys.first else {
        self = newValue ?? .null
        return
      }
      var members = self.members
      if keys.count == 1 {
        members[first] = newValue
      } else {
        var inner = members[first] ?? .object([:])
        inner[keys: Array(keys.dropFirst())] = newValue
        members[first] = inner
      }
      self = .object(members)
    }
  }

  /// This value with `patch` merged in: members are merged, null takes a member away, anything else replaces.
  public func merging(_ patch: JSONValue) -> JSONValue {
    guard case .object(let changes) = patch else { return patch }
    var members = self.members
    for (key, change) in changes {
      members[key] = change == .null ? nil : (members[key] ?? .null).merging(change)
    }
    return .object(members)
  }

  /// What `metadata.name` says; empty where that is missing.
  public var name: String { self[path: "metadata", "name"]?.string ?? "" }
  /// What `metadata.namespace` says.
  public var namespace: String? { self[path: "metadata", "namespace"]?.string }
  /// What `metadata.uid` says; empty where that is missing.
  public var uid: String { self[path: "metadata", "uid"]?.string ?? "" }
  /// What `metadata.resourceVersion` says; empty where that is missing.
  public var resourceVersion: String { self[path: "metadata", "resourceVersion"]?.string ?? "" }
}
