import Testing

@testable import QEMURig

@Suite("Inbox")
struct InboxTests {
  @Test("the last messages are kept, and all are counted")
  func limit() {
    let inbox = Inbox<Int>(keeping: 3)
    for number in 1...5 { inbox.deliver(number) }
    #expect(inbox.messages == [3, 4, 5])
    #expect(inbox.received == 5)
  }

  @Test("a wait finds what has come already, except what it is told to skip")
  func past() async throws {
    let inbox = Inbox<Int>(keeping: 3)
    for number in 1...5 { inbox.deliver(number) }
    #expect(try await inbox.first { $0 % 2 == 0 } == 4)
    #expect(try await inbox.first(after: 4) { _ in true } == 5)
    async let next = inbox.first(after: 5) { _ in true }
    inbox.deliver(6)
    #expect(try await next == 6)
  }

  @Test("an end is told to those who wait and to those who come later, after what has come before it")
  func end() async throws {
    let inbox = Inbox<Int>(keeping: 3)
    let ended = RigError(.disconnected, "test", "ended")
    let waiting = Task { try await inbox.first { _ in true } }
    inbox.finish(ended)
    await #expect(throws: ended) { try await waiting.value }
    await #expect(throws: ended) { try await inbox.first { _ in true } }
  }

  @Test("a wait ends with its task, before it begins and while it lasts")
  func cancellation() async throws {
    let inbox = Inbox<Int>(keeping: 3)
    let early = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      _ = try await inbox.first { _ in true }
    }
    await #expect(throws: CancellationError.self) { try await early.value }
    await #expect {
      try await withDeadline(.milliseconds(10), "nothing") { try await inbox.first { _ in true } }
    } throws: {
      ($0 as? RigError)?.code == .timeout
    }
  }
}
