/// What one request has received so far.
///
/// libcurl's callbacks write here; only the client's thread touches it.
final class Transfer {
  /// Far more than any API sends, and little enough for a server that never stops.
  static let maximumHeader = 256 << 10

  let job: Job
  private(set) var body: [UInt8] = []
  private(set) var silence: Silence
  private var headerBytes = 0
  private var isInformational = false
  private var isHeaderHandedOver = false
  /// Whether the latest header ended with its empty line; libcurl takes one cut short for a whole one.
  private(set) var headerComplete = false
  /// Why a callback refused more; libcurl itself only knows that one did.
  private(set) var refusal: CurlError?

  /// Whether the body waits for its reader.
  private(set) var isPaused = false

  init(_ job: Job) {
    self.job = job
    silence = Silence(limit: job.plan.idleDeadline)
  }

  /// Gives a stream's reader the final header, which is no 1xx answer's, once it is there.
  func handOverHeader(_ head: @autoclosure () -> BodyPipe.Head) {
    guard let pipe = job.pipe, !isHeaderHandedOver, headerComplete, !isInformational else { return }
    isHeaderHandedOver = true
    pipe.begin(head())
  }

  /// The connection stands, and the request goes out.
  func begin() { silence.hear(at: .now) }

  /// The body's reader wants more.
  func resume() {
    isPaused = false
    silence.resume(at: .now)
  }

  /// Takes a header line; false ends the transfer.
  func receive(header line: UnsafeRawBufferPointer) -> Bool {
    silence.hear(at: .now)
    headerBytes += line.count
    guard headerBytes <= Self.maximumHeader else {
      refusal = CurlError(
        .headerTooLarge, call: job.plan.call, message: "the header exceeds \(Self.maximumHeader) bytes")
      return false
    }
    if line.starts(with: "HTTP/".utf8) {
      headerComplete = false
      isInformational = line.drop { $0 != UInt8(ascii: " ") }.dropFirst().first == UInt8(ascii: "1")
    }
    if line.elementsEqual("\r\n".utf8) || line.elementsEqual("\n".utf8) { headerComplete = true }
    return true
  }

  /// What becomes of a piece of the body.
  enum Reception { case taken, refused, paused }

  /// Takes decoded bytes of the body.
  func receive(body bytes: UnsafeRawBufferPointer) -> Reception {
    silence.hear(at: .now)
    guard let pipe = job.pipe else { return collect(bytes) ? .taken : .refused }
    guard pipe.offer(bytes) else {
      isPaused = true
      silence.pause()
      return .paused
    }
    return .taken
  }

  private func collect(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let limit = job.plan.maximumBody
    guard bytes.count <= limit - body.count else {
      body = []
      refusal = CurlError(.bodyTooLarge, call: job.plan.call, message: "the body exceeds \(limit) bytes")
      return false
    }
    let needed = body.count + bytes.count
    if needed > body.capacity {
      body.reserveCapacity(min(limit, max(needed, 2 * body.capacity)))
    }
    body.append(contentsOf: bytes)
    return true
  }
}
