internal import Glibc

/// An IPv4 or IPv6 address; an IPv4 one that is mapped into IPv6 (`::ffff:192.0.2.1`) equals the IPv4 one.
public struct IPAddress: Hashable, Sendable, LosslessStringConvertible {
  /// The 16 bytes of the address in IPv6's form, in the order of the network.
  private let high: UInt64
  private let low: UInt64

  private static let mapped: UInt64 = 0xFFFF << 32

  /// Takes four bytes in the order of the network.
  init(v4 bytes: UInt32) {
    high = 0
    low = Self.mapped | UInt64(UInt32(bigEndian: bytes))
  }

  /// Takes four words of four bytes, each in the order of the network.
  init(v6 words: (UInt32, UInt32, UInt32, UInt32)) {
    high = UInt64(UInt32(bigEndian: words.0)) << 32 | UInt64(UInt32(bigEndian: words.1))
    low = UInt64(UInt32(bigEndian: words.2)) << 32 | UInt64(UInt32(bigEndian: words.3))
  }

  /// The address as `struct inet_diag_sockid` has it: an IPv4 one in the first word.
  var words: (UInt32, UInt32, UInt32, UInt32) {
    func word(_ bits: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: bits).bigEndian }
    return isIPv4 ? (word(low), 0, 0, 0) : (word(high >> 32), word(high), word(low >> 32), word(low))
  }

  /// Reads an address in its usual form, without brackets, port or zone; nil where it is none.
  public init?(_ text: String) {
    var v4 = in_addr()
    var v6 = in6_addr()
    if inet_pton(AF_INET, text, &v4) == 1 {
      self.init(v4: v4.s_addr)
    } else if inet_pton(AF_INET6, text, &v6) == 1 {
      let words = v6.__in6_u.__u6_addr32
      self.init(v6: (words.0, words.1, words.2, words.3))
    } else {
      return nil
    }
  }

  /// Whether this is an IPv4 address, mapped or not.
  public var isIPv4: Bool { high == 0 && low >> 32 == Self.mapped >> 32 }

  /// The canonical text: `192.0.2.1`, `2001:db8::1`.
  public var description: String {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    if isIPv4 {
      var address = in_addr(s_addr: words.0)
      inet_ntop(AF_INET, &address, &text, socklen_t(text.count))
    } else {
      var address = in6_addr()
      address.__in6_u.__u6_addr32 = words
      inet_ntop(AF_INET6, &address, &text, socklen_t(text.count))
    }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
