internal import Glibc

/// The path of a Unix socket in the kernel's form.
public struct UnixAddress: Sendable {
  /// What fits, in bytes: `sun_path` without its final zero.
  public static let longestPath = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

  private let address: sockaddr_un

  /// Takes a path; nil where it is longer than ``longestPath``.
  public init?(_ path: String) {
    guard path.utf8.count <= Self.longestPath else { return nil }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    self.address = address
  }

  /// Binds a socket to the path; -1 with `errno` where that fails.
  public func bind(_ descriptor: Int32) -> Int32 { call { Glibc.bind(descriptor, $0, $1) } }

  /// Connects a socket to the one at the path; -1 with `errno` where that fails.
  public func connect(_ descriptor: Int32) -> Int32 { call { Glibc.connect(descriptor, $0, $1) } }

  private func call(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    withUnsafePointer(to: address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }
}
