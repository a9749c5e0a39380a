internal import CGnuTLS
internal import Glibc

/// What a client's certificate says of it.
public struct PeerCertificate: Hashable, Sendable {
  /// The subject, as RFC 4514 writes it: `CN=alice,O=example`.
  public var subject: String
  /// The subject's common name; nil where there is none, or more than one.
  public var commonName: String?
  /// The alternative names: host names, e-mail addresses, URIs, and IP addresses in numbers.
  public var names: [String]
  /// Whether a known authority has signed it for a client, and it is in force; otherwise it proves nothing.
  public var isVerified: Bool

  /// Makes one of its parts.
  public init(subject: String, commonName: String?, names: [String], isVerified: Bool) {
    self.subject = subject
    self.commonName = commonName
    self.names = names
    self.isVerified = isVerified
  }

  /// Reads a certificate; nil where it cannot be read.
  init?(der: gnutls_datum_t, isVerified: Bool) {
    var der = der
    var certificate: gnutls_x509_crt_t?
    guard gnutls_x509_crt_init(&certificate) == 0, let certificate else { return nil }
    defer { gnutls_x509_crt_deinit(certificate) }
    guard gnutls_x509_crt_import(certificate, &der, GNUTLS_X509_FMT_DER) == 0 else { return nil }
    var text = gnutls_datum_t()
    guard gnutls_x509_crt_get_dn3(certificate, &text, 0) == 0 else { return nil }
    defer { drover_gnutls_free(text.data) }
    subject = String(
      decoding: UnsafeRawBufferPointer(start: text.data, count: Int(text.size)), as: UTF8.self)
    let first = Self.commonName(certificate, 0)
    commonName = Self.commonName(certificate, 1) == nil ? first.flatMap(Self.text) : nil
    names = Self.names(certificate)
    self.isVerified = isVerified
  }

  private static func commonName(_ certificate: gnutls_x509_crt_t, _ index: UInt32) -> [UInt8]? {
    read { buffer, size in
      gnutls_x509_crt_get_dn_by_oid(certificate, "2.5.4.3", index, 0, buffer, size)
    }?.bytes
  }

  private static func names(_ certificate: gnutls_x509_crt_t) -> [String] {
    var names: [String] = []
    for index in 0..<UInt32(1000) {
      let found = read { buffer, size in
        gnutls_x509_crt_get_subject_alt_name(certificate, index, buffer, size, nil)
      }
      guard let found else { break }
      let type = UInt32(found.result)
      if type == GNUTLS_SAN_IPADDRESS.rawValue {
        if let address = address(found.bytes) { names.append(address) }
      } else if [GNUTLS_SAN_DNSNAME, GNUTLS_SAN_RFC822NAME, GNUTLS_SAN_URI].map(\.rawValue).contains(type) {
        if let name = text(found.bytes) { names.append(name) }
      }
    }
    return names
  }

  /// What a call of GnuTLS writes into a buffer, and its result; nil where there is no such thing.
  private static func read(
    _ call: (UnsafeMutableRawPointer?, UnsafeMutablePointer<Int>) -> Int32
  ) -> (bytes: [UInt8], result: Int32)? {
    var result: Int32 = -1
    let bytes = [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
      var size = buffer.count
      result = call(buffer.baseAddress, &size)
      count = result >= 0 ? min(size, buffer.count) : 0
    }
    return result >= 0 ? (bytes, result) : nil
  }

  /// A NUL in a name would make it look like another one.
  private static func text(_ bytes: [UInt8]) -> String? {
    bytes.isEmpty || bytes.contains(0) ? nil : String(validating: bytes, as: UTF8.self)
  }

  private static func address(_ bytes: [UInt8]) -> String? {
    let family = bytes.count == 4 ? AF_INET : AF_INET6
    guard bytes.count == 4 || bytes.count == 16 else { return nil }
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { buffer in
      inet_ntop(family, bytes, buffer.baseAddress, socklen_t(buffer.count)).map { String(cString: $0) }
    }
  }
}
