internal import Glibc

/// The hosts that the environment's `no_proxy` excepts, read as libcurl reads it.
///
/// libcurl compares its list with the name that TLS verifies, which is not the host that is connected to where
/// ``TLSOptions/serverName`` is given.
struct ProxyExceptions {
  private let entries: [Substring]

  /// Reads names, domains, IP addresses and networks with commas or blanks between, or "*".
  init(_ list: String) {
    entries = list.split { $0 == "," || $0 == " " || $0 == "\t" }
  }

  /// Those of this process's environment.
  static var environment: ProxyExceptions {
    ProxyExceptions((getenv("no_proxy") ?? getenv("NO_PROXY")).map { String(cString: $0) } ?? "")
  }

  /// Whether a host, an IPv6 address in brackets, is reached without a proxy.
  func contains(_ host: String) -> Bool {
    if entries == ["*"] { return true }
    let name = host.lowercased().drop { $0 == "[" }.prefix { $0 != "]" && $0 != "%" }
    if let address = Self.bytes(of: name) {
      return entries.contains { Self.network($0, holds: address) }
    }
    return entries.contains { entry in
      let domain = Self.withoutTrailingDot(entry.lowercased().drop { $0 == "." })
      let name = Self.withoutTrailingDot(name)
      return !domain.isEmpty && (name == domain || name.hasSuffix(".\(domain)"))
    }
  }

  private static func network(_ entry: Substring, holds address: [UInt8]) -> Bool {
    let parts = entry.split(separator: "/", maxSplits: 1)
    guard let first = parts.first, let network = bytes(of: first), network.count == address.count else {
      return false
    }
    let length = parts.count == 2 ? Int(parts[1]) : network.count * 8
    guard let length, (0...network.count * 8).contains(length) else { return false }
    return (0..<length).allSatisfy { bit in
      (network[bit / 8] ^ address[bit / 8]) & (0x80 >> UInt8(bit % 8)) == 0
    }
  }

  private static func bytes(of text: Substring) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: 16)
    if inet_pton(AF_INET, String(text), &bytes) == 1 { return Array(bytes[..<4]) }
    return inet_pton(AF_INET6, String(text), &bytes) == 1 ? bytes : nil
  }

  private static func withoutTrailingDot(_ name: Substring) -> Substring {
    name.hasSuffix(".") ? name.dropLast() : name
  }
}
