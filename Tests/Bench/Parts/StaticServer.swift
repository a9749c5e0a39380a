import CMicroHTTP
import Glibc
import MicroHTTP

/// libmicrohttpd serving one buffer, started as `MicroHTTP` starts it: the yardstick for a scrape.
final class StaticServer {
  let port: UInt16
  private let body: UnsafeMutableRawBufferPointer
  private let response: OpaquePointer
  private var daemon: OpaquePointer?

  init(_ bytes: [UInt8], contentType: String, limits: Limits = Limits()) throws {
    body = .allocate(byteCount: bytes.count, alignment: 4096)
    body.copyBytes(from: bytes)
    guard let response = MHD_create_response_from_buffer(body.count, body.baseAddress, .RESPMEM_PERSISTENT)
    else {
      body.deallocate()
      throw BenchError("MHD_create_response_from_buffer")
    }
    MHD_add_response_header(response, "Content-Type", contentType)
    MHD_add_response_header(response, "Vary", "Accept, Accept-Encoding")
    self.response = response
    let (descriptor, port) = try Loopback.listen()
    self.port = port
    var settings = drover_mhd_settings()
    settings.listener = descriptor
    settings.threads = UInt32(limits.threads)
    settings.connections = UInt32(limits.connections)
    settings.idle_seconds = UInt32(limits.idleTimeout.components.seconds)
    settings.connection_memory = limits.headerBytes
    settings.context = UnsafeMutableRawPointer(response)
    settings.log = { _, _, _ in }
    settings.unescape = { _, _, text in text.map { strlen($0) } ?? 0 }
    settings.handle = { response, connection, _, _, _, _, _, state in
      guard let response, let state else { return .NO }
      // The first call is for the headers alone.
      guard state.pointee != nil else {
        state.pointee = response
        return .YES
      }
      return MHD_queue_response(connection, 200, OpaquePointer(response))
    }
    daemon = drover_mhd_start(&settings)
    guard daemon != nil else { throw BenchError("MHD_start_daemon") }
  }

  deinit {
    if let daemon { MHD_stop_daemon(daemon) }
    MHD_destroy_response(response)
    body.deallocate()
  }
}
