import FoundationEssentials
import Glibc
import Posix
import QEMURig
import Synchronization

/// One run of `lab.sh`, in a process group of its own; a thread waits for its end.
final class ScriptRun: Sendable {
  /// What is left of a run.
  struct End: Sendable {
    let status: ExitStatus
    let output: String
    let standardError: String
    let moment: ContinuousClock.Instant

    var hasSucceeded: Bool { status == .exited(code: 0) }
  }

  private struct State {
    var end: End?
    var waiting: [CheckedContinuation<End, Never>] = []
    var isReaped = false
  }

  static let script = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../Lab/lab.sh").standardizedFileURL.path

  let words: [String]
  private let pid: pid_t
  private let state = Mutex(State())

  /// Starts the script.
  init(_ words: [String], directory: String) throws(LabError) {
    self.words = words
    let output: Scratch
    let errors: Scratch
    do throws(Errno) {
      output = try Scratch()
      errors = try Scratch()
      pid = try Self.spawn(words, directory: directory, output, errors)
    } catch {
      throw LabError(command: words, status: nil, standardError: error.text)
    }
    guard startThread("lab-script", { self.wait(output, errors) }) else {
      _ = Glibc.kill(-pid, SIGKILL)
      waitpid(pid, nil, 0)
      throw LabError(command: words, status: nil, standardError: "the system gives no thread")
    }
  }

  /// How it ended; nil while it runs.
  var end: End? { state.withLock(\.end) }

  /// Waits for the end, however long it takes.
  func waitForEnd() async -> End {
    await withCheckedContinuation { continuation in
      let end = state.withLock { state in
        if state.end == nil { state.waiting.append(continuation) }
        return state.end
      }
      if let end { continuation.resume(returning: end) }
    }
  }

  /// Waits for the end, which comes at once by a signal where the task is cancelled.
  func waitForEndOrKill() async -> End {
    await withTaskCancellationHandler {
      await waitForEnd()
    } onCancel: {
      kill()
    }
  }

  /// Kills the script and all that it has started and not set apart.
  func kill() { signal(SIGKILL) }

  /// Asks the script, and all that it has started and not set apart, to end.
  func interrupt() { signal(SIGINT) }

  private func signal(_ number: Int32) {
    state.withLock { state in
      if !state.isReaped { _ = Glibc.kill(-pid, number) }
    }
  }

  private static func spawn(
    _ words: [String], directory: String, _ output: Scratch, _ errors: Scratch
  ) throws(Errno) -> pid_t {
    var environment = ProcessInfo.processInfo.environment
    environment["DROVER_LAB_STATE"] = directory
    var pid: pid_t = 0
    let failure = spawnProcess(
      &pid, [script] + words, environment: environment,
      standardOutput: .descriptor(output.number), standardError: .descriptor(errors.number))
    guard failure == 0 else { throw Errno(call: "starting \(script)", number: failure) }
    return pid
  }

  private func wait(_ output: Scratch, _ errors: Scratch) {
    var info = siginfo_t()
    // WNOWAIT leaves the zombie, so that the pid stays ours until the lock is held.
    while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR {}
    let moment = ContinuousClock.now
    let raw = state.withLock { state in
      var raw: Int32 = 0
      _ = waitpid(pid, &raw, WNOHANG)
      state.isReaped = true
      return raw
    }
    let signal = raw & 0x7f
    let end = End(
      status: signal == 0 ? .exited(code: (raw >> 8) & 0xff) : .killed(signal: signal),
      output: output.text, standardError: errors.text, moment: moment)
    let waiting = state.withLock { state in
      state.end = end
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume(returning: end) }
  }
}

/// The number of a failed system call's error.
private struct Errno: Error {
  let call: String
  let number: Int32

  var text: String { "\(call): \(String(cString: strerror(number)))" }
}

/// A file without a name, which no writer can block on as on a pipe, nor hold open against a reader.
private final class Scratch: Sendable {
  let number: Int32

  init() throws(Errno) {
    let parent = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
    var path = Array("\(parent)/drover-lab-output-XXXXXX".utf8CString)
    number = mkstemp(&path)
    guard number >= 0 else { throw Errno(call: "making a file in \(parent)", number: errno) }
    unlink(&path)
  }

  deinit { close(number) }

  /// All of it, without white space around.
  var text: String {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = pread(number, &buffer, buffer.count, off_t(bytes.count))
      guard count > 0 else { break }
      bytes += buffer[..<count]
    }
    return String(decoding: bytes, as: UTF8.self).trimmed
  }
}

extension String {
  /// Without white space around.
  var trimmed: String {
    let start = drop(while: \.isWhitespace)
    return String(start.reversed().drop(while: \.isWhitespace).reversed())
  }
}
