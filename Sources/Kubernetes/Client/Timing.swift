public import FoundationEssentials

/// Time and chance, so that tests need neither.
public struct Timing: Sendable {
  /// The wall clock.
  public var now: @Sendable () -> Date
  /// Lets time pass; throws when the task is cancelled.
  public var sleep: @Sendable (Duration) async throws -> Void
  /// A number from 0 up to 1, that one left out.
  public var random: @Sendable () -> Double

  /// Takes the given ones.
  public init(
    now: @escaping @Sendable () -> Date, sleep: @escaping @Sendable (Duration) async throws -> Void,
    random: @escaping @Sendable () -> Double
  ) {
    self.now = now
    self.sleep = sleep
    self.random = random
  }

  /// This machine's.
  public static let system = Timing(
    now: { Date() }, sleep: { try await Task.sleep(for: $0) }, random: { Double.random(in: 0..<1) })
}
