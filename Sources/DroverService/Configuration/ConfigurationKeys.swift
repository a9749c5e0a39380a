internal import DroverCore
internal import Exposition
internal import QEMUBackend
internal import Yams

/// The keys of a configuration, their ranges and defaults.
extension ConfigurationReader {
  mutating func configuration() -> Configuration {
    var result = Configuration()
    let top = mapping(
      document.root, "",
      keys: ["backends", "timeouts", "verdict", "retention", "metrics"],
      later: ["journal", "access", "control"],
      remedies: [
        "web": "addresses are given by --web.listen-address;",
        "log": "it is given by --log.level and --log.format;",
      ])
    result.timeouts = timeouts(top["timeouts"], "timeouts", defaults: result.timeouts)

    let verdict = mapping(
      top["verdict"], "verdict", keys: ["stalledAfter", "passes", "dirtyRatio"],
      later: ["controlSilence", "dataSilence"])
    result.stalledAfter =
      duration(verdict["stalledAfter"], "verdict.stalledAfter", in: .seconds(1)...hours(1), example: "10s")
      ?? result.stalledAfter
    result.passes = integer(verdict["passes"], "verdict.passes", in: 1...1000, example: 3) ?? result.passes
    result.dirtyRatio =
      fraction(verdict["dirtyRatio"], "verdict.dirtyRatio", in: 0.01...10, example: 0.9) ?? result.dirtyRatio

    result.retention =
      duration(top["retention"], "retention", in: .seconds(1)...hours(30 * 24), example: "15m")
      ?? result.retention

    let metrics = mapping(top["metrics"], "metrics", keys: ["vms", "maxMigrations"], later: ["vmLabels"])
    result.vms = choice(metrics["vms"], "metrics.vms", VMSelection.self) ?? result.vms
    result.maxMigrations =
      integer(metrics["maxMigrations"], "metrics.maxMigrations", in: 1...100_000, example: 5000)
      ?? result.maxMigrations

    result.backends = backends(top["backends"], timeouts: result.timeouts)
    return result
  }

  private mutating func timeouts(_ node: Node?, _ path: String, defaults: BudgetSettings) -> BudgetSettings {
    let keys = mapping(node, path, keys: ["completionPerGiB", "progress"], later: ["keepalive"])
    var result = defaults
    result.completionPerGiB =
      duration(
        keys["completionPerGiB"], "\(path).completionPerGiB", in: .milliseconds(1)...hours(30 * 24),
        zero: "no time-out", example: "800s") ?? result.completionPerGiB
    result.progress =
      duration(
        keys["progress"], "\(path).progress", in: .seconds(1)...hours(30 * 24), zero: "no time-out",
        example: "150s") ?? result.progress
    return result
  }

  private mutating func backends(_ node: Node?, timeouts defaults: BudgetSettings) -> [Configuration.Backend]
  {
    var found: [(name: String?, qemu: Configuration.QEMU)] = []
    var lineOfName: [String: Int] = [:]
    var lineOfSocket: [String: Int] = [:]
    for entry in list(node, "backends", example: Self.example) {
      guard !isNull(entry), entry.mapping?.isEmpty != true else {
        complain(at: entry, "an entry of backends is empty; such as \(Self.example)")
        continue
      }
      let kinds = mapping(entry, "backends", keys: ["qemu"], later: ["libvirt", "kubevirt"])
      guard let node = kinds["qemu"] else { continue }
      let keys = mapping(node, "qemu", keys: ["name", "sockets", "events", "host", "timeouts"])
      let name = name(keys["name"], lines: &lineOfName)
      let sockets = sockets(keys["sockets"], of: node, lines: &lineOfSocket)
      found.append(
        (
          name,
          Configuration.QEMU(
            name: BackendName(rawValue: name ?? ""), sockets: sockets,
            events: boolean(keys["events"], "qemu.events") ?? false,
            host: text(keys["host"], "qemu.host", example: "rack1") ?? "",
            timeouts: timeouts(keys["timeouts"], "qemu.timeouts", defaults: defaults))
        ))
    }
    var names = BackendNames(taken: found.compactMap(\.name))
    return found.map { entry in
      var qemu = entry.qemu
      if entry.name == nil { qemu.name = names.next(after: "qemu") }
      return .qemu(qemu)
    }
  }

  private mutating func name(_ node: Node?, lines: inout [String: Int]) -> String? {
    guard let node, let name = text(node, "qemu.name", example: "rack1"), !name.isEmpty else { return nil }
    guard name.utf8.count <= 63, name.utf8.allSatisfy(isNameByte) else {
      complain(
        at: node, "qemu.name may have up to 63 of A-Z a-z 0-9 _ . - in it, not \(quoted(name)); such as rack1"
      )
      return nil
    }
    let line = YAMLDocument.Place(node.mark).line
    if let first = lines[name] {
      complain(
        at: node,
        "the name \(quoted(name)) is given to two back ends, on lines \(first) and \(line); rename one")
      return nil
    }
    lines[name] = line
    return name
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

  private func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"):
      true
    default: false
    }
  }

  private func hours(_ n: Int) -> Duration { .seconds(n * 3600) }

  private static var example: String { "- qemu: {sockets: [\"/run/guests/*.qmp\"]}" }
}
