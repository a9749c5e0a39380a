/// A kind of object, as paths and rights name it.
public struct Resource: Hashable, Sendable, CustomStringConvertible {
  /// The API group; empty for the core one.
  public let group: String
  /// The version, as in `v1`.
  public let version: String
  /// The plural in lower case.
  public let plural: String
  /// Whether its objects live in namespaces.
  public let isNamespaced: Bool

  /// Names a kind of object.
  public init(group: String = "", version: String = "v1", plural: String, isNamespaced: Bool = true) {
    self.group = group
    self.version = version
    self.plural = plural
    self.isNamespaced = isNamespaced
  }

  /// The plural with the group behind it, as `kubectl` takes it.
  public var description: String { group.isEmpty ? plural : "\(plural).\(group)" }

  /// All objects of the cluster.
  public var all: ResourcePath { ResourcePath(self) }

  /// The objects of one namespace; all of them for nil, or where they live in none.
  public func within(_ namespace: String?) -> ResourcePath { ResourcePath(self, namespace: namespace) }

  /// One object; the namespace is left out where they live in none.
  public func named(_ name: String, in namespace: String? = nil) -> ResourcePath {
    ResourcePath(self, namespace: namespace, name: name)
  }
}

extension Resource {
  /// The cluster's nodes.
  public static let nodes = Resource(plural: "nodes", isNamespaced: false)
  /// Pods.
  public static let pods = Resource(plural: "pods")
}

/// What a request is about: all objects of a kind, those of a namespace, one object, or a part of it.
public struct ResourcePath: Hashable, Sendable, CustomStringConvertible {
  /// The kind.
  public let resource: Resource
  /// The namespace; nil for the whole cluster.
  public let namespace: String?
  /// The name; nil for many objects.
  public let name: String?
  /// The part, as in `status`; nil for the object itself.
  public let subresource: String?

  init(_ resource: Resource, namespace: String? = nil, name: String? = nil, subresource: String? = nil) {
    self.resource = resource
    self.namespace = resource.isNamespaced ? namespace.flatMap { $0.isEmpty ? nil : $0 } : nil
    self.name = name
    self.subresource = subresource
  }

  /// A part of the object, as in `status`, `scale` or `evacuate/cancel`.
  public func subresource(_ part: String) -> ResourcePath {
    ResourcePath(resource, namespace: namespace, name: name, subresource: part)
  }

  /// A path of a pod's own HTTP server, through the API server; needs the right `get` on `pods/proxy`.
  ///
  /// - Parameter scheme: `http` or `https`; the server takes any certificate.
  /// - Parameter path: Without a query.
  public static func podProxy(
    _ pod: String, in namespace: String, scheme: String, port: Int, path: String
  ) -> ResourcePath {
    let rest = path.hasPrefix("/") ? path : "/" + path
    return Resource.pods.named("\(scheme):\(pod):\(port)", in: namespace).subresource("proxy\(rest)")
  }

  /// The path at the server, percent-encoded.
  public var path: String {
    var words = resource.group.isEmpty ? ["api"] : ["apis", resource.group]
    words.append(resource.version)
    if let namespace { words += ["namespaces", namespace] }
    words.append(resource.plural)
    if let name { words.append(name) }
    var path = words.map { "/" + $0.percentEncoded(keeping: "") }.joined()
    if let subresource { path += "/" + subresource.percentEncoded(keeping: "/") }
    return path
  }

  /// The kind and, where it is not the object itself, its part, as rights name it.
  var right: String {
    guard let part = subresource else { return resource.plural }
    // Whatever follows `proxy` is the pod's; other parts are named whole.
    return resource.plural + "/" + (part.hasPrefix("proxy/") ? "proxy" : part)
  }

  /// What it is about, in words.
  public var description: String {
    var words = resource.group.isEmpty ? right : "\(right).\(resource.group)"
    if let name { words += " '\(name)'" }
    if let namespace {
      words += " in namespace '\(namespace)'"
    } else if resource.isNamespaced {
      words += " in all namespaces"
    }
    return words
  }
}

extension String {
  /// The text with all but letters, digits, `-._~` and the ones given percent-encoded, for a path or a query.
  func percentEncoded(keeping: String = "") -> String {
    var text = ""
    for byte in utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E:
        text.unicodeScalars.append(Unicode.Scalar(byte))
      case _ where keeping.utf8.contains(byte): text.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let digits = String(byte, radix: 16, uppercase: true)
        text += digits.utf8.count == 1 ? "%0\(digits)" : "%\(digits)"
      }
    }
    return text
  }
}
