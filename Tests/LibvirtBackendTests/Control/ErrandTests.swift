import DroverCore
import Glibc
import Synchronization
import Testing

@testable import LibvirtBackend

@Suite struct ErrandTests {
  /// Lets a thread wait until somebody opens it.
  final class Gate: Sendable {
    private let isOpen = Mutex(false)
    func open() { isOpen.withLock { $0 = true } }
    func wait() { while !isOpen.withLock({ $0 }) { usleep(1000) } }
  }

  /// What a thread says.
  final class Word<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)
    var said: Value? { value.withLock { $0 } }
    func say(_ word: Value) { value.withLock { $0 = word } }
  }

  @Test("what answers in time is answered")
  func answers() async {
    let answer = await runErrand(within: .seconds(60)) { progress in
      progress.enter(.asking, within: .seconds(60)) && progress.enter(.sending, within: .seconds(60))
    }
    #expect(answer == .success(true))
  }

  @Test("what was given up while it asked does not send any more")
  func neverSent() async {
    let gate = Gate()
    let isSent = Word<Bool>()
    let isOver = Word<Bool>()
    let answer = await withGate(gate) {
      await runErrand(within: .seconds(60)) { progress in
        _ = progress.enter(.asking, within: .milliseconds(30))
        gate.wait()
        isSent.say(progress.enter(.sending, within: .seconds(60)))
      } lateEnd: {
        isOver.say(true)
      }
    }
    #expect(answer.failure == .late(.asking))
    #expect(await eventually { isOver.said == true })
    #expect(isSent.said == false)
  }

  @Test("what was given up while it sent says that it may have been done")
  func maybeSent() async {
    let gate = Gate()
    let answer = await withGate(gate) {
      await runErrand(within: .seconds(60)) { progress in
        // An earlier deadline than the one before.
        _ = progress.enter(.sending, within: .milliseconds(30))
        gate.wait()
      }
    }
    #expect(answer.failure == .late(.sending))
    #expect(ControlError(.late(.sending), call: "x").cause.contains("may have been done all the same"))
    #expect(ControlError(.late(.asking), call: "x").remedy.contains("nothing was sent"))
  }

  private func withGate<R>(_ gate: Gate, _ body: () async -> R) async -> R {
    let result = await body()
    gate.open()
    return result
  }
}

extension Result {
  fileprivate var failure: Failure? { if case .failure(let failure) = self { failure } else { nil } }
}
