internal import LibvirtBackend

/// What is said of a libvirt URI before libvirt sees it.
enum LibvirtURI {
  static let example = "qemu:///system"

  /// Room for a number behind the name of the ten-thousandth of a kind.
  private static let longestName = BackendNames.longest - "-10000".utf8.count

  /// Why this can never be opened, with what was probably meant; nil where nothing speaks against it.
  static func refusal(of text: String) -> String? {
    guard !text.isEmpty else { return "a URI must be given, such as \(example)" }
    guard !text.unicodeScalars.contains(where: { $0 == " " || $0.properties.generalCategory == .control })
    else {
      return "\(quoted(text)) has blanks or control characters in it; write a blank as %20"
    }
    if ["qemu://system", "qemu://session"].contains(text) {
      return "\(quoted(text)) names a host; write qemu:///\(text.dropFirst(7)) for this machine"
    }
    guard !LibvirtConfiguration.isURI(text) else { return nil }
    guard let meant = meant(by: text) else {
      return "\(quoted(text)) is no URI; write \(example) for this machine, or qemu+ssh://host/system"
    }
    return "\(quoted(text)) is no URI; write \(meant)"
  }

  /// The name of a back end that is given none: its host's, in the letters that a name may have.
  static func backendName(of uri: String) -> String {
    let host = LibvirtConfiguration.host(ofURI: uri) ?? HostName.ofThisMachine
    let words = host.utf8.split { !BackendNames.isAllowed($0) }.map { String(decoding: $0, as: UTF8.self) }
    let name = words.joined(separator: "-").prefix(longestName)
    return name.isEmpty ? "libvirt" : String(name)
  }

  private static func meant(by text: String) -> String? {
    guard text.utf8.count <= 60 else { return nil }
    if text.hasPrefix("/") { return "qemu:///system?socket=\(text) for a socket on this machine" }
    if ["qemu", "system", "session"].contains(text) {
      return "qemu:///\(text == "session" ? text : "system") for this machine"
    }
    var host = text.hasSuffix("/system") ? text.dropLast("/system".utf8.count) : text[...]
    guard host.utf8.allSatisfy({ BackendNames.isAllowed($0) || ":@[]".utf8.contains($0) }), !host.isEmpty,
      !host.hasPrefix("qemu:"), !host.hasSuffix(":")
    else { return nil }
    if host.utf8.count(where: { $0 == UInt8(ascii: ":") }) > 1, !host.contains("["), !host.contains("@") {
      host = "[\(host)]"
    }
    return "qemu+ssh://\(host)/system to go there by ssh"
  }
}
