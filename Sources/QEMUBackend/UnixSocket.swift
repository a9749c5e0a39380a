internal import CLinux
internal import Glibc
internal import Posix

/// A descriptor that is closed with its owner.
final class Descriptor {
  let number: Int32

  init(_ number: Int32) { self.number = number }

  deinit { close(number) }
}

/// Non-blocking calls on Unix stream sockets.
enum UnixSocket {
  /// Connects at once or not at all: on Unix sockets there is no "in progress".
  static func connect(to path: String) -> Result<Descriptor, QMPClosing> {
    guard let address = UnixAddress(path) else {
      return .failure(.failed("the path is longer than a Unix socket's \(UnixAddress.longestPath) bytes"))
    }
    let number = socket(
      AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    guard number >= 0 else { return .failure(.failed("socket: \(text(of: errno))")) }
    let descriptor = Descriptor(number)
    guard address.connect(number) != 0 else { return .success(descriptor) }
    switch errno {
    case ECONNREFUSED: return .failure(.refused)
    case ENOENT, ENOTDIR: return .failure(.missing)
    case EACCES, EPERM: return .failure(.permission)
    case EAGAIN:
      return .failure(.failed("other clients wait for the socket already, which serves one at a time"))
    case let code: return .failure(.failed("connect: \(text(of: code))"))
    }
  }
}

/// The C library's words for an error number.
func text(of code: Int32) -> String {
  var buffer = [CChar](repeating: 0, count: 128)
  guard strerror_r(code, &buffer, buffer.count) == 0 else { return "error \(code)" }
  return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Cuts a stream of bytes into lines and keeps no more than one unfinished line.
struct LineBuffer {
  private var rest: [UInt8] = []
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  /// Bytes kept for the line that is not complete yet.
  var kept: Int { rest.count }

  /// The lines that are complete with these bytes, without line ends and empty ones; false where one is too long.
  mutating func take(_ bytes: UnsafeRawBufferPointer, each: ([UInt8]) -> Bool) -> Bool {
    var start = 0
    while let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
      guard rest.count + end - start <= limit else { return false }
      var line = rest
      line.append(contentsOf: bytes[start..<end])
      if !rest.isEmpty { rest = [] }
      start = end + 1
      if line.last == UInt8(ascii: "\r") { line.removeLast() }
      if !line.isEmpty, !each(line) { return true }
    }
    guard rest.count + bytes.count - start <= limit else { return false }
    rest.append(contentsOf: bytes[start...])
    return true
  }
}
