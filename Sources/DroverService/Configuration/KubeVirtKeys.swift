internal import DroverCore
internal import Yams

/// The keys of a cluster, their ranges and defaults.
extension ConfigurationReader {
  private static var address: String { "http://prometheus:9090" }

  mutating func kubevirt(_ node: Node, _ defaults: Timeouts, _ given: inout GivenBackends)
    -> Configuration.KubeVirt
  {
    let keys = mapping(
      node, "kubevirt",
      keys: ["name", "kubeconfig", "context", "namespaces", "virtHandler", "prometheus", "lease", "timeouts"])
    let timeouts = timeouts(keys["timeouts"], "kubevirt.timeouts", defaults: defaults)
    var result = Configuration.KubeVirt(timeouts: timeouts.budget, keepalive: timeouts.keepalive)
    result.name = name(keys["name"], "kubevirt.name", lines: &given.names)
    result.cluster = cluster(keys, of: node, lines: &given.clusters)
    result.namespaces = namespaces(keys["namespaces"])
    result.lease = lease(keys["lease"], line: &given.leaseLine)
    let virtHandler = choice(
      keys["virtHandler"], "kubevirt.virtHandler", Configuration.KubeVirt.VirtHandler.self)
    result.virtHandler = virtHandler ?? result.virtHandler
    // A word that is wrong is complained of already.
    if keys["virtHandler"] == nil || virtHandler != nil {
      result.prometheus = prometheus(
        keys["prometheus"], isAsked: result.virtHandler == .prometheus, at: keys["virtHandler"] ?? node)
    }
    return result
  }

  private mutating func cluster(
    _ keys: [String: Node], of owner: Node, lines: inout [Configuration.KubeVirt.Cluster: Int]
  ) -> Configuration.KubeVirt.Cluster {
    var result = Configuration.KubeVirt.Cluster()
    result.kubeconfig = kubeconfig(keys["kubeconfig"])
    result.context = text(keys["context"], "kubevirt.context", example: "prod") ?? ""
    if let context = keys["context"], !result.context.isEmpty, result.kubeconfig.isEmpty {
      complain(
        at: context,
        "kubevirt.context names a context of a kubeconfig; give that, too, in kubevirt.kubeconfig")
      return result
    }
    let place = keys["kubeconfig"] ?? owner
    let line = YAMLDocument.Place(place.mark).line
    if let first = lines[result] {
      complain(at: place, "\(result) is named twice, on lines \(first) and \(line); remove one")
    } else {
      lines[result] = line
    }
    return result
  }

  private mutating func kubeconfig(_ node: Node?) -> String {
    let example = "/etc/drover/kubeconfig"
    guard let node, let path = text(node, "kubevirt.kubeconfig", example: example), !path.isEmpty else {
      return ""
    }
    guard let refusal = KubeconfigPath.refusal(of: path) else { return path }
    complain(at: node, "kubevirt.kubeconfig: \(refusal)")
    return ""
  }

  /// One election is enough for a process: it leads, or it does not.
  private mutating func lease(_ node: Node?, line: inout Int?) -> Configuration.KubeVirt.Lease? {
    let keys = mapping(node, "kubevirt.lease", keys: ["namespace", "name"])
    guard let node, !isNull(node) else { return nil }
    if let first = line {
      complain(
        at: node,
        "kubevirt.lease is given twice, on lines \(first) and \(YAMLDocument.Place(node.mark).line): one Lease "
          + "decides who acts for all back ends; remove one")
      return nil
    }
    line = YAMLDocument.Place(node.mark).line
    var result = Configuration.KubeVirt.Lease()
    guard let namespace = keys["namespace"] else {
      complain(at: node, "kubevirt.lease.namespace must be given; such as namespace: drover")
      return nil
    }
    result.namespace = text(namespace, "kubevirt.lease.namespace", example: "drover") ?? ""
    if !result.namespace.isEmpty, !Self.isNamespace(result.namespace) {
      complain(at: namespace, "kubevirt.lease.namespace: \(quoted(result.namespace)) is no namespace")
    }
    if let name = keys["name"] {
      result.name = text(name, "kubevirt.lease.name", example: "drover") ?? result.name
      if !Self.isNamespace(result.name) {
        complain(
          at: name,
          "kubevirt.lease.name: \(quoted(result.name)) is no name: up to 63 of a-z 0-9 -, such as drover")
      }
    }
    return result
  }

