internal import DroverCore
internal import Synchronization

/// Finds out for one domain after the other where it can go, beside the watch of the host and never in its way.
final class OutlookWatch: Sendable {
  /// It works for no more than one part in so many of the time.
  private static let share = 10

  private let book = Mutex(OutlookBook())
  private let clock: any Timepiece
  private let sink: @Sendable (BackendMessage) -> Void

  init(_ clock: any Timepiece, telling sink: @escaping @Sendable (BackendMessage) -> Void) {
    self.clock = clock
    self.sink = sink
  }

  /// Passes on what the watch of the host tells.
  func hear(_ message: BackendMessage) {
    // A domain that has gone must not be told of again by a look that comes late.
    book.withLock { sink($0.hear(message, at: clock.now())) }
  }

  /// Works until cancelled.
  ///
  /// - Parameters:
  ///   - idle: How long it rests where nothing is due.
  ///   - look: Finds out what speaks against a domain's move; nil where that cannot be found out.
  func run(
    idle: Duration = .seconds(1), _ look: @escaping @Sendable (VMRef) async -> Eligibility?
  ) async {
    while !Task.isCancelled {
      var rest = idle
      if let vm = book.withLock({ $0.next(at: clock.now()) }) {
        let began = clock.now()
        let found = await look(vm).map { Outlook($0) }
        book.withLock { book in
          if let observation = book.take(vm, found, at: clock.now()) { sink(.vm(observation)) }
        }
        rest = max(idle / 10, (clock.now() - began) * Self.share)
      }
      try? await Task.sleep(for: rest)
    }
  }
}
