/// How a server speaks TLS, and what it asks of its clients.
///
/// The private key never shows in a description or a dump.
public struct TLSSettings: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
  /// A version of TLS.
  public enum Version: String, CaseIterable, Comparable, Sendable {
    /// Broken; for clients that know nothing else.
    case tls10 = "TLS10"
    /// Broken; for clients that know nothing else.
    case tls11 = "TLS11"
    /// The oldest that is sound.
    case tls12 = "TLS12"
    /// The newest.
    case tls13 = "TLS13"

    /// The older one first.
    public static func < (a: Version, b: Version) -> Bool { a.rawValue < b.rawValue }
  }

  /// What a client must show.
  public enum ClientCertificate: String, CaseIterable, Sendable {
    /// Nothing; it is not asked.
    case none = "NoClientCert"
    /// It is asked; whatever it shows, signed by whomever, is taken.
    case request = "RequestClientCert"
    /// It must show one, signed by whomever.
    case requireAny = "RequireAnyClientCert"
    /// One that it shows must be signed by a known authority.
    case verifyIfGiven = "VerifyClientCertIfGiven"
    /// It must show one that is signed by a known authority.
    case requireAndVerify = "RequireAndVerifyClientCert"

    /// Whether a certificate that is shown proves who the client is.
    public var isVerified: Bool { self == .verifyIfGiven || self == .requireAndVerify }
    var isRequired: Bool { self == .requireAny || self == .requireAndVerify }
  }

  /// A curve of the key exchange.
  public enum Curve: String, CaseIterable, Sendable {
    case p256 = "CurveP256"
    case p384 = "CurveP384"
    case p521 = "CurveP521"
    case x25519 = "X25519"
  }

  /// The server's certificate and those that lead to its authority, as PEM.
  public var certificate: [UInt8]
  /// Its private key as PEM.
  public var key: [UInt8]
  /// What a client must show.
  public var clientCertificate = ClientCertificate.none
  /// Who may sign clients' certificates, as PEM; empty where they are not verified.
  public var clientAuthorities: [UInt8] = []
  /// Of these names a client's certificate must hold one, exactly; empty: it may hold any.
  public var allowedNames: [String] = []
  /// The oldest version.
  public var minVersion = Version.tls12
  /// The newest version.
  public var maxVersion = Version.tls13
  /// Cipher suites by the names of their registry; empty: what GnuTLS thinks sound.
  public var cipherSuites: [CipherSuite] = []
  /// Curves in the order of preference; empty: what GnuTLS thinks sound.
  public var curves: [Curve] = []
  /// Whether the server's order of cipher suites decides, and not the client's.
  public var prefersServerOrder = true

  /// A certificate and its key, with the defaults otherwise.
  public init(certificate: [UInt8], key: [UInt8]) {
    self.certificate = certificate
    self.key = key
  }

  /// How much there is of it.
  public var description: String { "TLS with a certificate of \(certificate.count) bytes" }
  /// A mirror without children.
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Why a server cannot speak TLS as it is told to.
public struct TLSError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What is wrong, as a short word that is safe as a metric label.
  public enum Code: String, CaseIterable, Sendable {
    case badCertificate = "bad_certificate"
    case badAuthority = "bad_authority"
    case badSettings = "bad_settings"
    case memory
  }

  /// What is wrong.
  public let code: Code
  /// The call of GnuTLS that failed; empty where none did.
  public let call: String
  /// The cause and what to do about it.
  public let cause: String

  init(_ code: Code, call: String = "", _ cause: String) {
    self.code = code
    self.call = call
    self.cause = cause
  }

  /// A short closed form, safe as a metric label.
  public var shortDescription: String { code.rawValue }

  /// One line for a person.
  public var description: String { (call.isEmpty ? "" : "\(call): ") + cause }
}
