internal import DroverCore
internal import QEMUBackend
internal import Yams

/// What no two back ends may share, with the line that gives it to the first.
struct GivenBackends {
  var names: [String: Int] = [:]
  var sockets: [String: Int] = [:]
  var uris: [String: Int] = [:]
  var clusters: [Configuration.KubeVirt.Cluster: Int] = [:]
  var leaseLine: Int?
}

/// The keys of back ends, their ranges and defaults.
extension ConfigurationReader {
  mutating func backends(_ node: Node?, timeouts defaults: Timeouts) -> [Configuration.Backend] {
    var found: [Configuration.Backend] = []
    var given = GivenBackends()
    for entry in list(node, "backends", example: Self.example) {
      guard !isNull(entry), entry.mapping?.isEmpty != true else {
        complain(at: entry, "an entry of backends is empty; such as \(Self.example)")
        continue
      }
      let kinds = mapping(entry, "backends", keys: ["qemu", "libvirt", "kubevirt"])
      if kinds.count > 1 {
        complain(at: entry, "an entry of backends is one back end; begin the next with a - of its own")
      }
      if let node = kinds["qemu"] { found.append(.qemu(qemu(node, defaults, &given))) }
      if let node = kinds["libvirt"] { found.append(.libvirt(libvirt(node, defaults, &given))) }
      if let node = kinds["kubevirt"] { found.append(.kubevirt(kubevirt(node, defaults, &given))) }
    }
    Configuration.Backend.giveNames(to: &found)
    return found
  }

  private mutating func qemu(_ node: Node, _ defaults: Timeouts, _ given: inout GivenBackends)
    -> Configuration.QEMU
  {
    let keys = mapping(node, "qemu", keys: ["name", "sockets", "events", "host", "timeouts"])
    return Configuration.QEMU(
      name: name(keys["name"], "qemu.name", lines: &given.names),
      sockets: sockets(keys["sockets"], of: node, lines: &given.sockets),
      events: boolean(keys["events"], "qemu.events") ?? false,
      host: text(keys["host"], "qemu.host", example: "rack1") ?? "",
      timeouts: timeouts(
        keys["timeouts"], "qemu.timeouts", defaults: defaults,
        noKeepalive: "a QEMU without libvirt has no keepalive"
      ).budget)
  }

  private mutating func libvirt(_ node: Node, _ defaults: Timeouts, _ given: inout GivenBackends)
    -> Configuration.Libvirt
  {
    let keys = mapping(
      node, "libvirt", keys: ["name", "uri", "controlURI", "peers", "host", "dirtyRate", "timeouts"])
    let timeouts = timeouts(keys["timeouts"], "libvirt.timeouts", defaults: defaults)
    return Configuration.Libvirt(
      name: name(keys["name"], "libvirt.name", lines: &given.names),
      uri: uri(keys["uri"], of: node, lines: &given.uris),
      controlURI: optionalURI(keys["controlURI"], "libvirt.controlURI"),
      peers: libvirtPeers(keys["peers"]),
      host: text(keys["host"], "libvirt.host", example: "host-a") ?? "",
      dirtyRate: boolean(keys["dirtyRate"], "libvirt.dirtyRate") ?? false,
      timeouts: timeouts.budget, keepalive: timeouts.keepalive)
  }

  /// A name; empty where it is absent or wrong.
  mutating func name(_ node: Node?, _ path: String, lines: inout [String: Int]) -> BackendName {
    let none = BackendName(rawValue: "")
    guard let node, let name = text(node, path, example: "rack1"), !name.isEmpty else { return none }
    guard name.utf8.count <= BackendNames.longest, name.utf8.allSatisfy(BackendNames.isAllowed) else {
      complain(
        at: node,
        "\(path) may have up to \(BackendNames.longest) of A-Z a-z 0-9 _ . - in it, not \(quoted(name)); such as rack1"
      )
      return none
    }
    let line = YAMLDocument.Place(node.mark).line
    if let first = lines[name] {
      complain(
        at: node,
        "the name \(quoted(name)) is given to two back ends, on lines \(first) and \(line); rename one")
      return none
    }
    lines[name] = line
    return BackendName(rawValue: name)
  }

  /// A URI; empty where it is absent or wrong.
  private mutating func uri(_ node: Node?, of owner: Node, lines: inout [String: Int]) -> String {
    guard let node, !isNull(node) else {
      complain(at: node ?? owner, "libvirt.uri must be given; such as uri: \"\(LibvirtURI.example)\"")
      return ""
    }
    guard let uri = text(node, "libvirt.uri", example: "\"\(LibvirtURI.example)\"") else { return "" }
    if let refusal = LibvirtURI.refusal(of: uri) {
      complain(at: node, "libvirt.uri: \(refusal)")
      return ""
    }
    let line = YAMLDocument.Place(node.mark).line
    if let first = lines[uri] {
      complain(at: node, "the URI \(quoted(uri)) is named twice, on lines \(first) and \(line); remove one")
      return ""
    }
    lines[uri] = line
    return uri
  }

  private mutating func sockets(_ node: Node?, of owner: Node, lines: inout [String: Int]) -> [String] {
    let entries = list(node, "qemu.sockets", example: "[\"/run/guests/*.qmp\"]")
    if entries.isEmpty, node?.sequence != nil || node.map(isNull) ?? true {
      complain(at: node ?? owner, "qemu.sockets names no socket; such as sockets: [\"/run/guests/*.qmp\"]")
    }
    return entries.compactMap { entry in
      guard let path = text(entry, "an entry of qemu.sockets", example: "\"/run/guests/*.qmp\"") else {
        return nil
      }
      guard !path.isEmpty else {
        complain(at: entry, "an entry of qemu.sockets is empty; such as \"/run/guests/*.qmp\"")
        return nil
      }
      let line = YAMLDocument.Place(entry.mark).line
      if let first = lines[path] {
        complain(
          at: entry,
          "the socket \(quoted(path)) is named twice, on lines \(first) and \(line), and a monitor takes one client; "
            + "remove one")
        return nil
      }
      lines[path] = line
      if let refusal = QEMUConfiguration.refusal(ofSocket: path) {
        complain(at: entry, "qemu.sockets: \(refusal)")
        return nil
      }
      return path
    }
  }

  private static var example: String { "- qemu: {sockets: [\"/run/guests/*.qmp\"]}" }
}
