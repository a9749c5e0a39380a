internal import CMicroHTTP
public import KeptBytes

/// An answer to a request.
///
/// `Content-Length`, `Date` and `Connection` are the server's. A response to `HEAD`, and one with status 304,
/// says the `Content-Length` of its body without sending it; 204 has neither.
public struct Response: Sendable {
  /// What follows the headers.
  public enum Body: Sendable {
    /// Bytes that are copied once.
    case bytes([UInt8])
    /// Kept buffers that are sent as they lie, one after another.
    case segments([ByteSlice])
  }

  /// The status code, 200 to 599.
  public var status: Int
  /// The header fields; one with a line break in it is left out and logged.
  public var headers: Headers
  /// What follows the headers.
  public var body: Body

  /// Makes a response.
  public init(status: Int = 200, headers: Headers = Headers(), body: Body = .bytes([])) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// Makes a response of a text.
  public static func text(
    _ text: String, status: Int = 200, contentType: String = "text/plain; charset=utf-8"
  ) -> Response {
    Response(status: status, headers: ["Content-Type": contentType], body: .bytes(Array(text.utf8)))
  }

  /// Makes an error as JSON problem details (RFC 9457).
  ///
  /// - Parameter reasons: The same for programs, each a word of a closed list; left out where there is none.
  public static func problem(
    status: Int, detail: String, reasons: [String] = [], headers: Headers = Headers()
  ) -> Response {
    let title = reason(of: status)
    let words = reasons.isEmpty ? "" : ",\"reasons\":[\(reasons.map(quoted).joined(separator: ","))]"
    let json = """
      {"type":"about:blank","title":\(quoted(title)),"status":\(status),"detail":\(quoted(detail))\(words)}

      """
    var headers = headers
    headers["Content-Type"] = "application/problem+json"
    return Response(status: status, headers: headers, body: .bytes(Array(json.utf8)))
  }

  /// Makes the 406 that says which media types there are.
  public static func notAcceptable(offered: [String]) -> Response {
    problem(
      status: 406,
      detail: "none of the accepted media types is offered; offered: \(offered.joined(separator: ", "))")
  }

  /// The status in words.
  public static func reason(of status: Int) -> String {
    guard let phrase = MHD_get_reason_phrase_for(UInt32(clamping: status)) else { return "Unknown" }
    return String(cString: phrase)
  }

  private static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": quoted += "\\\(scalar)"
      case "\u{0}"..<" ":
        let hex = String(scalar.value, radix: 16)
        quoted += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }
}
