internal import CurlClient

/// What a server answered, with any status.
struct RawAnswer: Sendable {
  /// The status.
  var status: Int
  /// The header fields.
  var headers: HTTPHeaders
  /// The server's clock, milliseconds since 1970, where somebody has read it already; else `headers` tell it.
  var serverTime: Int64?
  /// The decoded body.
  var body: [UInt8]
}

/// What is common to answers in HTTP.
enum HandlerAnswer {
  /// The longest answer that is read, in decoded bytes: hundreds of guests make a few of these.
  static let longestBody = 64 << 20
  /// How long a question may take; virt-handler itself gives up on its guests after 10 s.
  static let deadline = Duration.seconds(12)

  /// The server's clock; ours where it tells none.
  static func serverTime(_ date: String?) -> Int64 {
    date.flatMap(HTTPDate.unixMilliseconds) ?? WallClock.unixMilliseconds
  }

  /// Reads what virt-handler answered.
  static func reading(_ answer: RawAnswer, call: String) throws(HandlerError) -> HandlerReading {
    if let error = HandlerError(
      status: answer.status, retryAfter: answer.headers["Retry-After"],
      said: String(decoding: answer.body.prefix(1024), as: UTF8.self), call: call)
    {
      throw error
    }
    // Errors of something in between come as HTML, with a status of success.
    let type = answer.headers["Content-Type"] ?? "text/plain"
    guard type.lowercased().hasPrefix("text/plain") else {
      throw HandlerError(
        .garbled, call: call, message: "answered with \(type.oneLine), not with metrics",
        remedy: "check which server answers at this address")
    }
    return HandlerReading(
      text: answer.body.span, serverTime: answer.serverTime ?? serverTime(answer.headers["Date"]))
  }
}
