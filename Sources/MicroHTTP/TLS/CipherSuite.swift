/// A cipher suite that is sound.
public struct CipherSuite: Hashable, Sendable {
  /// Its name in IANA's registry.
  public let name: String
  /// Key exchange, cipher and MAC as GnuTLS calls them; the key exchange is nil for TLS 1.3, which has one.
  let keyExchange: String?
  let cipher: String
  let mac: String

  /// Those that can be chosen.
  public static let all: [CipherSuite] =
    [
      CipherSuite(name: "TLS_AES_128_GCM_SHA256", keyExchange: nil, cipher: "AES-128-GCM", mac: "AEAD"),
      CipherSuite(name: "TLS_AES_256_GCM_SHA384", keyExchange: nil, cipher: "AES-256-GCM", mac: "AEAD"),
      CipherSuite(
        name: "TLS_CHACHA20_POLY1305_SHA256", keyExchange: nil, cipher: "CHACHA20-POLY1305", mac: "AEAD"),
    ]
    + ["ECDSA", "RSA"].flatMap { signature in
      [
        ("AES_128_CBC_SHA", "AES-128-CBC", "SHA1"), ("AES_256_CBC_SHA", "AES-256-CBC", "SHA1"),
        ("AES_128_GCM_SHA256", "AES-128-GCM", "AEAD"), ("AES_256_GCM_SHA384", "AES-256-GCM", "AEAD"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305", "AEAD"),
      ].map { name, cipher, mac in
        CipherSuite(
          name: "TLS_ECDHE_\(signature)_WITH_\(name)", keyExchange: "ECDHE-\(signature)", cipher: cipher,
          mac: mac)
      }
    }

  /// The suite of a name; nil where there is none, or none that is sound.
  public init?(named name: String) {
    guard let found = Self.all.first(where: { $0.name == name }) else { return nil }
    self = found
  }

  private init(name: String, keyExchange: String?, cipher: String, mac: String) {
    self.name = name
    self.keyExchange = keyExchange
    self.cipher = cipher
    self.mac = mac
  }
}

extension TLSSettings {
  /// Throws where versions and cipher suites do not go together.
  public func check() throws(TLSError) { _ = try priority() }

  /// The settings in GnuTLS's own language.
  func priority() throws(TLSError) -> String {
    guard minVersion <= maxVersion else {
      throw TLSError(
        .badSettings, "the oldest version, \(minVersion.rawValue), is newer than \(maxVersion.rawValue)")
    }
    var words = ["NORMAL", "-VERS-ALL"]
    let versions = Version.allCases.filter { minVersion <= $0 && $0 <= maxVersion }
    words += versions.reversed().map { "+VERS-TLS1.\($0.rawValue.suffix(1))" }
    if !cipherSuites.isEmpty { words += try cipherWords(versions) }
    if !curves.isEmpty {
      words.append("-GROUP-ALL")
      words += curves.map {
        switch $0 {
        case .p256: "+GROUP-SECP256R1"
        case .p384: "+GROUP-SECP384R1"
        case .p521: "+GROUP-SECP521R1"
        case .x25519: "+GROUP-X25519"
        }
      }
    }
    if prefersServerOrder { words.append("%SERVER_PRECEDENCE") }
    return words.joined(separator: ":")
  }

  /// GnuTLS chooses key exchange, cipher and MAC each by itself; a list that would let in what it does not hold
  /// is refused.
  private func cipherWords(_ versions: [Version]) throws(TLSError) -> [String] {
    let exchanges = unique(cipherSuites.compactMap(\.keyExchange))
    let ciphers = unique(cipherSuites.map(\.cipher))
    let macs = unique(cipherSuites.map(\.mac))
    let extra = CipherSuite.all.filter { suite in
      guard let exchange = suite.keyExchange, exchanges.contains(exchange) else { return false }
      return ciphers.contains(suite.cipher) && macs.contains(suite.mac) && !cipherSuites.contains(suite)
    }
    guard extra.isEmpty else {
      throw TLSError(
        .badSettings,
        "GnuTLS chooses key exchange, cipher and MAC apart, and these suites would also let in "
          + "\(extra.map(\.name).joined(separator: ", ")); list them too, or take others away")
    }
    if versions.contains(.tls13), !macs.contains("AEAD") {
      throw TLSError(
        .badSettings,
        "TLS 1.3 would have no cipher: add a suite with GCM or CHACHA20, or end at TLS12 (max_version)")
    }
    if versions != [.tls13], exchanges.isEmpty {
      throw TLSError(
        .badSettings, "TLS 1.2 would have no cipher: add a suite with ECDHE, or begin at TLS13 (min_version)")
    }
    let kx = exchanges.isEmpty ? [] : ["-KX-ALL"] + exchanges.map { "+\($0)" }
    return kx + ["-CIPHER-ALL"] + ciphers.map { "+\($0)" } + ["-MAC-ALL"] + macs.map { "+\($0)" }
  }

  private func unique(_ words: [String]) -> [String] {
    var seen: Set<String> = []
    return words.filter { seen.insert($0).inserted }
  }
}
