/// A host that migrations may be sent to.
public struct LibvirtPeer: Hashable, Sendable {
  /// What it is called here: `--to` takes this, or the host that its URI names.
  public var name: String
  /// Its libvirt, as the *source's* daemon reaches it.
  public var uri: String
  /// Where the data goes, such as `tcp://host-b-mig`; empty for what the target's libvirt says.
  public var migrateURI: String
  /// Its libvirt, as Drover reaches it to see whether a guest can go there; empty for the same URI.
  public var checkURI: String

  /// Names a host; without a name it is called what its URI names.
  public init(name: String = "", uri: String, migrateURI: String = "", checkURI: String = "") {
    self.name = name.isEmpty ? LibvirtConfiguration.host(ofURI: uri) ?? uri : name
    self.uri = uri
    self.migrateURI = migrateURI
    self.checkURI = checkURI
  }

  /// Whether somebody who says this means it.
  func isCalled(_ text: String) -> Bool { text == name || text == LibvirtConfiguration.host(ofURI: uri) }
}
