internal import Synchronization

/// The tokens that are in files, re-read when those change.
///
/// Only digests are kept, and no token is ever said.
final class TokenFiles: Sendable {
  /// What is said of a file.
  enum Finding: Hashable, Sendable {
    /// Its token is worth nothing.
    case error(String)
    /// Its token counts, but something is odd.
    case warning(String)
  }

  private struct Token {
    var stamp: FileStamp?
    var digest: [UInt8]?
  }

  /// Most bytes that a token file may have.
  static let largest = 16 << 10

  private let digest = SecretDigest()
  private let report: @Sendable (Finding) -> Void
  private let tokens = Mutex<[String: Token]>([:])

  /// - Parameter report: takes what is odd with a file, once for each time that it changes.
  init(report: @escaping @Sendable (Finding) -> Void) { self.report = report }

  /// Keeps the tokens of these files, and of no others.
  func follow(_ files: some Sequence<String>) {
    tokens.withLock { tokens in
      let old = tokens
      tokens = [:]
      for file in files where tokens[file] == nil { tokens[file] = old[file] ?? read(file) }
    }
  }

  /// The files that hold a token; all are compared, however many fit.
  func files(with token: String) -> [String] {
    guard let shown = digest(Array(token.utf8)), !token.isEmpty else { return [] }
    return tokens.withLock { tokens in
      var found: [String] = []
      for (file, kept) in tokens {
        var kept = kept
        if FileStamp(file) != kept.stamp {
          kept = read(file)
          tokens[file] = kept
        }
        if let digest = kept.digest, isSameInConstantTime(digest, shown) { found.append(file) }
      }
      return found.sorted()
    }
  }

  private func read(_ file: String) -> Token {
    // Before the file: one that changes meanwhile is read again.
    let stamp = FileStamp(file)
    let bytes: [UInt8]
    do {
      bytes = try contents(of: file, limit: Self.largest)
    } catch {
      report(.error("the token file \(error); its token is worth nothing until it can be read"))
      return Token(stamp: stamp, digest: nil)
    }
    // Editors end a file with a line end.
    let token = bytes.reversed().drop { $0 <= 0x20 }.reversed().drop { $0 <= 0x20 }
    guard !token.isEmpty, token.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
      let cause = token.isEmpty ? "is empty" : "holds more than one word of printable ASCII"
      report(.error("the token file \(file): \(cause); write one token into it"))
      return Token(stamp: stamp, digest: nil)
    }
    if stamp?.isWorldReadable == true {
      report(.warning("the token file \(file): everybody on this machine can read it; chmod 640 \(file)"))
    }
    return Token(stamp: stamp, digest: digest(Array(token)))
  }
}
