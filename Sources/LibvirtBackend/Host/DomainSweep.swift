internal import DroverCore
internal import Synchronization

/// A round of looks at domains that rest, shared between the thread that makes it and the loop that may end it.
final class DomainSweep: Sendable {
  private struct State {
    var rest: [String]
    var current: (uuid: String, since: Moment)?
    var isGivenUp = false
  }

  private let state: Mutex<State>

  init(_ uuids: [String]) { state = Mutex(State(rest: uuids.reversed())) }

  /// The next domain to look at; nil where there is none, or the round was given up.
  func next(at now: Moment) -> String? {
    state.withLock { state in
      state.current = state.isGivenUp ? nil : state.rest.popLast().map { ($0, now) }
      return state.current?.uuid
    }
  }

  /// Says that the domain has been looked at; false where the round was given up meanwhile.
  func finish() -> Bool {
    state.withLock { state in
      state.current = nil
      return !state.isGivenUp
    }
  }

  /// Whether the round was given up.
  var isGivenUp: Bool { state.withLock(\.isGivenUp) }

  /// Takes away what has not been looked at yet; with the domain that is being looked at, and since when.
  func giveUp() -> (current: (uuid: String, since: Moment)?, rest: [String]) {
    state.withLock { state in
      defer {
        state.rest = []
        state.isGivenUp = true
      }
      return (state.current, state.rest.reversed())
    }
  }
}
