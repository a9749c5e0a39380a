import CLinux
import Foundation
import Glibc
import Synchronization

/// A process of ours, ended with its owner.
final class Child {
  let id: pid_t
  private let output: FileHandle
  private var isReaped = false

  /// Starts a program; its standard output is read by `line` and `rest`, its standard error is ours.
  init(_ arguments: [String]) throws {
    guard let program = arguments.first else { throw BenchError("no program") }
    let pipe = Pipe()
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, pipe.fileHandleForWriting.fileDescriptor, 1)
    _ = drover_spawn_close_from(&actions, 3)
    var pid = pid_t()
    var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    let status = posix_spawn(&pid, program, &actions, nil, &pointers, environ)
    guard status == 0 else {
      throw BenchError("\(program) does not start: \(String(cString: strerror(status)))")
    }
    id = pid
    output = pipe.fileHandleForReading
    try? pipe.fileHandleForWriting.close()
  }

  deinit { end() }

  /// Waits for a first line.
  func line() throws {
    guard let byte = try output.read(upToCount: 1), !byte.isEmpty else {
      throw BenchError("a process ended before it was ready")
    }
  }

  /// Everything that it writes until its end; throws where that is not a good one.
  func rest() throws -> Data {
    let data = try output.readToEnd() ?? Data()
    let status = reap()
    guard status == 0 else { throw BenchError("ended with status \(status); its own words are above") }
    return data
  }

  func end() {
    guard !isReaped else { return }
    kill(id, SIGTERM)
    _ = reap()
  }

  private func reap() -> Int32 {
    var status: Int32 = 0
    while waitpid(id, &status, 0) < 0, errno == EINTR {}
    isReaped = true
    return status
  }
}

/// A directory that is removed with its owner.
final class Scratch {
  let path: String

  init() throws {
    var name = Array("/tmp/drover-bench-XXXXXX".utf8CString)
    guard mkdtemp(&name) != nil else { throw BenchError("mkdtemp: \(String(cString: strerror(errno)))") }
    path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// Where this program lies; `drover` is built beside it.
let ownPath: String = {
  var buffer = [CChar](repeating: 0, count: 4096)
  let count = readlink("/proc/self/exe", &buffer, buffer.count)
  return String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}()

/// Runs a body on each of several threads at once.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  let group = DispatchGroup()
  for index in 0..<count {
    group.enter()
    Thread {
      body(index)
      group.leave()
    }.start()
  }
  group.wait()
}

/// The first error that any of several threads met.
final class Failures: Sendable {
  private let first = Mutex<(any Error)?>(nil)

  func add(_ error: any Error) { first.withLock { $0 = $0 ?? error } }

  func rethrow() throws { if let error = first.withLock(\.self) { throw error } }
}

extension Task where Success == Never, Failure == Never {
  /// Runs blocking work on a thread of its own.
  static func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async -> Result<
    Value, any Error
  > {
    await withCheckedContinuation { continuation in
      Thread { continuation.resume(returning: Result { try body() }) }.start()
    }
  }
}
