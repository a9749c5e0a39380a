internal import CCurl
internal import Glibc

/// Writes a plan into an easy handle that `CurlMulti` owns.
struct CurlOptions {
  let easy: UnsafeMutableRawPointer
  let call: String

  func apply(
    _ plan: RequestPlan, headers: UnsafeMutablePointer<curl_slist>?, errorText: UnsafeMutablePointer<CChar>,
    sink: Transfer
  ) throws(CurlError) {
    try set(CURLOPT_ERRORBUFFER, errorText)
    try set(CURLOPT_NOSIGNAL, 1)
    // Without it, ending a transfer whose name is still being resolved blocks all others until getaddrinfo returns.
    try set(CURLOPT_QUICK_EXIT, 1)
    try set(CURLOPT_PROTOCOLS_STR, "http,https")
    try set(CURLOPT_URL, plan.url)
    // The server sees the path that was checked, "/../" included.
    try set(CURLOPT_PATH_AS_IS, 1)
    if let socketPath = plan.socketPath { try set(CURLOPT_UNIX_SOCKET_PATH, socketPath) }
    if plan.ignoresProxy { try set(CURLOPT_PROXY, "") }
    if plan.needsFreshConnection { try set(CURLOPT_FRESH_CONNECT, 1) }
    if plan.acceptsGzip { try set(CURLOPT_ACCEPT_ENCODING, "gzip") }
    // libcurl leaves its sockets open in child processes, where they would outlive a cancelled transfer.
    try check(
      drover_curl_set_open_socket(easy) { _, _, address in
        guard let address = address?.pointee else { return CURL_SOCKET_BAD }
        return socket(
          address.family, address.socktype | Int32(SOCK_CLOEXEC.rawValue), address.protocol)
      }, CURLOPT_OPENSOCKETFUNCTION)
    try set(CURLOPT_CONNECTTIMEOUT_MS, plan.connectMilliseconds)
    try set(CURLOPT_TIMEOUT_MS, plan.totalMilliseconds)
    try set(CURLOPT_HTTPHEADER, headers)
    try apply(mode: plan.mode, method: plan.method, body: plan.body)

    let context = Unmanaged.passUnretained(sink).toOpaque()
    try set(CURLOPT_HEADERDATA, context)
    try check(
      drover_curl_set_callback(easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
        CurlOptions.pass(bytes, size * count, context) { $0.receive(header: $1) }
      }, CURLOPT_HEADERFUNCTION)
    try set(CURLOPT_WRITEDATA, context)
    try check(
      drover_curl_set_callback(easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
        CurlOptions.pass(bytes, size * count, context) { $0.receive(body: $1) }
      }, CURLOPT_WRITEFUNCTION)
  }

  private func apply(mode: RequestPlan.Mode, method: String, body: [UInt8]) throws(CurlError) {
    switch mode {
    case .head: try set(CURLOPT_NOBODY, 1)
    case .noRequestBody: try set(CURLOPT_CUSTOMREQUEST, method)
    case .requestBody:
      // The size comes first: libcurl copies that many bytes.
      try check(
        drover_curl_set_offset(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(body.count)),
        CURLOPT_POSTFIELDSIZE_LARGE)
      try check(
        body.withUnsafeBytes { bytes in
          bytes.isEmpty
            ? drover_curl_set_string(easy, CURLOPT_COPYPOSTFIELDS, "")
            : drover_curl_set_string(
              easy, CURLOPT_COPYPOSTFIELDS, bytes.assumingMemoryBound(to: CChar.self).baseAddress)
        }, CURLOPT_COPYPOSTFIELDS)
      try set(CURLOPT_CUSTOMREQUEST, method)
    }
  }

  /// Hands bytes to the transfer; any number but theirs makes libcurl end it.
  private static func pass(
    _ bytes: UnsafeMutablePointer<CChar>?, _ count: Int, _ context: UnsafeMutableRawPointer?,
    to receive: (Transfer, UnsafeRawBufferPointer) -> Bool
  ) -> Int {
    guard let context else { return 0 }
    let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
    // Not 0, which would be success for an empty piece.
    return receive(transfer, UnsafeRawBufferPointer(start: bytes, count: count))
      ? count : Int(CURL_WRITEFUNC_ERROR)
  }

  private func set(_ option: CURLoption, _ value: Int) throws(CurlError) {
    try check(drover_curl_set_long(easy, option, value), option)
  }

  private func set(_ option: CURLoption, _ value: String) throws(CurlError) {
    try check(drover_curl_set_string(easy, option, value), option)
  }

  private func set(_ option: CURLoption, _ value: UnsafeMutableRawPointer?) throws(CurlError) {
    try check(drover_curl_set_pointer(easy, option, value), option)
  }

  private func check(_ code: CURLcode, _ option: CURLoption) throws(CurlError) {
    guard code == CURLE_OK else {
      let name =
        curl_easy_option_by_id(option).map { String(cString: $0.pointee.name) } ?? "\(option.rawValue)"
      throw CurlError(
        CurlError.Code(code), call: call,
        message: "curl_easy_setopt(\(name)): \(String(cString: curl_easy_strerror(code)))")
    }
  }
}
