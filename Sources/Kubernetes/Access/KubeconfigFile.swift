internal import Yams

/// One kubeconfig file, its entries as they stand there.
struct KubeconfigFile {
  var currentContext = ""
  var contexts: [Kubeconfig.Context] = []
  var clusters: [KubeconfigCluster] = []
  var users: [KubeconfigUser] = []

  init(path: String, text: String) throws(AccessError) {
    let place = "kubeconfig \(path)"
    let root: Node?
    do {
      root = try Yams.compose(yaml: text, .default, .default, .utf8)
    } catch {
      throw AccessError(place, "not valid YAML: \(error)")
    }
    // An empty file is one without entries.
    guard let root, !root.isNothing else { return }
    let file = KubeconfigEntry(node: root, path: path, place: place)
    _ = try file.mapping()
    currentContext = try file.string("current-context") ?? ""
    for entry in try Self.entries("context", in: file) {
      let body = try entry.body.section("context")
      contexts.append(
        Kubeconfig.Context(
          name: entry.name, cluster: try body?.string("cluster") ?? "", user: try body?.string("user") ?? "",
          namespace: try body?.string("namespace") ?? "", place: entry.body.place))
    }
    for entry in try Self.entries("cluster", in: file) {
      clusters.append(try KubeconfigCluster(name: entry.name, entry.body.section("cluster") ?? entry.body))
    }
    for entry in try Self.entries("user", in: file) {
      users.append(try KubeconfigUser(name: entry.name, entry.body.section("user") ?? entry.body))
    }
  }

  /// The entries of a list of `{name: ..., kind: {...}}`, in which no name may come twice.
  private static func entries(
    _ kind: String, in file: KubeconfigEntry
  ) throws(AccessError) -> [(name: String, body: KubeconfigEntry)] {
    var entries: [(name: String, body: KubeconfigEntry)] = []
    for node in try file.elements("\(kind)s") {
      let name = try node.string("name") ?? ""
      var entry = node
      entry.place = "kubeconfig \(file.path), line \(node.line), \(kind) '\(name)'"
      guard !entries.contains(where: { $0.name == name }) else {
        throw AccessError(entry.place, "the name comes twice in this file: rename one")
      }
      entries.append((name, entry))
    }
    return entries
  }
}

/// A part of a kubeconfig, with its place for errors.
struct KubeconfigEntry {
  let node: Node
  /// The file.
  let path: String
  /// The file, the line and the entry.
  var place: String

  var line: Int { node.mark?.line ?? 1 }

  func mapping() throws(AccessError) -> Node.Mapping {
    guard case .mapping(let mapping) = node else { throw AccessError(place, "no mapping: write key: value") }
    return mapping
  }

  /// The value under a key; nil where there is none.
  func value(_ key: String) throws(AccessError) -> Node? {
    guard let value = try mapping().first(where: { $0.key.scalar?.string == key })?.value, !value.isNothing
    else { return nil }
    return value
  }

  /// A text that is not empty.
  func string(_ key: String) throws(AccessError) -> String? {
    guard let value = try value(key) else { return nil }
    guard case .scalar(let scalar) = value else { throw problem(key, value, "it is no text") }
    return scalar.string.isEmpty ? nil : scalar.string
  }

  func flag(_ key: String) throws(AccessError) -> Bool {
    guard let value = try value(key) else { return false }
    guard let flag = value.bool else { throw problem(key, value, "write true or false") }
    return flag
  }

  /// The parts of a list; none where there is no list.
  func elements(_ key: String) throws(AccessError) -> [KubeconfigEntry] {
    guard let value = try value(key) else { return [] }
    guard case .sequence(let sequence) = value else { throw problem(key, value, "it is no list") }
    return sequence.map { KubeconfigEntry(node: $0, path: path, place: place) }
  }

  func strings(_ key: String) throws(AccessError) -> [String] {
    var strings: [String] = []
    for element in try elements(key) {
      guard case .scalar(let scalar) = element.node else {
        throw problem(key, element.node, "it is no list of texts")
      }
      strings.append(scalar.string)
    }
    return strings
  }

  func section(_ key: String) throws(AccessError) -> KubeconfigEntry? {
    try value(key).map { KubeconfigEntry(node: $0, path: path, place: place) }
  }

  /// A path, relative ones to the file's directory.
  func path(_ key: String) throws(AccessError) -> String? { try string(key).map(resolved) }

  func resolved(_ other: String) -> String {
    guard !other.hasPrefix("/"), let slash = path.lastIndex(of: "/") else { return other }
    return String(path[...slash]) + other
  }

  func problem(_ key: String, _ value: Node, _ text: String) -> AccessError {
    AccessError(place, "\(key)\(value.mark.map { " (line \($0.line))" } ?? ""): \(text)")
  }
}

extension Node {
  /// Whether it is null or nothing.
  var isNothing: Bool {
    guard case .scalar(let scalar) = self else { return false }
    return scalar.style == .plain && ["", "null", "~", "Null", "NULL"].contains(scalar.string)
  }
}

extension JSONValue {
  /// The same in JSON; keys that are no texts are left out.
  init(_ node: Node) {
    switch node {
    case .mapping(let mapping):
      self = .object(
        Dictionary(
          mapping.compactMap { pair in pair.key.scalar.map { ($0.string, JSONValue(pair.value)) } },
          uniquingKeysWith: { $1 }))
    case .sequence(let sequence): self = .array(sequence.map { JSONValue($0) })
    case .scalar(let scalar) where scalar.style != .plain: self = .string(scalar.string)
    default:
      if node.isNothing {
        self = .null
      } else if let value = node.bool {
        self = .bool(value)
      } else if let value = node.int {
        self = .int(value)
      } else if let value = node.float {
        self = .double(value)
      } else {
        self = .string(node.string ?? "")
      }
    }
  }
}
