internal import FoundationEssentials
internal import Glibc
internal import Posix
internal import Synchronization

/// How a process ended.
public enum ExitStatus: Hashable, Sendable, CustomStringConvertible {
  /// It ended by itself, with this code.
  case exited(code: Int32)
  /// A signal ended it.
  case killed(signal: Int32)

  /// The end in words.
  public var description: String {
    switch self {
    case .exited(let code): "exited with code \(code)"
    case .killed(let signal): "killed by signal \(signal)"
    }
  }
}

/// A child on a leash: killed when this value goes away, and by the kernel when this process does.
final class ChildProcess: Sendable {
  private struct State {
    var status: ExitStatus?
    var waiting: [CheckedContinuation<ExitStatus, Never>] = []
  }

  /// Kept apart from the process, so that the thread that waits does not keep the process alive.
  private final class Life: Sendable {
    let pid: pid_t
    let state = Mutex(State())

    init(pid: pid_t) { self.pid = pid }

    func reap() {
      var info = siginfo_t()
      // WNOWAIT leaves the zombie, so that the pid stays ours until the lock is held.
      while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR {}
      let (status, waiting) = state.withLock { state in
        var raw: Int32 = 0
        _ = waitpid(pid, &raw, WNOHANG)
        let signal = raw & 0x7f
        let status: ExitStatus =
          signal == 0 ? .exited(code: (raw >> 8) & 0xff) : .killed(signal: signal)
        state.status = status
        defer { state.waiting = [] }
        return (status, state.waiting)
      }
      for continuation in waiting { continuation.resume(returning: status) }
    }
  }

  private let life: Life

  /// The process id; another process may have it after the end.
  var pid: pid_t { life.pid }

  /// How the process ended; nil while it runs.
  var status: ExitStatus? { life.state.withLock { $0.status } }

  /// Starts a child on the spawner's thread.
  static func start(
    _ arguments: [String], leash: Leash, standardError: String
  ) async throws(RigError) -> ChildProcess {
    try await Spawner.shared.perform { () throws(RigError) in
      try ChildProcess(startingOnThisThread: arguments, leash: leash, standardError: standardError)
    }
  }

  /// Starts a child that the kernel kills when the *calling thread* ends.
  init(startingOnThisThread arguments: [String], leash: Leash, standardError: String) throws(RigError) {
    let words = leash.launcher + arguments
    guard let program = words.first else { throw RigError(.unsuitable, "posix_spawn", "no command given") }
    var pid: pid_t = 0
    let error = spawnProcess(
      &pid, words, environment: ProcessInfo.processInfo.environment, standardError: .file(standardError))
    if error == ENOENT && program == leash.launcher.first { throw leash.missing(program) }
    guard error == 0 else { throw .system("posix_spawn of \(program)", error) }
    let life = Life(pid: pid)
    self.life = life
    do throws(RigError) {
      try runOnThread("rig-reaper") { life.reap() }
    } catch {
      kill(pid, SIGKILL)
      life.reap()
      throw error
    }
  }

  deinit { signal(SIGKILL) }

  /// Sends a signal unless the process has ended.
  func signal(_ number: Int32) {
    life.state.withLock { state in
      if state.status == nil { kill(life.pid, number) }
    }
  }

  /// Waits for the end, however long it takes.
  func waitForExit() async -> ExitStatus {
    await withCheckedContinuation { continuation in
      let status = life.state.withLock { state in
        if state.status == nil { state.waiting.append(continuation) }
        return state.status
      }
      if let status { continuation.resume(returning: status) }
    }
  }

  /// Kills the process and waits until it is gone.
  func end() async {
    signal(SIGKILL)
    _ = await waitForExit()
  }
}
