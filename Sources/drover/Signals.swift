import Dispatch
import Glibc

/// Runs `body` until it ends or SIGTERM or SIGINT comes, which cancels it; SIGHUP calls `reload` meanwhile.
func runUntilSignal(
  reload: @escaping @Sendable () async -> Void = {}, _ body: @escaping @Sendable () async throws -> Void
) async throws {
  let (signals, continuation) = AsyncStream<Int32>.makeStream()
  let sources = [SIGTERM, SIGINT, SIGHUP].map { number in
    // The source hears of a signal only where its own action does not come first.
    signal(number, SIG_IGN)
    let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
    source.setEventHandler { continuation.yield(number) }
    source.resume()
    return source
  }
  defer { sources.forEach { $0.cancel() } }

  try await withThrowingTaskGroup(of: Void.self) { group in
    group.addTask { try await body() }
    group.addTask {
      for await signal in signals {
        guard signal == SIGHUP else { return }
        await reload()
      }
    }
    defer { group.cancelAll() }
    try await group.next()
  }
}
