internal import CCurl

/// Why two ends did not accept each other's certificates, as far as libcurl tells.
enum TrustProblem: Hashable, Sendable {
  case expired, notYetValid, unknownAuthority, otherName
  /// The client's certificate is missing or not accepted.
  case refusedByServer
  case unreadableAuthorities
  case unreadableClientCertificate

  /// `verifyResult` is OpenSSL's `X509_V_ERR_…`, `message` libcurl's text.
  init?(_ code: CURLcode, verifyResult: Int, message: String) {
    switch code {
    case CURLE_PEER_FAILED_VERIFICATION:
      switch verifyResult {
      // The chain was found good, or not yet looked at: the name is.
      case 0, 1: self = .otherName
      case 9: self = .notYetValid
      case 10: self = .expired
      case 2, 7, 18, 19, 20, 21: self = .unknownAuthority
      default: return nil
      }
    case CURLE_SSL_CACERT_BADFILE: self = .unreadableAuthorities
    case CURLE_SSL_CERTPROBLEM: self = .unreadableClientCertificate
    // In TLS 1.3 a server refuses after the handshake, as an answer to the request.
    case CURLE_SSL_CONNECT_ERROR, CURLE_RECV_ERROR, CURLE_SEND_ERROR:
      let reasons = ["certificate", "unknown ca", "handshake failure"]
      guard message.contains("alert"), reasons.contains(where: { message.contains($0) }) else { return nil }
      self = .refusedByServer
    default: return nil
    }
  }

  var remedy: String {
    switch self {
    case .expired:
      "the server's certificate, or its authority's, has expired: renew it, or set this machine's clock"
    case .notYetValid: "the certificate is not valid yet: check the clocks of both machines"
    case .unknownAuthority:
      "the certificate is signed by an authority that is not trusted: give that one's (certificate-authority)"
    case .otherName:
      "the certificate is for another name: connect to one that it holds, or give it (tls-server-name)"
    case .refusedByServer:
      "the server does not accept who asks: check the client certificate (client-certificate, client-key)"
    case .unreadableAuthorities:
      "check that certificate-authority exists, may be read, and holds PEM certificates"
    case .unreadableClientCertificate:
      "check that client-certificate and client-key may be read, are PEM, belong together and have no passphrase"
    }
  }
}
