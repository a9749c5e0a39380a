internal import Posix

/// Two things done at the same time, where whoever scrapes a large fleet waits for both.
enum SideBySide {
  /// Does one thing here and the other on another thread; one after the other where the system gives none.
  static func both<Here, There: Sendable>(
    _ here: () -> Here, _ there: @escaping @Sendable () -> There
  ) -> (Here, There) {
    let work = ThreadWork("drover-render", there)
    return (here(), work?.result() ?? there())
  }
}
