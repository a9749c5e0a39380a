internal import CGnuTLS

/// Certificate, key and authorities, read and ready for any number of connections.
public final class TLSCredentials: Sendable {
  let settings: TLSSettings
  /// Addresses of GnuTLS's own objects, which nothing changes once they are made.
  private let credentials: UInt
  private let priority: UInt

  /// Reads what the settings hold.
  ///
  /// - Throws: What cannot be used of them, with GnuTLS's reason.
  public init(_ settings: TLSSettings) throws(TLSError) {
    self.settings = settings
    let words = try settings.priority()
    var credentials: gnutls_certificate_credentials_t?
    guard gnutls_certificate_allocate_credentials(&credentials) == 0, let credentials else {
      throw TLSError(.memory, call: "gnutls_certificate_allocate_credentials", "there is no memory")
    }
    do throws(TLSError) {
      try Self.load(settings, into: credentials)
      var priority: gnutls_priority_t?
      let result = gnutls_priority_init(&priority, words, nil)
      guard result == 0, let priority else {
        throw TLSError(.badSettings, call: "gnutls_priority_init \(words)", Self.reason(result))
      }
      self.credentials = UInt(bitPattern: credentials)
      self.priority = UInt(bitPattern: priority)
    } catch {
      gnutls_certificate_free_credentials(credentials)
      throw error
    }
  }

  deinit {
    gnutls_priority_deinit(OpaquePointer(bitPattern: priority))
    gnutls_certificate_free_credentials(OpaquePointer(bitPattern: credentials))
  }

  /// Gives them to a session whose handshake has not begun; they must live as long as it.
  func apply(to session: gnutls_session_t) -> Bool {
    let isSet =
      gnutls_credentials_set(
        session, GNUTLS_CRD_CERTIFICATE, UnsafeMutableRawPointer(bitPattern: credentials))
      == 0 && gnutls_priority_set(session, OpaquePointer(bitPattern: priority)) == 0
    let request: gnutls_certificate_request_t =
      switch settings.clientCertificate {
      case .none: GNUTLS_CERT_IGNORE
      case .request, .verifyIfGiven: GNUTLS_CERT_REQUEST
      case .requireAny, .requireAndVerify: GNUTLS_CERT_REQUIRE
      }
    gnutls_certificate_server_set_request(session, request)
    return isSet
  }

  private static func load(
    _ settings: TLSSettings, into credentials: gnutls_certificate_credentials_t
  ) throws(TLSError) {
    let paired = withDatum(settings.certificate) { certificate in
      withDatum(settings.key) { key in
        gnutls_certificate_set_x509_key_mem2(credentials, certificate, key, GNUTLS_X509_FMT_PEM, nil, 0)
      }
    }
    guard paired >= 0 else {
      throw TLSError(
        .badCertificate, call: "gnutls_certificate_set_x509_key_mem2",
        "\(reason(paired)); give a PEM certificate and the PEM key, without a passphrase, that belongs to it")
    }
    guard settings.clientCertificate.isVerified else { return }
    let trusted = withDatum(settings.clientAuthorities) { authorities in
      gnutls_certificate_set_x509_trust_mem(credentials, authorities, GNUTLS_X509_FMT_PEM)
    }
    guard trusted > 0 else {
      let cause = trusted == 0 ? "there is no certificate in it" : reason(trusted)
      throw TLSError(
        .badAuthority, call: "gnutls_certificate_set_x509_trust_mem",
        "\(cause); give the PEM certificates of the authorities that sign clients")
    }
  }

  private static func withDatum<Result>(
    _ bytes: [UInt8], _ body: (UnsafePointer<gnutls_datum_t>) -> Result
  ) -> Result {
    var bytes = bytes
    return bytes.withUnsafeMutableBufferPointer { bytes in
      var datum = gnutls_datum_t(data: bytes.baseAddress, size: UInt32(clamping: bytes.count))
      return body(&datum)
    }
  }

  static func reason(_ code: Int32) -> String {
    gnutls_strerror(code).map { String(cString: $0) } ?? "error \(code)"
  }
}
