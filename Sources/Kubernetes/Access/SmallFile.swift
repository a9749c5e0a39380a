internal import Glibc

/// Files that are read whole: configuration, tokens, certificates.
enum SmallFile {
  struct Failure: Error {
    let number: Int32

    /// Whether the file, or a directory on its path, is not there.
    var isAbsence: Bool { number == ENOENT || number == ENOTDIR }
    var text: String {
      let cause = String(cString: strerror(number))
      return switch number {
      case ENOENT, ENOTDIR: "\(cause): check the path"
      case EACCES, EPERM: "\(cause): let this user read it"
      case EFBIG: "it has more than \(SmallFile.most) bytes: check the path"
      default: cause
      }
    }
  }

  /// Far more than any such file has.
  static let most = 4 << 20

  static func read(_ path: String) throws(Failure) -> [UInt8] {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw Failure(number: errno) }
    defer { close(file) }
    var bytes: [UInt8] = []
    while true {
      let piece = 64 << 10
      var count = 0
      var number: Int32 = 0
      bytes += [UInt8](unsafeUninitializedCapacity: piece) { buffer, initialised in
        repeat {
          count = Glibc.read(file, buffer.baseAddress, piece)
          number = errno
        } while count < 0 && number == EINTR
        initialised = max(0, count)
      }
      guard count >= 0 else { throw Failure(number: number) }
      guard count > 0 else { return bytes }
      guard bytes.count <= most else { throw Failure(number: EFBIG) }
    }
  }
}
