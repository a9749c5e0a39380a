internal import CLinux
internal import Glibc
internal import Posix

/// An open file descriptor, closed exactly once.
struct Descriptor: ~Copyable, Sendable {
  let number: Int32

  init(_ number: Int32, _ call: String) throws(RigError) {
    guard number >= 0 else { throw .system(call) }
    self.number = number
  }

  /// Creates a file for writing, readable by its owner only.
  init(creating path: String) throws(RigError) {
    try self.init(
      Glibc.creat(path, 0o600), "creating \(path)")
  }

  deinit { close(number) }

  borrowing func write(_ bytes: [UInt8]) throws(RigError) {
    let count = bytes.withUnsafeBytes { Glibc.write(number, $0.baseAddress, $0.count) }
    guard count == bytes.count else { throw .system("write") }
  }

  borrowing func truncate(to size: Int) throws(RigError) {
    guard ftruncate(number, off_t(size)) == 0 else { throw .system("ftruncate") }
  }
}

/// Calls of Unix stream sockets; all sockets are non-blocking and closed in children.
enum UnixSocket {
  private static let flags = Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
  private static let type = Int32(SOCK_STREAM.rawValue) | flags

  private static func make() throws(RigError) -> Descriptor {
    try Descriptor(socket(AF_UNIX, type, 0), "socket")
  }

  /// Two sockets that are connected to each other; the caller owns them.
  static func pair() throws(RigError) -> (Int32, Int32) {
    var numbers: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, type, 0, &numbers) == 0 else { throw .system("socketpair") }
    return (numbers[0], numbers[1])
  }

  /// Takes a waiting connection; it fails at once when there is none.
  static func accept(from listener: borrowing Descriptor) throws(RigError) -> Descriptor {
    try Descriptor(drover_accept(listener.number), "accept4")
  }

  /// One attempt to connect; it fails at once when nobody listens.
  static func connect(to path: String) throws(RigError) -> Descriptor {
    let descriptor = try make()
    guard try address(path).connect(descriptor.number) == 0 else { throw .system("connecting to \(path)") }
    return descriptor
  }

  static func listen(at path: String) throws(RigError) -> Descriptor {
    let descriptor = try make()
    guard try address(path).bind(descriptor.number) == 0 else { throw .system("binding \(path)") }
    guard Glibc.listen(descriptor.number, 16) == 0 else { throw .system("listening on \(path)") }
    return descriptor
  }

  private static func address(_ path: String) throws(RigError) -> UnixAddress {
    if let address = UnixAddress(path) { return address }
    throw RigError(
      .unsuitable, "using the socket \(path)", "the path is longer than \(UnixAddress.longestPath) bytes",
      remedy: "set TMPDIR to a shorter path")
  }
}

/// A connected socket that a thread of its own reads.
final class SocketReader: Sendable {
  private let descriptor: Descriptor

  init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }

  /// Hands over what arrives, in order; nil, once, at the end.
  func start(_ receive: @escaping @Sendable (ArraySlice<UInt8>?) -> Void) throws(RigError) {
    try runOnThread("rig-reader") {
      var buffer = [UInt8](repeating: 0, count: 16384)
      while true {
        let count = buffer.withUnsafeMutableBytes { read(self.descriptor.number, $0.baseAddress, $0.count) }
        if count > 0 {
          receive(buffer[..<count])
        } else if count < 0 && (errno == EAGAIN || errno == EINTR) {
          var waiting = pollfd(fd: self.descriptor.number, events: Int16(POLLIN), revents: 0)
          poll(&waiting, 1, -1)
        } else {
          return receive(nil)
        }
      }
    }
  }

  /// Sends a short message; a peer that has not read for so long that it does not fit is an error.
  func send(_ bytes: [UInt8], _ call: String) throws(RigError) {
    let count = bytes.withUnsafeBytes {
      Glibc.send(descriptor.number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
    guard count == bytes.count else {
      guard errno == EPIPE || errno == ECONNRESET else { throw .system(call) }
      throw RigError(.disconnected, call, "QEMU closed the connection")
    }
  }

  /// Ends the connection; the reading thread then sees the end and lets go of the descriptor.
  func shut() { shutdown(descriptor.number, Int32(SHUT_RDWR)) }
}
