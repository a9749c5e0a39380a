internal import CCurl
internal import Glibc

/// Writes a plan into an easy handle that `CurlMulti` owns.
struct CurlOptions {
  let easy: UnsafeMutableRawPointer
  let call: String

  func apply(
    _ plan: RequestPlan, headers: UnsafeMutablePointer<curl_slist>?,
    connectTo: UnsafeMutablePointer<curl_slist>?, errorText: UnsafeMutablePointer<CChar>,
    sink: Transfer
  ) throws(CurlError) {
    try set(CURLOPT_ERRORBUFFER, errorText)
    try set(CURLOPT_NOSIGNAL, 1)
    // Without it, ending a transfer whose name is still being resolved blocks all others until getaddrinfo returns.
    try set(CURLOPT_QUICK_EXIT, 1)
    try set(CURLOPT_PROTOCOLS_STR, "http,https")
    try set(CURLOPT_URL, plan.url)
    // A field of the request's own comes instead.
    try set(CURLOPT_USERAGENT, "drover")
    // The server sees the path that was checked, "/../" included.
    try set(CURLOPT_PATH_AS_IS, 1)
    if let socketPath = plan.socketPath { try set(CURLOPT_UNIX_SOCKET_PATH, socketPath) }
    if let connectTo { try set(CURLOPT_CONNECT_TO, connectTo) }
    try apply(plan.proxy)
    // Only what TLS negotiates: over plain TCP it would be an upgrade that nobody answers.
    try set(CURLOPT_HTTP_VERSION, plan.allowsHTTP2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1)
    if let tls = plan.tls { try apply(tls) }
    if plan.needsFreshConnection { try set(CURLOPT_FRESH_CONNECT, 1) }
    if plan.acceptsGzip { try set(CURLOPT_ACCEPT_ENCODING, "gzip") }
    // libcurl leaves its sockets open in child processes, where they would outlive a cancelled transfer.
    try check(
      drover_curl_set_open_socket(easy) { _, _, address in
        guard let address = address?.pointee else { return CURL_SOCKET_BAD }
        let fd = socket(
          address.family, address.socktype | Int32(SOCK_CLOEXEC.rawValue), address.protocol)
        if address.family != AF_UNIX { CurlOptions.noticeDeath(fd) }
        return fd
      }, CURLOPT_OPENSOCKETFUNCTION)
    try set(CURLOPT_TCP_KEEPALIVE, 1)
    try set(CURLOPT_TCP_KEEPIDLE, 20)
    try set(CURLOPT_TCP_KEEPINTVL, 10)
    try set(CURLOPT_CONNECTTIMEOUT_MS, plan.connectMilliseconds)
    try set(CURLOPT_TIMEOUT_MS, plan.totalMilliseconds)
    try set(CURLOPT_HTTPHEADER, headers)
    try apply(mode: plan.mode, method: plan.method, body: plan.body)

    let context = Unmanaged.passUnretained(sink).toOpaque()
    try set(CURLOPT_HEADERDATA, context)
    try check(
      drover_curl_set_callback(easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
        CurlOptions.pass(bytes, size * count, context) { $0.receive(header: $1) ? .taken : .refused }
      }, CURLOPT_HEADERFUNCTION)
    try set(CURLOPT_WRITEDATA, context)
    try check(
      drover_curl_set_callback(easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
        CurlOptions.pass(bytes, size * count, context) { $0.receive(body: $1) }
      }, CURLOPT_WRITEFUNCTION)
    try set(CURLOPT_PREREQDATA, context)
    try check(
      drover_curl_set_before_request(easy) { context, _, _, _, _ in
        if let context { Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue().begin() }
        return CURL_PREREQFUNC_OK
      }, CURLOPT_PREREQFUNCTION)
  }

  /// Ends a connection whose other end is gone without a word: an HTTP/2 connection outlives the deadlines of its
  /// requests, and would take the next ones for as long as TCP repeats what it sent, a quarter of an hour.
  private static func noticeDeath(_ fd: Int32) {
    var milliseconds: UInt32 = 10_000
    setsockopt(
      fd, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &milliseconds, socklen_t(MemoryLayout<UInt32>.size))
  }

  private func apply(_ proxy: RequestPlan.Proxy) throws(CurlError) {
    switch proxy {
    case .environment: break
    case .environmentAlways: try set(CURLOPT_NOPROXY, "")
    case .none: try set(CURLOPT_PROXY, "")
    case .address(let address):
      try set(CURLOPT_PROXY, address.url)
      // Else the environment's no_proxy would overrule what was asked for.
      try set(CURLOPT_NOPROXY, "")
      if let user = address.user { try set(CURLOPT_PROXYUSERNAME, user) }
      if let password = address.password { try set(CURLOPT_PROXYPASSWORD, password) }
    }
    // The proxy's own header is no part of the answer.
    try set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
  }

  private func apply(_ tls: TLSOptions) throws(CurlError) {
    switch tls.authorities {
    case .system: break
    case .file(let path):
      try set(CURLOPT_CAINFO, path)
      // libcurl would keep what it read for a day, by the file's name.
      try set(CURLOPT_CA_CACHE_TIMEOUT, 0)
    case .pem(let bytes): try set(CURLOPT_CAINFO_BLOB, bytes)
    }
    // Else the system's directory of authorities would be trusted beside those given.
    if tls.authorities != .system { try set(CURLOPT_CAPATH, nil) }
    try set(CURLOPT_SSL_VERIFYPEER, tls.verifiesPeer ? 1 : 0)
    try set(CURLOPT_SSL_VERIFYHOST, tls.verifiesHost ? 2 : 0)
    if let certificate = tls.clientCertificate {
      try set(certificate, file: CURLOPT_SSLCERT, blob: CURLOPT_SSLCERT_BLOB)
      if let key = tls.clientKey { try set(key, file: CURLOPT_SSLKEY, blob: CURLOPT_SSLKEY_BLOB) }
      // Without one OpenSSL would ask the terminal for the passphrase of an encrypted key, and wait.
      try set(CURLOPT_KEYPASSWD, "")
    }
  }

  private func set(_ source: PEMSource, file: CURLoption, blob: CURLoption) throws(CurlError) {
    switch source {
    case .file(let path): try set(file, path)
    case .pem(let bytes): try set(blob, bytes)
    }
  }

  private func set(_ option: CURLoption, _ bytes: [UInt8]) throws(CurlError) {
    try check(
      bytes.withUnsafeBytes { drover_curl_set_blob(easy, option, $0.baseAddress, $0.count) }, option)
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

  /// Hands bytes to the transfer.
  private static func pass(
    _ bytes: UnsafeMutablePointer<CChar>?, _ count: Int, _ context: UnsafeMutableRawPointer?,
    to receive: (Transfer, UnsafeRawBufferPointer) -> Transfer.Reception
  ) -> Int {
    guard let context else { return 0 }
    let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
    return switch receive(transfer, UnsafeRawBufferPointer(start: bytes, count: count)) {
    case .taken: count
    // Not 0, which would be success for an empty piece.
    case .refused: Int(CURL_WRITEFUNC_ERROR)
    case .paused: Int(CURL_WRITEFUNC_PAUSE)
    }
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
