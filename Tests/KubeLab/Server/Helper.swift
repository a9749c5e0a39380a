import FoundationEssentials
import Glibc
import Posix
import QEMURig
import Synchronization

/// A python program of `Tests/Lab/kube`, which answers one line of JSON with another.
///
/// Its standard output is a socket, which it also reads. When that closes, with this value or with this
/// process however it ends, the program ends, and all that it has started or made.
final class Helper: Sendable {
  fileprivate struct State {
    var last: Int64 = 0
    var waiting: [Int64: CheckedContinuation<JSONValue, any Error>] = [:]
    var end: KubeLabError?
    var awaitingEnd: [CheckedContinuation<Void, Never>] = []
  }

  /// Apart from the helper, so that the thread that reads does not keep it alive.
  fileprivate final class Line: Sendable {
    let program: String
    let pid: pid_t
    let socket: Int32
    let state = Mutex(State())
    let writing = Mutex(())

    init(program: String, pid: pid_t, socket: Int32) {
      self.program = program
      self.pid = pid
      self.socket = socket
    }

    deinit { close(socket) }
  }

  /// Where the programs lie.
  static let directory = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../Lab/kube").standardizedFileURL.path

  private let line: Line

  /// Starts the program.
  init(_ program: String, _ arguments: [String] = []) throws(KubeLabError) {
    var ends: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
      throw KubeLabError("socketpair", String(cString: strerror(errno)))
    }
    defer { close(ends[1]) }
    var pid: pid_t = 0
    let python = access("/usr/bin/python3", X_OK) == 0 ? "/usr/bin/python3" : "python3"
    let failure = spawnProcess(
      &pid, [python, "-uB", "\(Self.directory)/\(program)"] + arguments,
      environment: ProcessInfo.processInfo.environment, standardOutput: .descriptor(ends[1]),
      standardError: .descriptor(2))
    guard failure == 0 else {
      close(ends[0])
      throw KubeLabError("starting \(program)", String(cString: strerror(failure)))
    }
    let line = Line(program: program, pid: pid, socket: ends[0])
    self.line = line
    guard startThread("kube-lab-line", { line.read() }) else {
      shutdown(ends[0], Int32(SHUT_RDWR))
      waitpid(pid, nil, 0)
      throw KubeLabError("starting \(program)", "the system gives no thread")
    }
  }

  deinit { shutdown(line.socket, Int32(SHUT_RDWR)) }

  /// Asks for something and waits for the whole answer.
  func ask(_ request: [String: JSONValue]) async throws -> JSONValue {
    let number = line.state.withLock { state in
      state.last += 1
      return state.last
    }
    var request = request
    request["id"] = .int(number)
    let text = JSONValue.object(request).text + "\n"
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let refusal: (any Error)? = line.state.withLock { state in
          if let end = state.end { return end }
          if Task.isCancelled { return CancellationError() }
          state.waiting[number] = continuation
          return nil
        }
        if let refusal { return continuation.resume(throwing: refusal) }
        line.send(text)
      }
    } onCancel: {
      line.state.withLock { $0.waiting.removeValue(forKey: number) }?.resume(throwing: CancellationError())
    }
  }

  /// Asks for something that `server.py` and its like do, and returns the value they answer with.
  @discardableResult
  func perform(_ what: String, _ arguments: [String: JSONValue] = [:]) async throws -> JSONValue {
    var request = arguments
    request["do"] = .string(what)
    let answer = try await ask(request)
    if let error = answer["error"]?.string { throw KubeLabError(what, error) }
    return answer["value"] ?? .null
  }

  /// Lets the program end, and waits until it has; also in a cancelled task.
  func end() async {
    shutdown(line.socket, Int32(SHUT_RDWR))
    await withCheckedContinuation { continuation in
      let isOver = line.state.withLock { state in
        if state.end == nil { state.awaitingEnd.append(continuation) }
        return state.end != nil
      }
      if isOver { continuation.resume() }
    }
  }
}

extension Helper.Line {
  fileprivate func send(_ text: String) {
    writing.withLock { _ in
      var bytes = Array(text.utf8)[...]
      while !bytes.isEmpty {
        let count = bytes.withUnsafeBytes {
          Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        // Whoever has gone is noticed where the answers are read.
        guard count > 0 || errno == EINTR else { return }
        bytes = bytes.dropFirst(max(count, 0))
      }
    }
  }

  fileprivate func read() {
    var kept: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = recv(socket, &buffer, buffer.count, 0)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { break }
      var start = 0
      while let end = newline(in: buffer, from: start, to: count) {
        kept += buffer[start..<end]
        deliver(kept)
        kept.removeAll(keepingCapacity: true)
        start = end + 1
      }
      kept += buffer[start..<count]
    }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    let end = KubeLabError(program, "has ended, with status \(status)")
    let (waiting, awaitingEnd) = state.withLock { state in
      state.end = end
      defer { (state.waiting, state.awaitingEnd) = ([:], []) }
      return (state.waiting.values, state.awaitingEnd)
    }
    for continuation in waiting { continuation.resume(throwing: end) }
    for continuation in awaitingEnd { continuation.resume() }
  }

  private func newline(in buffer: [UInt8], from start: Int, to end: Int) -> Int? {
    buffer.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress, let found = memchr(base + start, 10, end - start) else {
        return nil
      }
      return found - UnsafeMutableRawPointer(mutating: base)
    }
  }

  private func deliver(_ bytes: [UInt8]) {
    guard let answer = JSONValue(utf8: bytes), let number = answer["id"]?.int else { return }
    state.withLock { $0.waiting.removeValue(forKey: number) }?.resume(returning: answer)
  }
}
