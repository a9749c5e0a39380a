/// What one request has received so far.
///
/// libcurl's callbacks write here; only the client's thread touches it.
final class Transfer {
  /// Far more than any API sends, and little enough for a server that never stops.
  static let maximumHeader = 256 << 10

  let job: Job
  private(set) var body: [UInt8] = []
  private var headerBytes = 0
  /// Whether the latest header ended with its empty line; libcurl takes one cut short for a whole one.
  private(set) var headerComplete = false
  /// Why a callback refused more; libcurl itself only knows that one did.
  private(set) var refusal: CurlError?

  init(_ job: Job) { self.job = job }

  /// Takes a header line; false ends the transfer.
  func receive(header line: UnsafeRawBufferPointer) -> Bool {
    headerBytes += line.count
    guard headerBytes <= Self.maximumHeader else {
      refusal = CurlError(
        .headerTooLarge, call: job.plan.call, message: "the header exceeds \(Self.maximumHeader) bytes")
      return false
    }
    if line.starts(with: "HTTP/".utf8) { headerComplete = false }
    if line.elementsEqual("\r\n".utf8) || line.elementsEqual("\n".utf8) { headerComplete = true }
    return true
  }

  /// Takes decoded bytes of the body; false ends the transfer.
  func receive(body bytes: UnsafeRawBufferPointer) -> Bool {
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
