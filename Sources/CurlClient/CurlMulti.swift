internal import CCurl
internal import Glibc

/// libcurl's multi handle and the easy handles in it: all of them, and nowhere else.
///
/// Belongs to the client's thread.
final class CurlMulti {
  /// The one thing another thread may do to a multi handle, valid until the handle is freed.
  struct Waker: Sendable {
    /// An address and not a pointer, because nothing but `curl_multi_wakeup` may be called with it.
    private let address: UInt

    fileprivate init(_ multi: UnsafeMutableRawPointer) { address = UInt(bitPattern: multi) }

    func wake() { curl_multi_wakeup(UnsafeMutableRawPointer(bitPattern: address)) }
  }

  /// A transfer that ended by itself.
  struct Completion {
    let transfer: Transfer
    let outcome: Result<Response, CurlError>
  }

  /// What an easy handle needs for as long as it lives.
  private struct Easy {
    let transfer: Transfer
    let headers: UnsafeMutablePointer<curl_slist>?
    let connectTo: UnsafeMutablePointer<curl_slist>?
    let errorText: UnsafeMutablePointer<CChar>

    func outcome(_ handle: UnsafeMutableRawPointer) -> CurlOutcome {
      CurlOutcome(easy: handle, transfer: transfer, errorText: errorText)
    }
  }

  /// libcurl counts its initialisations; one is enough for the process, and a static runs once.
  private static let initialised = curl_global_init(Int(CURL_GLOBAL_DEFAULT))

  private let multi: UnsafeMutableRawPointer
  private var easies: [UnsafeMutableRawPointer: Easy] = [:]

  init(idleConnections: Int) throws(CurlError) {
    guard Self.initialised == CURLE_OK else {
      throw CurlError(
        .unusable, call: "curl_global_init", message: String(cString: curl_easy_strerror(Self.initialised)))
    }
    guard let multi = curl_multi_init() else {
      throw CurlError(.unusable, call: "curl_multi_init", message: "out of memory or file descriptors")
    }
    self.multi = multi
    // A handle made for want of file descriptors without its wake-up sockets would never hear of a request.
    try Self.check(curl_multi_wakeup(multi), "curl_multi_wakeup")
    try Self.check(
      drover_curl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, max(1, idleConnections)), "curl_multi_setopt")
  }

  deinit {
    removeAll()
    curl_multi_cleanup(multi)
  }

  var waker: Waker { Waker(multi) }

  /// Starts a transfer with the next `perform`.
  func add(_ transfer: Transfer) throws(CurlError) {
    let plan = transfer.job.plan
    guard let handle = curl_easy_init() else {
      throw CurlError(.unusable, call: plan.call, message: "curl_easy_init: out of memory")
    }
    let errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
    errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    let easy = Easy(
      transfer: transfer, headers: Self.list(plan.headerLines),
      connectTo: Self.list(plan.connectTo.map { [$0] } ?? []), errorText: errorText)
    do {
      try CurlOptions(easy: handle, call: plan.call)
        .apply(
          plan, headers: easy.headers, connectTo: easy.connectTo, errorText: errorText, sink: transfer)
      try Self.check(curl_multi_add_handle(multi, handle), "curl_multi_add_handle")
    } catch {
      Self.free(handle, easy)
      throw error
    }
    easies[handle] = easy
  }

  /// Ends a transfer at once; its connection is closed, or its HTTP/2 stream reset.
  func remove(id: UInt64) -> Transfer? { handle(id).flatMap(remove) }

  /// Lets a paused transfer go on; nil where it is gone or can, else the transfer that had to end.
  func resume(id: UInt64) -> Completion? {
    guard let handle = handle(id), let easy = easies[handle], easy.transfer.isPaused else { return nil }
    easy.transfer.resume()
    // Hands over at once what libcurl kept.
    let code = curl_easy_pause(handle, Int32(CURLPAUSE_CONT))
    guard code != CURLE_OK else { return nil }
    defer { remove(handle) }
    return Completion(transfer: easy.transfer, outcome: easy.outcome(handle).result(code))
  }

  /// Ends the transfers whose server has been silent for too long.
  func removeSilent(at now: ContinuousClock.Instant) -> [Transfer] {
    easies.filter { $0.value.transfer.silence.end.map { $0 <= now } ?? false }.keys.compactMap(remove)
  }

  /// Ends all transfers at once.
  @discardableResult
  func removeAll() -> [Transfer] { Array(easies.keys).compactMap(remove) }

  /// Does what can be done without waiting.
  func perform() throws(CurlError) -> [Completion] {
    var running: Int32 = 0
    try Self.check(curl_multi_perform(multi, &running), "curl_multi_perform")
    for (handle, easy) in easies { easy.transfer.handOverHeader(easy.outcome(handle).head) }
    var completions: [Completion] = []
    var queued: Int32 = 0
    while let message = curl_multi_info_read(multi, &queued)?.pointee {
      guard message.msg == CURLMSG_DONE, let handle = message.easy_handle, let easy = easies[handle] else {
        continue
      }
      let outcome = easy.outcome(handle).result(message.data.result)
      remove(handle)
      completions.append(Completion(transfer: easy.transfer, outcome: outcome))
    }
    return completions
  }

  /// Waits for a socket, a timer, the waker or the end of a silence.
  func wait() throws(CurlError) {
    // The limit is only a bound: libcurl's own timers end the wait earlier.
    var limit = Duration.seconds(60)
    if let end = easies.values.lazy.compactMap(\.transfer.silence.end).min() {
      limit = min(limit, ContinuousClock.now.duration(to: end))
    }
    try Self.check(curl_multi_poll(multi, nil, 0, Int32(limit.curlMilliseconds), nil), "curl_multi_poll")
  }

  private func handle(_ id: UInt64) -> UnsafeMutableRawPointer? {
    easies.first { $0.value.transfer.job.id == id }?.key
  }

  @discardableResult
  private func remove(_ handle: UnsafeMutableRawPointer) -> Transfer? {
    guard let easy = easies.removeValue(forKey: handle) else { return nil }
    curl_multi_remove_handle(multi, handle)
    Self.free(handle, easy)
    return easy.transfer
  }

  private static func free(_ handle: UnsafeMutableRawPointer, _ easy: Easy) {
    curl_easy_cleanup(handle)
    curl_slist_free_all(easy.headers)
    curl_slist_free_all(easy.connectTo)
    easy.errorText.deallocate()
  }

  private static func list(_ lines: [String]) -> UnsafeMutablePointer<curl_slist>? {
    var list: UnsafeMutablePointer<curl_slist>?
    for line in lines { list = curl_slist_append(list, line) ?? list }
    return list
  }

  private static func check(_ code: CURLMcode, _ call: String) throws(CurlError) {
    guard code == CURLM_OK else {
      throw CurlError(.unusable, call: call, message: String(cString: curl_multi_strerror(code)))
    }
  }
}