  private mutating func namespaces(_ node: Node?) -> [String] {
    var lines: [String: Int] = [:]
    return list(node, "kubevirt.namespaces", example: "[shop, web]").compactMap { entry in
      guard let name = text(entry, "an entry of kubevirt.namespaces", example: "shop") else { return nil }
      guard Self.isNamespace(name) else {
        complain(
          at: entry,
          "\(quoted(name)) is no namespace: up to 63 of a-z 0-9 -, beginning and ending with a letter or digit; "
            + "leave kubevirt.namespaces out for all")
        return nil
      }
      let line = YAMLDocument.Place(entry.mark).line
      if let first = lines[name] {
        complain(
          at: entry, "the namespace \(quoted(name)) is named twice, on lines \(first) and \(line); remove one"
        )
        return nil
      }
      lines[name] = line
      return name
    }
  }

  /// A label of DNS, as RFC 1123 has it.
  private static func isNamespace(_ name: String) -> Bool {
    let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
    let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
    let dash = UInt8(ascii: "-")
    return (1...63).contains(name.utf8.count) && name.utf8.first != dash && name.utf8.last != dash
      && name.utf8.allSatisfy { letters.contains($0) || digits.contains($0) || $0 == dash }
  }

  private mutating func prometheus(
    _ node: Node?, isAsked: Bool, at asker: Node
  ) -> Configuration.KubeVirt.Prometheus? {
    let keys = mapping(
      node, "kubevirt.prometheus", keys: ["url", "tokenFile", "caFile"],
      remedies: ["token": "name the file that holds it in tokenFile;"])
    guard isAsked else {
      if let node, !isNull(node) {
        complain(
          at: node, "kubevirt.prometheus is asked with virtHandler: prometheus only; give that, or remove it")
      }
      return nil
    }
    var result = Configuration.KubeVirt.Prometheus()
    result.tokenFile = file(keys["tokenFile"], "kubevirt.prometheus.tokenFile", "prometheus.token")
    result.caFile = file(keys["caFile"], "kubevirt.prometheus.caFile", "ca.crt")
    guard let url = keys["url"] else {
      complain(
        at: node ?? asker,
        "kubevirt.prometheus.url must be given with virtHandler: prometheus; such as url: \(Self.address)")
      return result
    }
    guard let text = text(url, "kubevirt.prometheus.url", example: Self.address) else { return result }
    guard Self.isAddress(text) else {
      complain(
        at: url,
        "kubevirt.prometheus.url: \(quoted(text)) is no http or https address of a host; such as \(Self.address)"
      )
      return result
    }
    result.url = text
    return result
  }

  private mutating func file(_ node: Node?, _ path: String, _ name: String) -> String {
    let example = "/etc/drover/\(name)"
    guard let node, let text = text(node, path, example: example) else { return "" }
    guard text.hasPrefix("~") else { return text }
    complain(at: node, "\(path): \(KubeconfigPath.tilde(text))")
    return ""
  }

  /// An address that a path can be added to.
  private static func isAddress(_ text: String) -> Bool {
    guard let scheme = ["http://", "https://"].first(where: text.hasPrefix) else { return false }
    let rest = text.dropFirst(scheme.count)
    let host = rest.prefix { $0 != "/" }
    return !host.isEmpty && !host.contains("@") && !rest.contains("?") && !rest.contains("#")
      && rest.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
  }
}

/// What may be the path of a kubeconfig.
enum KubeconfigPath {
  /// What is wrong with a path, and how to mend it; nil where nothing is.
  static func refusal(of path: String) -> String? {
    guard !path.isEmpty, !path.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
    else { return "a path must be given, such as /etc/drover/kubeconfig" }
    return path.hasPrefix("~") ? tilde(path) : nil
  }

  static func tilde(_ path: String) -> String { "\(quoted(path)): ~ is a shell's; write the path out" }
}

extension Configuration.KubeVirt.Cluster: CustomStringConvertible {
  /// In words, for messages.
  public var description: String {
    guard !kubeconfig.isEmpty else { return "the cluster that Drover runs in" }
    return "the kubeconfig \(quoted(kubeconfig))"
      + (context.isEmpty ? "" : " with the context \(quoted(context))")
  }
}
