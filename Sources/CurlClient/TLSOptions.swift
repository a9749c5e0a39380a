/// Where PEM text comes from.
///
/// What `pem` holds may be a secret: it never shows in a description or a dump.
public enum PEMSource: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
  CustomReflectable
{
  /// A file, read anew for each connection.
  case file(String)
  /// The text itself.
  case pem([UInt8])

  /// The file's path, or how much text there is.
  public var description: String {
    switch self {
    case .file(let path): path
    case .pem(let bytes): "<PEM, \(bytes.count) bytes>"
    }
  }
  /// The same as `description`.
  public var debugDescription: String { description }
  /// A mirror without children.
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Whom an `https` request trusts, and who it says it is.
///
/// Connections are shared by requests with the same options only.
public struct TLSOptions: Hashable, Sendable {
  /// Who may sign the server's certificate.
  public enum Authorities: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
  {
    /// Those that this system trusts.
    case system
    /// Those in a PEM file, and no others; the file is read anew for each connection.
    case file(String)
    /// Those in this PEM text, and no others.
    case pem([UInt8])

    /// The file's path, or how much text there is.
    public var description: String {
      switch self {
      case .system: "system"
      case .file(let path): PEMSource.file(path).description
      case .pem(let bytes): PEMSource.pem(bytes).description
      }
    }
    /// The same as `description`.
    public var debugDescription: String { description }
    /// A mirror without children.
    public var customMirror: Mirror { Mirror(self, children: []) }
  }

  /// Who may sign the server's certificate.
  public var authorities: Authorities = .system
  /// The certificate to show when the server asks for one, with its chain.
  public var clientCertificate: PEMSource?
  /// The certificate's private key, without a passphrase; nil: it is beside the certificate.
  public var clientKey: PEMSource?
  /// Whether the server's certificate has to be signed by one of ``authorities`` and be in force.
  public var verifiesPeer = true
  /// Whether the server's certificate has to hold the server's name.
  public var verifiesHost = true
  /// The name to ask for and to verify in place of the address's host, which is still the one connected to and
  /// the one that the `Host` field names.
  public var serverName: String?

  /// Trusts what the system trusts, and shows no certificate.
  public init() {}
}

extension TLSOptions {
  /// The same, if libcurl can take it.
  func checked(_ call: String) throws(CurlError) -> TLSOptions {
    if clientCertificate == nil, clientKey != nil {
      throw .invalidRequest(call, "a client key without its certificate: give both, or neither")
    }
    var texts = [clientCertificate, clientKey].compactMap { $0 }
    switch authorities {
    case .system: break
    case .file(let path): texts.append(.file(path))
    case .pem(let bytes): texts.append(.pem(bytes))
    }
    for text in texts {
      switch text {
      case .file(let path) where path.isEmpty || path.utf8.contains(0):
        throw .invalidRequest(call, "the path of a PEM file is empty or holds a NUL: write the file's path")
      case .pem(let bytes) where bytes.isEmpty:
        throw .invalidRequest(call, "a PEM text is empty: give the certificate or key, or leave it out")
      default: break
      }
    }
    guard let serverName else { return self }
    var options = self
    let text = ServerAddress.isIPv6(serverName) ? "[\(serverName)]" : serverName
    guard let (host, port) = ServerAddress.hostAndPort(Substring(text)), port == nil else {
      throw .invalidRequest(
        call, "'\(serverName.printable)' is no server name: write a host name or IP address, without a port")
    }
    options.serverName = host
    return options
  }
}
