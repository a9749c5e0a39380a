internal import Synchronization

/// A round of looks at domains that rest, shared between the thread that makes it and the loop that may end it.
final class DomainSweep: Sendable {
  private struct State {
    var rest: [String]
    var current: String?
    var isGivenUp = false
  }

  private let state: Mutex<State>

  init(_ uuids: [String]) { state = Mutex(State(rest: uuids.reversed())) }

  /// The next domain to look at; nil where there is none, or the round was given up.
  func next() -> String? {
    state.withLock { state in
      state.current = state.isGivenUp ? nil : state.rest.popLast()
      return state.current
    }
  }

  /// Says that the domain has been looked at; false where the round was given up meanwhile, as hanging at it.
  func finish() -> Bool {
    state.withLock { state in
      state.current = nil
      return !state.isGivenUp
    }
  }

  /// Whether the round was given up.
  var isGivenUp: Bool { state.withLock(\.isGivenUp) }

  /// Takes away what has not been looked at yet; with the domain that the round hangs at.
  func giveUp() -> (current: String?, rest: [String]) {
    state.withLock { state in
      defer {
        state.rest = []
        state.isGivenUp = true
      }
      return (state.current, state.rest.reversed())
    }
  }
}
