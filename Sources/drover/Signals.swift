import Dispatch
import Glibc

/// The signals that end a command, caught from the moment this is made: SIGTERM, SIGINT, and SIGHUP where it does not
/// mean to read the configuration again.
///
/// SIGPIPE is ignored: a reader that has gone away is an error of the write, not the end of the process.
struct Signals {
  private let numbers: AsyncStream<Int32>
  private let sources: [any DispatchSourceSignal]
  private let isReloading: Bool

  init(isReloading: Bool = false) {
    let (numbers, continuation) = AsyncStream<Int32>.makeStream()
    self.numbers = numbers
    self.isReloading = isReloading
    signal(SIGPIPE, SIG_IGN)
    sources = [SIGTERM, SIGINT, SIGHUP].compactMap { number in
      // The source hears of a signal only where its own action does not come first.
      let before = unsafeBitCast(signal(number, SIG_IGN), to: Int.self)
      // `nohup` has it ignored, so that the command outlives its terminal.
      let isUnwanted = before == unsafeBitCast(SIG_IGN, to: Int.self)
      if number == SIGHUP, !isReloading, isUnwanted { return nil }
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { continuation.yield(number) }
      source.resume()
      return source
    }
  }

  /// Runs `body` until it ends or a signal comes, which cancels it; the next signal ends the process at once.
  func run(
    reload: @escaping @Sendable () async -> Void = {}, _ body: @escaping @Sendable () async throws -> Void
  ) async throws {
    defer { sources.forEach { $0.cancel() } }
    try await withThrowingTaskGroup(of: Void.self) { [numbers, isReloading] group in
      group.addTask { try await body() }
      group.addTask {
        for await number in numbers {
          guard isReloading, number == SIGHUP else { break }
          await reload()
        }
        for number in [SIGTERM, SIGINT] { signal(number, SIG_DFL) }
      }
      defer { group.cancelAll() }
      try await group.next()
    }
  }
}
