internal import CMicroHTTP
internal import Glibc

extension Response {
  /// Hands the response to libmicrohttpd, which has it sent and releases the body after the last byte.
  func queue(on connection: OpaquePointer, log: (String) -> Void) -> MHD_Result {
    guard let response = makeBody() else {
      log("a response of status \(status) was not created: out of memory")
      return .NO
    }
    defer { MHD_destroy_response(response) }
    for field in headers.fields where MHD_add_response_header(response, field.name, field.value) == .NO {
      log(
        "a response of status \(status) goes without \(field.name): it is malformed or the server's own"
      )
    }
    let result = MHD_queue_response(connection, UInt32(clamping: status), response)
    if result == .NO { log("a response of status \(status) was not sent: libmicrohttpd refuses it") }
    return result
  }

  private func makeBody() -> OpaquePointer? {
    switch body {
    case .bytes(var bytes):
      return bytes.withUnsafeMutableBytes {
        MHD_create_response_from_buffer($0.count, $0.baseAddress, .RESPMEM_MUST_COPY)
      }
    case .segments(let slices):
      let segments = SegmentList(slices)
      return segments.isShort
        ? segments.makeCopy() : segments.isSmall ? segments.makeVector() : segments.makeReader()
    }
  }
}
