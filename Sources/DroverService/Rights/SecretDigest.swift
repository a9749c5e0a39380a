internal import CGnuTLS

/// Makes digests of secrets that tell nothing of them, and that only this process can make.
struct SecretDigest: Sendable {
  private let key: [UInt8]

  init() {
    var generator = SystemRandomNumberGenerator()
    key = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
  }

  /// The digest of texts one after another, where each ends counts; nil where GnuTLS makes none.
  func callAsFunction(_ parts: [UInt8]...) -> [UInt8]? {
    let text = parts.flatMap { part in
      withUnsafeBytes(of: UInt64(part.count).bigEndian) { Array($0) } + part
    }
    var digest = [UInt8](repeating: 0, count: 32)
    let result = gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, key.count, text, text.count, &digest)
    return result == 0 ? digest : nil
  }
}

/// Whether both are the same; how long it takes tells nothing but the lengths.
func isSameInConstantTime(_ a: [UInt8], _ b: [UInt8]) -> Bool {
  a.count == b.count && gnutls_memcmp(a, b, a.count) == 0
}
