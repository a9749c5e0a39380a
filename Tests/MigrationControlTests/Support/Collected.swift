import DroverCore
import Synchronization

/// Numbers in the order in which they came.
final class Numbers: Sendable {
  private let all = Mutex<[Int]>([])
  func append(_ value: Int) { all.withLock { $0.append(value) } }
  var values: [Int] { all.withLock(\.self) }
}

/// One answer, got once.
final class OneAnswer: Sendable {
  private let state = Mutex<(isAsked: Bool, answer: RefusalReason?)>((false, nil))
  func isFirst() -> Bool {
    state.withLock { state in
      defer { state.isAsked = true }
      return !state.isAsked
    }
  }
  func set(_ reason: RefusalReason?) { state.withLock { $0.answer = reason } }
  var value: RefusalReason? { state.withLock(\.answer) }
}
