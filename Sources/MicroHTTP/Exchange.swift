internal import CLinux
internal import CMicroHTTP
internal import Glibc

/// One request and its response, until that is sent; used by one libmicrohttpd thread.
final class Exchange {
  private enum Phase { case new, receiving, answering }

  /// How much of a body that is too large is read before the connection is closed without an answer: a client
  /// that is still sending would not see the answer.
  private static let discardedBodies = 8

  private let target: [UInt8]
  private let targetEnd: UnsafePointer<CChar>
  private let context: ListenerContext
  private var phase = Phase.new
  private var body: [UInt8] = []
  private var received = 0
  private var isTooLarge = false
  private var isMalformed = false
  private var holdsSlot = false
  private var reply: DeferredReply?

  init(target: UnsafePointer<CChar>, _ context: ListenerContext) {
    let bytes = UnsafeRawBufferPointer(start: target, count: strlen(target))
    self.target = Array(bytes)
    targetEnd = target + bytes.count
    self.context = context
  }

  private var core: ServerCore { context.core }

  /// Called when the headers are there, for each part of the body, at its end, and when a task has answered.
  func proceed(
    _ connection: OpaquePointer, method: UnsafePointer<CChar>, version: UnsafePointer<CChar>?,
    data: UnsafePointer<CChar>?, size: UnsafeMutablePointer<Int>
  ) -> MHD_Result {
    switch phase {
    case .new:
      phase = .receiving
      return begin(connection, version: version)
    case .receiving where size.pointee > 0:
      defer { size.pointee = 0 }
      return receive(UnsafeRawBufferPointer(start: data, count: size.pointee))
    case .receiving:
      phase = .answering
      core.handling(ConnectionID(bitPattern: connection))
      return answer(connection, Method(rawValue: String(cString: method)))
    case .answering:
      guard let response = reply?.take() else { return .YES }
      return send(response, connection)
    }
  }

  func completed(_ connection: OpaquePointer) {
    core.completed(ConnectionID(bitPattern: connection))
    if holdsSlot { context.releaseSlot() }
  }

  private func begin(_ connection: OpaquePointer, version: UnsafePointer<CChar>?) -> MHD_Result {
    if let version {
      // One byte lies between target and version, unless a NUL in the target has cut it short.
      let gap = version - targetEnd
      isMalformed = gap > 1 && gap < max(1024, core.limits.headerBytes)
    }
    guard let length = header("Content-Length", connection).flatMap(UInt64.init) else { return .YES }
    isTooLarge = length > UInt64(max(0, core.limits.bodyBytes))
    // Asked before it sends, or sending for too long: it is told now.
    guard isTooLarge, header("Expect", connection) != nil || length > UInt64(discardLimit) else {
      return .YES
    }
    phase = .answering
    return send(tooLarge, connection)
  }

  private func receive(_ part: UnsafeRawBufferPointer) -> MHD_Result {
    received += part.count
    isTooLarge = isTooLarge || received > core.limits.bodyBytes
    if isTooLarge {
      body = []
      return received > discardLimit ? .NO : .YES
    }
    body.append(contentsOf: part)
    return .YES
  }

  private func answer(_ connection: OpaquePointer, _ method: Method) -> MHD_Result {
    if isMalformed {
      return send(.problem(status: 400, detail: "there is a NUL in the request line"), connection)
    }
    if isTooLarge { return send(tooLarge, connection) }
    guard let peer = peer(of: connection) else { return .NO }
    var request = Request(
      method, target: target, headers: headers(of: connection), body: body, peer: peer,
      certificate: certificate(of: connection))
    body = []
    let (handler, isLimited) = core.router.handler(for: &request)
    if isLimited {
      guard context.takeSlot() else { return send(busy, connection) }
      holdsSlot = true
    }
    switch handler {
    case .immediate(let handler): return send(handler(request), connection)
    case .deferred(let handler):
      let reply = DeferredReply()
      self.reply = reply
      let job = DeferredJob(request: request, handler: handler, reply: reply, core: core)
      return core.suspend(ConnectionID(bitPattern: connection), for: job) ? .YES : send(.stopping, connection)
    }
  }

  private func certificate(of connection: OpaquePointer) -> PeerCertificate? {
    guard context.tls != nil, let tls = drover_mhd_socket_context(connection) else { return nil }
    return TLSConnection.from(tls).certificate
  }

  private func send(_ response: Response, _ connection: OpaquePointer) -> MHD_Result {
    core.sending(ConnectionID(bitPattern: connection))
    var response = response
    if !context.isUnix, let gate = core.router.gate {
      for field in gate.fields() where response.headers[field.name] == nil {
        response.headers.add(field.name, field.value)
      }
    }
    return response.queue(on: connection, log: core.log)
  }

  private var discardLimit: Int {
    min(max(0, core.limits.bodyBytes), Int.max / Self.discardedBodies) * Self.discardedBodies
  }

  private var tooLarge: Response {
    .problem(
      status: 413, detail: "the body is larger than \(core.limits.bodyBytes) bytes",
      headers: ["Connection": "close"])
  }

  private var busy: Response {
    .problem(
      status: 503, detail: "\(core.limits.maxRequests) requests are in flight, which is the limit",
      headers: ["Retry-After": "1"])
  }

  private func header(_ name: String, _ connection: OpaquePointer) -> String? {
    MHD_lookup_connection_value(connection, .HEADER_KIND, name).map { String(cString: $0) }
  }

  private func headers(of connection: OpaquePointer) -> Headers {
    var headers = Headers()
    _ = withUnsafeMutablePointer(to: &headers) { headers in
      MHD_get_connection_values(
        connection, .HEADER_KIND,
        { headers, _, name, value in
          guard let headers, let name else { return .YES }
          headers.assumingMemoryBound(to: Headers.self).pointee
            .add(String(cString: name), value.map { String(cString: $0) } ?? "")
          return .YES
        }, headers)
    }
    return headers
  }

  private func peer(of connection: OpaquePointer) -> Peer? {
    if context.isUnix {
      var peer = drover_peer()
      var length = socklen_t(MemoryLayout<drover_peer>.size)
      guard getsockopt(drover_mhd_socket(connection), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 else {
        return nil
      }
      return .unix(uid: peer.uid, gid: peer.gid, pid: peer.pid)
    }
    return drover_mhd_client(connection).flatMap(Self.text).map { .tcp(address: $0) }
  }

  private static func text(_ address: UnsafePointer<sockaddr>) -> String? {
    let isV6 = Int32(address.pointee.sa_family) == AF_INET6
    let length = isV6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(NI_MAXHOST)) { buffer in
      guard let start = buffer.baseAddress,
        getnameinfo(address, socklen_t(length), start, socklen_t(buffer.count), nil, 0, NI_NUMERICHOST) == 0
      else { return nil }
      let text = String(cString: start)
      return text.hasPrefix("::ffff:") && text.contains(".") ? String(text.dropFirst("::ffff:".count)) : text
    }
  }
}
