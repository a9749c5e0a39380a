/// A body that is no JSON of the expected shape, or holds a part that is too large.
public struct JSONScanError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Where, in bytes from the start of the body.
  public let offset: Int
  /// What is wrong there.
  public let problem: String

  init(_ problem: String, at offset: Int) {
    self.offset = offset
    self.problem = problem
  }

  /// What is wrong, and where.
  public var description: String { "\(problem) at byte \(offset)" }
}

extension UInt8 {
  /// The four bytes that JSON takes for white space.
  var isJSONSpace: Bool { self == 0x20 || self == 0x0A || self == 0x0D || self == 0x09 }

  /// The byte as text, for an error.
  var shown: String {
    (0x21...0x7E).contains(self)
      ? "'\(Character(Unicode.Scalar(self)))'" : "0x" + String(self, radix: 16, uppercase: true)
  }
}
