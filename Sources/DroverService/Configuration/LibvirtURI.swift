internal import LibvirtBackend

/// What is said of a libvirt URI before libvirt sees it.
enum LibvirtURI {
  static let example = "qemu:///system"

  /// The drivers that tell of live migrations: QEMU's, and libvirt's own for trying out.
  private static let drivers = ["qemu", "test"]
  /// How libvirt reaches a daemon.
  private static let transports = ["ext", "libssh", "libssh2", "ssh", "tcp", "tls", "unix"]

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
    guard !LibvirtConfiguration.isURI(text) else { return refusal(ofScheme: text) }
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

  /// Of a URI, why libvirt would find nobody who takes its scheme; nil where nothing speaks against it.
  private static func refusal(ofScheme uri: String) -> String? {
    let scheme = uri.prefix { $0 != ":" }
    let driver = String(scheme.prefix { $0 != "+" })
    guard drivers.contains(driver.lowercased()) else {
      let meant = suggestion(for: driver, among: drivers).map { "\($0)\(uri.dropFirst(driver.count))" }
      return
        "\(quoted(uri)) names the driver \(quoted(driver)), and Drover watches hosts of QEMU only; write "
        + (meant.flatMap { $0.utf8.count <= 60 ? $0 : nil } ?? "\(example), or qemu+ssh://host/system")
    }
    guard scheme.count > driver.count else { return nil }
    let transport = String(scheme.dropFirst(driver.count + 1))
    guard !transports.contains(transport.lowercased()) else { return nil }
    let meant = suggestion(for: transport, among: transports).map { "did you mean \(quoted($0))? " } ?? ""
    return "\(quoted(uri)) names the transport \(quoted(transport)); \(meant)libvirt knows "
      + transports.joined(separator: ", ")
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
