import Foundation
import Glibc
import Posix
import Testing

@Suite("Calls of the system")
struct PosixTests {
  @Test("a thread shows its name and blocks all signals but those of a fault")
  func thread() async throws {
    let status: String = try await withCheckedThrowingContinuation { continuation in
      let isStarted = startThread("drover-test") {
        continuation.resume(
          with: Result { try String(contentsOfFile: "/proc/thread-self/status", encoding: .utf8) })
      }
      if !isStarted { continuation.resume(throwing: POSIXError(.EAGAIN)) }
    }
    #expect(status.hasPrefix("Name:\tdrover-test\n"))
    let mask = try #require(
      status.firstMatch(of: /SigBlk:\s*([0-9a-f]+)/).flatMap { UInt64($0.1, radix: 16) })
    func isBlocked(_ signal: Int32) -> Bool { mask & (1 << UInt64(signal - 1)) != 0 }
    #expect([SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGCHLD].allSatisfy(isBlocked))
    #expect(![SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT].contains(where: isBlocked))
  }

  @Test("where there is no thread left the starter says so, and keeps its own signals")
  func noThread() async {
    await #expect(processExitsWith: .success) {
      // With no memory to map, there are only the stacks that ended threads have left.
      var limit = rlimit(rlim_cur: 0, rlim_max: 0)
      setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
      let before = blockedSignals()
      var started = 0
      while started < 100, startThread("drover-test", { while true { pause() } }) { started += 1 }
      #expect(started < 100)
      #expect(blockedSignals() == before)
    }
  }

  @Test("what a thread gives is there for everyone who waits for it")
  func threadWork() throws {
    let work = try #require(ThreadWork("drover-test") { 7 })
    #expect(work.result() == 7)
    #expect(work.result() == 7)
  }

  @Test("a path of 107 bytes is the longest that a Unix socket can have")
  func longestPath() {
    #expect(UnixAddress.longestPath == 107)
    #expect(UnixAddress("/" + String(repeating: "x", count: 106)) != nil)
    #expect(UnixAddress("/" + String(repeating: "x", count: 107)) == nil)
    #expect(UnixAddress("/" + String(repeating: "é", count: 54)) == nil)
  }
}

/// Those of the calling thread.
private func blockedSignals() -> [Int32] {
  var mask = sigset_t()
  pthread_sigmask(SIG_BLOCK, nil, &mask)
  return (1..<32).filter { sigismember(&mask, $0) == 1 }
}
