internal import DroverCore

/// What a domain's description says of its chances to move.
struct DomainXML: Hashable, Sendable {
  /// A disk, a CD-ROM, a floppy.
  struct Disk: Hashable, Sendable {
    /// Its name in the guest.
    var target = ""
    /// `disk`, `cdrom`, `floppy` or `lun`.
    var device = "disk"
    /// `file`, `block`, `network`, `volume`...
    var type = ""
    /// Its file or device; empty for a drive without a medium, and for what is not on the host.
    var source = ""
    var isReadOnly = false
  }

  /// A device of the host.
  struct HostDevice: Hashable, Sendable {
    /// `pci`, `usb`, `mdev`, `scsi`...
    var type: String
    /// What it is, as far as it is described.
    var name: String
    /// Whether libvirt moves the guest without it: it is missing at the target.
    var isLeftBehind: Bool { type == "usb" }
  }

  var type = ""
  var emulator = ""
  var architecture = ""
  var machine = ""
  var memory: Bytes?
  /// `custom`, `host-passthrough`...; empty where nothing is said of a CPU.
  var cpuMode = ""
  /// The element itself.
  var cpu = ""
  var disks: [Disk] = []
  var devices: [HostDevice] = []
  /// Virtual networks that it is on.
  var networks: [String] = []
  /// Directories of the host that it shares.
  var directories: [String] = []
  /// The kind of its encrypted memory; empty for none.
  var encryption = ""

  /// Reads what libvirt writes: one element a line.
  init(_ text: String) {
    var reader = XMLReader()
    var cpuLines: [Substring] = []
    for line in text.split(separator: "\n") {
      let wasInCPU = reader.path.contains("cpu")
      guard let element = reader.take(line) else { continue }
      // What others have noted there may be anything.
      if element.path.contains("metadata") { continue }
      if element.path == ["domain", "cpu"] || wasInCPU { cpuLines.append(line.drop { $0 == " " }) }
      take(element)
    }
    cpu = cpuLines.joined(separator: "\n")
  }

  private mutating func take(_ element: XMLReader.Element) {
    let attributes = element.attributes
    switch element.path.joined(separator: "/") {
    case "domain" where !element.isEnd: type = attributes["type"] ?? ""
    case "domain/os/type":
      architecture = attributes["arch"] ?? ""
      machine = attributes["machine"] ?? ""
    case "domain/memory":
      memory = UInt64(element.text).map { Bytes($0.multipliedReportingOverflow(by: 1024).partialValue) }
    case "domain/cpu" where !element.isEnd: cpuMode = attributes["mode"] ?? (element.isWhole ? "" : "custom")
    case "domain/launchSecurity" where !element.isEnd: encryption = attributes["type"] ?? "memory"
    case "domain/devices/emulator": emulator = element.text
    case "domain/devices/disk" where !element.isEnd:
      disks.append(Disk(device: attributes["device"] ?? "disk", type: attributes["type"] ?? ""))
    case "domain/devices/disk/source" where !disks.isEmpty && !element.isEnd:
      let source = ["file", "dev", "dir", "name", "volume"].lazy.compactMap { attributes[$0] }.first
      disks[disks.count - 1].source = source ?? ""
    case "domain/devices/disk/target" where !disks.isEmpty:
      disks[disks.count - 1].target = attributes["dev"] ?? ""
    case "domain/devices/disk/readonly" where !disks.isEmpty: disks[disks.count - 1].isReadOnly = true
    case "domain/devices/hostdev" where !element.isEnd:
      devices.append(HostDevice(type: attributes["type"] ?? attributes["mode"] ?? "", name: ""))
    case "domain/devices/hostdev/source/address" where !devices.isEmpty:
      devices[devices.count - 1].name = Self.words(attributes)
    case "domain/devices/interface" where !element.isEnd && attributes["type"] == "hostdev":
      devices.append(HostDevice(type: "pci", name: "a network interface"))
    case "domain/devices/interface/source":
      if let network = attributes["network"] { networks.append(network) }
    case "domain/devices/filesystem/source":
      directories.append(attributes["dir"] ?? attributes["socket"] ?? "")
    default: break
    }
  }

  private static func words(_ address: [String: String]) -> String {
    ["uuid", "domain", "bus", "slot", "function", "device"].compactMap { key in
      address[key].map { "\(key) \($0)" }
    }.joined(separator: " ")
  }

  /// The text of the first element of that name.
  static func text(of name: String, in xml: String) -> String? {
    var reader = XMLReader()
    for line in xml.split(separator: "\n") {
      if let element = reader.take(line), element.path.last == name { return element.text }
    }
    return nil
  }
}

/// Goes through XML as libvirt writes it: one element a line, or one that begins or ends there.
struct XMLReader {
  struct Element {
    /// Its name behind those that it is in.
    var path: [String]
    var attributes: [String: String] = [:]
    var text = ""
    /// It begins and ends on this line.
    var isWhole = false
    /// It ends here, and began on an earlier line.
    var isEnd = false
  }

  private(set) var path: [String] = []

  mutating func take(_ line: Substring) -> Element? {
    let line = line.drop { $0 == " " || $0 == "\t" }
    guard line.first == "<" else {
      // The end of a text of several lines.
      if let last = path.last, line.hasSuffix("</\(last)>") { path.removeLast() }
      return nil
    }
    let inner = line.dropFirst()
    guard let mark = inner.first, mark != "!", mark != "?" else { return nil }
    if mark == "/" {
      guard !path.isEmpty else { return nil }
      defer { path.removeLast() }
      return Element(path: path, isEnd: true)
    }
    let name = String(inner.prefix { !" />".contains($0) })
    var element = Element(path: path + [name])
    let rest = Self.attributes(inner.dropFirst(name.count), into: &element.attributes)
    if rest.hasPrefix("/>") {
      element.isWhole = true
    } else if let end = rest.dropFirst().range(of: "</\(name)>") {
      element.isWhole = true
      element.text = Self.plain(rest.dropFirst()[..<end.lowerBound])
    } else {
      path.append(name)
    }
    return element
  }

  /// Returns what is behind them: `/>`, or `>` and more.
  private static func attributes(_ text: Substring, into found: inout [String: String]) -> Substring {
    var rest = text.drop { $0 == " " }
    while let first = rest.first, first != ">", first != "/" {
      guard let equals = rest.firstIndex(of: "=") else { return rest[rest.endIndex...] }
      let name = String(rest[..<equals])
      let behind = rest[equals...].dropFirst()
      guard let quote = behind.first, quote == "'" || quote == "\"",
        let end = behind.dropFirst().firstIndex(of: quote)
      else { return rest[rest.endIndex...] }
      found[name] = plain(behind.dropFirst()[..<end])
      rest = behind[end...].dropFirst().drop { $0 == " " }
    }
    return rest
  }

  private static func plain(_ text: Substring) -> String {
    guard text.contains("&") else { return String(text) }
    var result = String(text)
    for (name, character) in [("lt", "<"), ("gt", ">"), ("apos", "'"), ("quot", "\""), ("amp", "&")] {
      result = result.replacing("&\(name);", with: character)
    }
    return result
  }
}

extension Substring {
  /// Where a text is; without Foundation.
  fileprivate func range(of text: String) -> Range<Index>? { firstRange(of: text) }
}
