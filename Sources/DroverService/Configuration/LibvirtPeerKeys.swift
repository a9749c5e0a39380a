internal import LibvirtBackend
internal import Yams

/// Where a libvirt back end may send migrations to.
extension ConfigurationReader {
  private static var peerExample: String { "\"qemu+tls://host-b/system\"" }

  mutating func libvirtPeers(_ node: Node?) -> [Configuration.Libvirt.Peer] {
    var names: Set<String> = []
    return list(node, "libvirt.peers", example: "[\(Self.peerExample)]").compactMap { entry in
      guard let peer = libvirtPeer(entry) else { return nil }
      guard names.insert(peer.name).inserted else {
        complain(
          at: entry, "two entries of libvirt.peers are called \(quoted(peer.name)); give one another name")
        return nil
      }
      return peer
    }
  }

  private mutating func libvirtPeer(_ entry: Node) -> Configuration.Libvirt.Peer? {
    let path = "an entry of libvirt.peers"
    guard entry.mapping != nil else {
      guard let uri = text(entry, path, example: Self.peerExample) else { return nil }
      return remote(uri, at: entry, path).map { Configuration.Libvirt.Peer(name: $0, uri: uri) }
    }
    let keys = mapping(entry, path, keys: ["name", "uri", "migrateURI", "checkURI"])
    guard let node = keys["uri"], !isNull(node) else {
      complain(at: entry, "\(path) must have a uri; such as \(Self.peerExample)")
      return nil
    }
    guard let uri = text(node, "libvirt.peers.uri", example: Self.peerExample),
      let host = remote(uri, at: node, "libvirt.peers.uri")
    else { return nil }
    let name = text(keys["name"], "libvirt.peers.name", example: "host-b") ?? ""
    return Configuration.Libvirt.Peer(
      name: name.isEmpty ? host : name, uri: uri,
      migrateURI: migrateURI(keys["migrateURI"]),
      checkURI: optionalURI(keys["checkURI"], "libvirt.peers.checkURI"))
  }

  /// The host of a URI that another host's daemon is to open; nil, and said, where it names none.
  private mutating func remote(_ uri: String, at node: Node, _ path: String) -> String? {
    if let refusal = LibvirtURI.refusal(of: uri) {
      complain(at: node, "\(path): \(refusal)")
      return nil
    }
    guard let host = LibvirtConfiguration.host(ofURI: uri) else {
      complain(
        at: node,
        "\(path): \(quoted(uri)) names no host, and so the source itself; such as \(Self.peerExample)")
      return nil
    }
    return host
  }

  /// A URI; empty where it is absent, empty or wrong.
  mutating func optionalURI(_ node: Node?, _ path: String) -> String {
    guard let node, let uri = text(node, path, example: "\"\(LibvirtURI.example)\""), !uri.isEmpty else {
      return ""
    }
    guard let refusal = LibvirtURI.refusal(of: uri) else { return uri }
    complain(at: node, "\(path): \(refusal)")
    return ""
  }

  /// Where the data goes; empty where it is absent or wrong.
  private mutating func migrateURI(_ node: Node?) -> String {
    let path = "libvirt.peers.migrateURI"
    guard let node, let uri = text(node, path, example: "\"tcp://host-b-mig\""), !uri.isEmpty else {
      return ""
    }
    guard LibvirtConfiguration.isURI(uri), ["tcp://", "rdma://"].contains(where: uri.hasPrefix) else {
      complain(
        at: node, "\(path) must be tcp://HOST or rdma://HOST, with :PORT if need be, not \(quoted(uri))")
      return ""
    }
    return uri
  }
}
