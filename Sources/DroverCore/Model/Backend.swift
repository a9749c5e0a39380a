/// A source of observations: one conformance for each kind of system that is watched.
public protocol MigrationBackend: Sendable {
  /// What is known of it before it has said anything.
  var descriptor: BackendDescriptor { get }

  /// Watches until the task is cancelled and tells what it sees.
  ///
  /// The sink never blocks; it may be called from any thread. The end of a migration is told once. Errors of the
  /// watched system are told as `.health` and retried; they do not end the run.
  func run(telling sink: @escaping @Sendable (BackendMessage) -> Void) async
}

/// Where the time comes from; injected, so that tests own it.
public protocol Timepiece: Sendable {
  /// Now, on the monotonic clock.
  func now() -> Moment
  /// What turns a moment into Unix time, as of now.
  func epochOffset() -> EpochOffset
}
