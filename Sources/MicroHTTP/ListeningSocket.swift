// Not used by name: an optimised build takes `sockaddr` for this module's.
internal import CMicroHTTP
internal import Glibc
internal import Synchronization

/// A bound and listening socket, closed with its last reference unless it was handed on.
final class ListeningSocket: Sendable {
  /// The address with the port that the kernel chose.
  let bound: ListenAddress
  private let descriptor: Mutex<Int32?>
  private let file: UnixSocketFile?

  init(_ listener: Listener) throws(HTTPServerError) {
    let name = listener.address.description
    let descriptor: Int32
    switch listener.address {
    case .tcp(let host, let port):
      descriptor = try TCPBinding.open(host: host, port: port, name: name)
      bound = .tcp(host: host, port: TCPBinding.port(of: descriptor) ?? port)
      file = nil
    case .unix(let path):
      if listener.createsDirectory { try UnixSocketFile.makeDirectory(for: path, name: name) }
      (descriptor, file) = try UnixSocketFile.open(path, name: name)
      bound = listener.address
    }
    self.descriptor = Mutex(descriptor)
    guard listen(descriptor, SOMAXCONN) == 0 else { throw .system("listen", errno, name) }
  }

  deinit {
    file?.remove()
    if let descriptor = take() { close(descriptor) }
  }

  /// Gives the descriptor away; whoever takes it closes it.
  func take() -> Int32? {
    descriptor.withLock { descriptor in
      defer { descriptor = nil }
      return descriptor
    }
  }

  /// Removes the file of a Unix socket, so that nobody connects any more.
  func unlink() { file?.remove() }
}

enum TCPBinding {
  static func open(host: String?, port: UInt16, name: String) throws(HTTPServerError) -> Int32 {
    guard let host, host != "::" else { return try wildcard(port, name) }
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_PASSIVE
    var list: UnsafeMutablePointer<addrinfo>?
    let result = getaddrinfo(host, String(port), &hints, &list)
    defer { if let list { freeaddrinfo(list) } }
    guard result == 0, let list else {
      throw HTTPServerError(
        .addressUnavailable, address: name, call: "getaddrinfo", cause: String(cString: gai_strerror(result)),
        remedy: "use an IP address, or a name that this host resolves")
    }
    let candidates = Array(sequence(first: list) { $0.pointee.ai_next })
    // A name that means both families is taken as IPv4, which every client of this host can reach.
    let info = candidates.first { $0.pointee.ai_family == AF_INET } ?? list
    guard let address = info.pointee.ai_addr else { throw .system("getaddrinfo", EINVAL, name) }
    return try bind(info.pointee.ai_family, address, info.pointee.ai_addrlen, dualStack: false, name)
  }

  static func port(of descriptor: Int32) -> UInt16? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
    }
    guard result == 0 else { return nil }
    // The port lies at the same place in both families.
    return withUnsafeBytes(of: &storage) {
      UInt16(bigEndian: $0.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
    }
  }

  /// All addresses of both families; of IPv4 alone when the kernel has no IPv6.
  private static func wildcard(_ port: UInt16, _ name: String) throws(HTTPServerError) -> Int32 {
    do throws(HTTPServerError) {
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = port.bigEndian
      return try withSockaddr(&address) { address, length throws(HTTPServerError) in
        try bind(AF_INET6, address, length, dualStack: true, name)
      }
    } catch  where error.code == .addressUnavailable {
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = port.bigEndian
      return try withSockaddr(&address) { address, length throws(HTTPServerError) in
        try bind(AF_INET, address, length, dualStack: false, name)
      }
    }
  }

  private static func bind(
    _ family: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t, dualStack: Bool, _ name: String
  ) throws(HTTPServerError) -> Int32 {
    let descriptor = try openSocket(family, name)
    var on: Int32 = 1
    var v6Only: Int32 = dualStack ? 0 : 1
    let size = socklen_t(MemoryLayout<Int32>.size)
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, size)
    if family == AF_INET6 { setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &v6Only, size) }
    guard Glibc.bind(descriptor, address, length) == 0 else {
      let error = HTTPServerError.system("bind", errno, name)
      close(descriptor)
      throw error
    }
    return descriptor
  }
}

func openSocket(_ family: Int32, _ name: String) throws(HTTPServerError) -> Int32 {
  let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
  let descriptor = socket(family, kind, 0)
  guard descriptor >= 0 else { throw .system("socket", errno, name) }
  return descriptor
}

func withSockaddr<Address, Result, Failure: Error>(
  _ address: inout Address, _ body: (UnsafePointer<sockaddr>, socklen_t) throws(Failure) -> Result
) throws(Failure) -> Result {
  try withUnsafePointer(to: &address) { pointer throws(Failure) in
    try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer throws(Failure) in
      try body(pointer, socklen_t(MemoryLayout<Address>.size))
    }
  }
}

extension HTTPServerError {
  /// A system call that failed with an `errno`.
  static func system(_ call: String, _ number: Int32, _ address: String) -> HTTPServerError {
    let isUnix = address.hasPrefix("unix:")
    let (code, remedy): (Code, String) =
      switch number {
      case EADDRINUSE:
        (.addressInUse, "choose another \(isUnix ? "path" : "port"), or end the process that listens there")
      case EACCES, EPERM:
        (.permissionDenied, "choose a port from 1024 or a directory that is writable, or grant the right")
      case EADDRNOTAVAIL, EAFNOSUPPORT:
        (.addressUnavailable, "use an address of this host, or :port for all of them")
      case ENOENT: (.systemCall, "create the directory")
      default: (.systemCall, "see the cause")
      }
    return HTTPServerError(
      code, address: address, call: call, cause: String(cString: strerror(number)), remedy: remedy)
  }
}
