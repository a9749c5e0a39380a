import ArgumentParser
import DroverService
import Glibc

/// An error whose text is all there is to say; the exit code is 1.
struct Failure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

enum OutputFormat: String, CaseIterable, ExpressibleByArgument {
  case table, json
}

func printJSON(_ value: some Encodable) throws {
  var bytes = try APICoding.encode(value)
  bytes.append(UInt8(ascii: "\n"))
  try write(bytes)
}

func write(_ text: String) throws { try write(Array(text.utf8)) }

/// Writes to standard output, or to standard error, at once, without a buffer.
///
/// A reader that has gone away, as `head` does, ends the command without a word.
func write(_ bytes: [UInt8], to descriptor: Int32 = STDOUT_FILENO) throws {
  var rest = bytes[...]
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    if count < 0 {
      switch errno {
      case EINTR: continue
      case EPIPE, EIO: throw ExitCode(128 + SIGPIPE)
      case let code: throw Failure("the output cannot be written: \(String(cString: strerror(code)))")
      }
    }
    rest = rest.dropFirst(count)
  }
}
