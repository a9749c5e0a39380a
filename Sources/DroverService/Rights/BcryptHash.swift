internal import CCrypt
internal import Glibc

/// The bcrypt hash of a password, as `htpasswd -B` writes it.
struct BcryptHash: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
  /// The hash as it was written; it is never shown.
  let text: String
  /// 2 to the power of it is the number of rounds.
  let cost: Int

  /// Nil where the text is no bcrypt hash.
  init?(_ text: String) {
    let parts = text.split(separator: "$", omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0].isEmpty, ["2a", "2b", "2y"].contains(parts[1]),
      parts[2].utf8.count == 2, let cost = Int(parts[2]), (4...31).contains(cost),
      parts[3].utf8.count == 53, parts[3].utf8.allSatisfy(Self.isDigit)
    else { return nil }
    self.text = text
    self.cost = cost
  }

  var description: String { "bcrypt hash of cost \(cost)" }
  var customMirror: Mirror { Mirror(self, children: []) }

  /// A hash that no password has, and that takes as long as one of this cost.
  static func dummy(cost: Int) -> BcryptHash? {
    BcryptHash("$2b$\(cost < 10 ? "0" : "")\(cost)$" + String(repeating: ".", count: 53))
  }

  /// Whether this is the password; it takes about 70 ms at a cost of 10.
  func isHash(of password: String) -> Bool {
    // The text ends at a NUL for crypt, and what follows would not count.
    guard !password.utf8.contains(0) else { return false }
    let size = MemoryLayout<crypt_data>.size
    return withUnsafeTemporaryAllocation(byteCount: size, alignment: 16) { data in
      guard let start = data.baseAddress else { return false }
      memset(start, 0, size)
      // What the calculation leaves behind is of use to nobody.
      defer { explicit_bzero(start, size) }
      guard let result = crypt_rn(password, text, start, Int32(size)) else { return false }
      return isSameInConstantTime(Array(String(cString: result).utf8), Array(text.utf8))
    }
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "/"):
      true
    default: false
    }
  }
}
