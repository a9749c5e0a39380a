internal import CCurl
internal import Glibc

/// Reads what an easy handle has to tell of its transfer.
struct CurlOutcome {
  let easy: UnsafeMutableRawPointer
  let transfer: Transfer
  /// libcurl's own words on an error; empty without one.
  let errorText: UnsafeMutablePointer<CChar>

  /// The answer or the error of a transfer that ended with `code`.
  func result(_ code: CURLcode) -> Result<Response, CurlError> {
    guard code == CURLE_OK else { return .failure(error(code)) }
    guard transfer.headerComplete else {
      return .failure(
        CurlError(.partialBody, call: plan.call, message: "the connection ended inside the header"))
    }
    var microseconds: curl_off_t = 0
    drover_curl_get_offset(easy, CURLINFO_TOTAL_TIME_T, &microseconds)
    return .success(
      Response(
        status: head.status, headers: head.headers, body: transfer.body, duration: .microseconds(microseconds)
      ))
  }

  /// The latest header.
  var head: BodyPipe.Head {
    var headers = HTTPHeaders()
    var previous: UnsafeMutablePointer<curl_header>?
    while let next = curl_easy_nextheader(easy, UInt32(CURLH_HEADER), -1, previous) {
      headers.append(String(cString: next.pointee.name), String(cString: next.pointee.value))
      previous = next
    }
    return BodyPipe.Head(status: number(CURLINFO_RESPONSE_CODE), headers: headers)
  }

  private var plan: RequestPlan { transfer.job.plan }

  private func error(_ code: CURLcode) -> CurlError {
    if let refusal = transfer.refusal { return refusal }
    let text = String(cString: errorText.pointee == 0 ? curl_easy_strerror(code) : UnsafePointer(errorText))
    let connectStatus = number(CURLINFO_HTTP_CONNECTCODE)
    if code != CURLE_OPERATION_TIMEDOUT, connectStatus != 0, connectStatus / 100 != 2 {
      return CurlError(.proxy, call: plan.call, message: "the proxy answered CONNECT with \(connectStatus)")
    }
    let code = Self.withoutFraming(code, text)
    let errorNumber = code == CURLE_COULDNT_CONNECT ? Int32(number(CURLINFO_OS_ERRNO)) : 0
    return CurlError(
      CurlError.Code(code), call: plan.call,
      message: errorNumber == 0 ? text : connectMessage(errorNumber, text), systemError: errorNumber,
      trustProblem: TrustProblem(code, verifyResult: number(CURLINFO_SSL_VERIFYRESULT), message: text))
  }

  /// What libcurl calls a problem of HTTP/2 framing is as often a connection that the server closed.
  private static func withoutFraming(_ code: CURLcode, _ text: String) -> CURLcode {
    guard code == CURLE_HTTP2 else { return code }
    if text.hasPrefix("Send failure") { return CURLE_SEND_ERROR }
    return text.contains("Recv failure") || text.contains("SSL_read") ? CURLE_RECV_ERROR : code
  }

  /// libcurl's text says who did not answer, but of a Unix socket it names a host that nobody connected to.
  private func connectMessage(_ errorNumber: Int32, _ text: String) -> String {
    let cause = String(cString: strerror(errorNumber))
    return switch plan.proxy {
    case .none: "connect: \(cause)"
    case .environment, .environmentAlways: "connect: \(cause) (\(text))"
    case .address(let proxy): "connect to the proxy \(proxy.url): \(cause)"
    }
  }

  private func number(_ info: CURLINFO) -> Int {
    var value = 0
    drover_curl_get_long(easy, info, &value)
    return value
  }
}
