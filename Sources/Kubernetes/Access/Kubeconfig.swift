internal import CurlClient

/// What one or several kubeconfig files say, read as `kubectl` reads them.
///
/// Of entries with the same name in several files the first counts, and the first `current-context`. Relative paths
/// are relative to the file that they stand in.
public struct Kubeconfig: Sendable {
  /// A cluster, a user and a namespace, under a name.
  public struct Context: Hashable, Sendable {
    /// The name.
    public var name: String
    /// The name of the cluster.
    public var cluster: String
    /// The name of the user; empty for none.
    public var user: String
    /// The namespace; empty where none is named.
    public var namespace: String
    let place: String
  }

  /// The contexts in their order.
  public private(set) var contexts: [Context] = []
  /// The context that is meant where none is named; empty for none.
  public private(set) var currentContext = ""
  /// The files that were read.
  public private(set) var files: [String] = []
  var clusters: [KubeconfigCluster] = []
  var users: [KubeconfigUser] = []

  /// Reads the file given, else those of `KUBECONFIG`, else `~/.kube/config`.
  ///
  /// - Parameters:
  ///   - file: The one file to read; it has to be there.
  ///   - environment: Where `KUBECONFIG` (paths with `:` between them, missing ones left out) and `HOME` are.
  public static func load(file: String? = nil, environment: [String: String]) throws(AccessError)
    -> Kubeconfig
  {
    let named = (environment["KUBECONFIG"] ?? "").split(separator: ":").map(String.init)
    let paths: [String]
    if let file {
      paths = [file]
    } else if !named.isEmpty {
      paths = named
    } else if let home = environment["HOME"], !home.isEmpty {
      paths = ["\(home)/.kube/config"]
    } else {
      throw AccessError("kubeconfig", "neither KUBECONFIG nor HOME is set: name a file")
    }
    var texts: [(path: String, text: String)] = []
    for path in paths where !texts.contains(where: { $0.path == path }) {
      do {
        texts.append((path, String(decoding: try SmallFile.read(path), as: UTF8.self)))
      } catch {
        guard error.isAbsence, file == nil else { throw AccessError("kubeconfig \(path)", error.text) }
      }
    }
    guard !texts.isEmpty else {
      throw AccessError("kubeconfig \(paths.joined(separator: ":"))", "no such file: name one that is there")
    }
    return try Kubeconfig(texts)
  }

  /// Reads texts; the paths are for errors and for relative paths in them.
  public init(_ texts: [(path: String, text: String)]) throws(AccessError) {
    for (path, text) in texts {
      let file = try KubeconfigFile(path: path, text: text)
      files.append(path)
      if currentContext.isEmpty { currentContext = file.currentContext }
      clusters += file.clusters.filter { entry in !clusters.contains { $0.name == entry.name } }
      users += file.users.filter { entry in !users.contains { $0.name == entry.name } }
      contexts += file.contexts.filter { entry in !contexts.contains { $0.name == entry.name } }
    }
  }

  /// How to ask the cluster of a context, as its user.
  ///
  /// - Parameter context: The context's name; nil for the current one.
  public func access(context: String? = nil, timing: Timing = .system) throws(AccessError) -> ClusterAccess {
    let here = "kubeconfig \(files.joined(separator: ":"))"
    let name = context ?? currentContext
    guard !name.isEmpty else {
      throw AccessError(here, "no current-context: name one of \(Self.list(contexts.map(\.name)))")
    }
    guard let context = contexts.first(where: { $0.name == name }) else {
      throw AccessError(here, "no context '\(name)': use one of \(Self.list(contexts.map(\.name)))")
    }
    guard let cluster = clusters.first(where: { $0.name == context.cluster }) else {
      throw AccessError(
        context.place, "it names cluster '\(context.cluster)': use one of \(Self.list(clusters.map(\.name)))")
    }
    let user = users.first { $0.name == context.user }
    guard user != nil || context.user.isEmpty else {
      throw AccessError(
        context.place, "it names user '\(context.user)': use one of \(Self.list(users.map(\.name)))")
    }
    return ClusterAccess(
      address: try cluster.address(), tls: try cluster.tls(),
      proxy: cluster.proxyURL.map { .url($0) } ?? .environment,
      namespace: context.namespace.isEmpty ? "default" : context.namespace,
      credentials: try user?.credentials(for: cluster, timing: timing) ?? .none,
      origin: "\(here), context '\(name)'")
  }

  private static func list(_ names: [String]) -> String {
    names.isEmpty ? "(there is none)" : names.map { "'\($0)'" }.joined(separator: ", ")
  }
}
