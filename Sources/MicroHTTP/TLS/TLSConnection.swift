internal import CGnuTLS
internal import Synchronization

/// What belongs to one connection that speaks TLS: its credentials, and what the client has shown.
final class TLSConnection: Sendable {
  private let credentials: TLSCredentials
  private let log: @Sendable (String) -> Void
  private let shown = Mutex<PeerCertificate?>(nil)

  /// The client's certificate, once the handshake is over; nil where it has shown none.
  var certificate: PeerCertificate? { shown.withLock(\.self) }

  private init(_ credentials: TLSCredentials, log: @escaping @Sendable (String) -> Void) {
    self.credentials = credentials
    self.log = log
  }

  /// Prepares a session whose handshake has not begun.
  ///
  /// - Returns: What must be kept until the session is gone, with a reference to be released then; nil where the
  ///   session cannot be used.
  static func begin(
    _ session: gnutls_session_t, _ credentials: TLSCredentials, log: @escaping @Sendable (String) -> Void
  ) -> UnsafeMutableRawPointer? {
    guard credentials.apply(to: session) else { return nil }
    let context = Unmanaged.passRetained(TLSConnection(credentials, log: log)).toOpaque()
    // The session's own pointer is libmicrohttpd's. This one is for a store of sessions, of which there is none.
    gnutls_db_set_ptr(session, context)
    gnutls_session_set_verify_function(session) { session in
      guard let session, let context = gnutls_db_get_ptr(session) else { return -1 }
      return TLSConnection.from(context).verify(session) ? 0 : -1
    }
    return context
  }

  static func from(_ context: UnsafeMutableRawPointer) -> TLSConnection {
    Unmanaged<TLSConnection>.fromOpaque(context).takeUnretainedValue()
  }

  static func release(_ context: UnsafeMutableRawPointer) {
    Unmanaged<TLSConnection>.fromOpaque(context).release()
  }

  /// Judges what the client has shown; called in the handshake, also where it shows nothing.
  private func verify(_ session: gnutls_session_t) -> Bool {
    let asked = credentials.settings.clientCertificate
    var count: UInt32 = 0
    guard let chain = gnutls_certificate_get_peers(session, &count), count > 0 else {
      return !asked.isRequired
    }
    if asked.isVerified, let reason = Self.fault(session) {
      log("a client's certificate is refused: \(reason)")
      return false
    }
    guard let certificate = PeerCertificate(der: chain[0], isVerified: asked.isVerified) else {
      log("a client's certificate is refused: it cannot be read")
      return false
    }
    let allowed = credentials.settings.allowedNames
    guard allowed.isEmpty || certificate.names.contains(where: allowed.contains) else {
      log("a client's certificate is refused: it holds none of the allowed names")
      return false
    }
    shown.withLock { $0 = certificate }
    return true
  }

  /// Why the client's certificate is not to be trusted; nil where it is.
  private static func fault(_ session: gnutls_session_t) -> String? {
    var purpose = Array("1.3.6.1.5.5.7.3.2".utf8) + [0]
    return purpose.withUnsafeMutableBufferPointer { purpose in
      var forClients = gnutls_typed_vdata_st(
        type: GNUTLS_DT_KEY_PURPOSE_OID, data: purpose.baseAddress, size: 0)
      var status: UInt32 = 0
      let result = gnutls_certificate_verify_peers(session, &forClients, 1, &status)
      guard result >= 0 else { return TLSCredentials.reason(result) }
      guard status != 0 else { return nil }
      var text = gnutls_datum_t()
      guard gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) == 0 else {
        return "status \(status)"
      }
      defer { drover_gnutls_free(text.data) }
      return String(decoding: UnsafeRawBufferPointer(start: text.data, count: Int(text.size)), as: UTF8.self)
        .split(separator: " ").joined(separator: " ")
    }
  }
}
