/// What every object of the API has; read leniently, since no field is worth losing an object for.
public struct ObjectMeta: Hashable, Sendable, Decodable {
  /// The name.
  public var name: String
  /// What the server was to make the name from; empty where a whole name was given.
  public var generateName: String
  /// The namespace; empty for what has none.
  public var namespace: String
  /// Identifies the object for ever.
  public var uid: String
  /// The version that this is; only ever compared for being equal.
  public var resourceVersion: String
  /// When the server made it, as RFC 3339 text with a resolution of 1 s.
  public var creationTimestamp: String
  /// When somebody asked to delete it; nil where nobody did.
  public var deletionTimestamp: String?
  /// Labels.
  public var labels: [String: String]
  /// Annotations.
  public var annotations: [String: String]

  /// Names an object, and says nothing else of it.
  public init(name: String, namespace: String = "", uid: String = "") {
    (self.name, self.namespace, self.uid) = (name, namespace, uid)
    (generateName, resourceVersion, creationTimestamp) = ("", "", "")
    (labels, annotations) = ([:], [:])
  }

  /// Reads what is there; only a name and a uid must be.
  public init(from decoder: any Decoder) throws {
    let fields = try JSONFields(decoder)
    name = try fields.required("name")
    uid = try fields.required("uid")
    generateName = fields.text("generateName") ?? ""
    namespace = fields.text("namespace") ?? ""
    resourceVersion = fields.text("resourceVersion") ?? ""
    creationTimestamp = fields.text("creationTimestamp") ?? ""
    deletionTimestamp = fields.text("deletionTimestamp")
    labels = fields.texts("labels") ?? [:]
    annotations = fields.texts("annotations") ?? [:]
  }
}

/// An object that a watch can follow.
public protocol KubernetesObject: Decodable, Sendable {
  /// What every object has.
  var metadata: ObjectMeta { get }
}

/// Which object: its uid tells it from a later one of the same name.
public struct ObjectKey: Hashable, Sendable, CustomStringConvertible {
  /// Identifies the object for ever.
  public var uid: String
  /// The namespace; empty for what has none.
  public var namespace: String
  /// The name.
  public var name: String

  /// Names an object.
  public init(uid: String, namespace: String, name: String) {
    self.uid = uid
    self.namespace = namespace
    self.name = name
  }

  /// The namespace and the name.
  public var description: String { namespace.isEmpty ? name : "\(namespace)/\(name)" }
}

extension ObjectMeta {
  /// Which object it is.
  public var key: ObjectKey { ObjectKey(uid: uid, namespace: namespace, name: name) }
}
