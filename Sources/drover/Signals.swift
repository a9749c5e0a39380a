import Dispatch
import Glibc

/// Runs `body` until it ends or SIGTERM or SIGINT comes, which cancels it; SIGHUP calls `reload` meanwhile.
func runUntilSignal(
  reload: @escaping @Sendable () async -> Void = {}, _ body: @escaping @Sendable () async throws -> Void
) async throws {
  let signals = SignalStream([SIGTERM, SIGINT, SIGHUP])
  try await withThrowingTaskGroup(of: Void.self) { group in
    group.addTask { try await body() }
    group.addTask {
      for await signal in signals.stream {
        guard signal == SIGHUP else { return }
        await reload()
      }
    }
    try await group.next()
    group.cancelAll()
    try await group.waitForAll()
  }
}

/// Signals as a stream; they end nothing by themselves while it lives.
private final class SignalStream: Sendable {
  let stream: AsyncStream<Int32>
  private let sources: [any DispatchSourceSignal]

  init(_ signals: [Int32]) {
    let (stream, continuation) = AsyncStream<Int32>.makeStream()
    self.stream = stream
    sources = signals.map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { continuation.yield(number) }
      source.resume()
      return source
    }
  }

  deinit { sources.forEach { $0.cancel() } }
}
