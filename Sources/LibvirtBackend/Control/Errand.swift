internal import Posix
internal import Synchronization

/// How far an errand is.
enum ErrandStage: Sendable {
  /// A connection is being opened.
  case opening
  /// Something is being asked; nothing has been changed.
  case asking
  /// Something is being changed: whoever gives up now does not know whether it was.
  case sending
}

/// Why nobody waits for an errand any more.
enum ErrandFailure: Error, Hashable, Sendable {
  case late(ErrandStage)
  /// The system gives no thread.
  case noThread
}

/// How far an errand is, shared between the thread that runs it and whoever waits for it.
final class ErrandProgress: Sendable {
  private struct State {
    var stage = ErrandStage.opening
    var deadline: ContinuousClock.Instant
    var isOver = false
  }

  private let state: Mutex<State>

  fileprivate init(_ limit: Duration) { state = Mutex(State(deadline: .now + limit)) }

  /// Begins a stage that may take so long; false where nobody waits any more: then it must not begin.
  func enter(_ stage: ErrandStage, within limit: Duration) -> Bool {
    state.withLock { state in
      guard !state.isOver else { return false }
      state.stage = stage
      state.deadline = .now + limit
      return true
    }
  }

  /// Ends it; false where nobody waits any more.
  fileprivate func finish() -> Bool {
    state.withLock { state in
      defer { state.isOver = true }
      return !state.isOver
    }
  }

  /// How long to wait on; nil where it has ended.
  fileprivate enum Look { case wait(Duration), over, late(ErrandStage) }

  fileprivate func look() -> Look {
    let now = ContinuousClock.now
    return state.withLock { state in
      if state.isOver { return .over }
      guard now >= state.deadline else { return .wait(state.deadline - now) }
      state.isOver = true
      return .late(state.stage)
    }
  }
}

/// Has blocking work done on a thread of its own, and waits for it, but not for ever.
///
/// The work goes in stages, each with a limit of its own. What is late is left to itself: it learns so when it wants to
/// enter its next stage. So what somebody was told had not been sent is never sent.
///
/// - Parameters:
///   - limit: How long the first stage may take.
///   - ended: Is called on the thread when work ends that nobody waits for any more.
func runErrand<R: Sendable>(
  within limit: Duration, _ work: @escaping @Sendable (ErrandProgress) -> R,
  lateEnd ended: @escaping @Sendable () -> Void = {}
) async -> Result<R, ErrandFailure> {
  let progress = ErrandProgress(limit)
  return await withCheckedContinuation { continuation in
    let isStarted = startThread("drover-control") {
      let answer = work(progress)
      if progress.finish() { continuation.resume(returning: .success(answer)) } else { ended() }
    }
    guard isStarted else {
      continuation.resume(returning: .failure(.noThread))
      return
    }
    Task {
      while true {
        switch progress.look() {
        case .over: return
        case .late(let stage):
          continuation.resume(returning: .failure(.late(stage)))
          return
        // A later stage may have an earlier deadline.
        case .wait(let rest): try? await Task.sleep(for: min(rest, .milliseconds(25)))
        }
      }
    }
  }
}
