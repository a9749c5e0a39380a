import Foundation
import Synchronization

/// How a process ended.
enum Ending: Equatable {
  case exited(Int32)
  case killed(Int32)
}

/// A process whose output goes to files; killed with its last reference.
final class Program: Sendable {
  let pid: pid_t
  let startedAt = ContinuousClock.now
  private let outputFile: String
  private let errorFile: String
  private let ending = Mutex<Ending?>(nil)

  /// The executable that was built beside these tests.
  static let drover: String = {
    let runner = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return URL(filePath: runner).deletingLastPathComponent().appending(path: "drover").path
  }()

  /// Starts `drover`, or another program.
  ///
  /// - Parameters:
  ///   - directory: Where its output goes, and what it takes for /run and /tmp.
  ///   - variables: Its environment, beside what makes it independent of ours.
  ///   - input: What it reads from standard input.
  ///   - terminal: The terminal that it writes to, instead of a file.
  init(
    _ arguments: [String], executable: String = Program.drover, in directory: TemporaryDirectory,
    variables: [String: String] = [:], input: String = "", terminal: Terminal? = nil
  ) throws {
    let name = UUID().uuidString.prefix(8)
    outputFile = "\(directory.path)/\(name).out"
    errorFile = "\(directory.path)/\(name).err"
    let inputFile = try directory.write(input, to: "\(name).in")

    var files = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&files)
    defer { posix_spawn_file_actions_destroy(&files) }
    posix_spawn_file_actions_addopen(&files, 0, inputFile, O_RDONLY, 0)
    for (number, file) in [(Int32(1), outputFile), (2, errorFile)] {
      if let terminal {
        posix_spawn_file_actions_adddup2(&files, terminal.end, number)
      } else {
        posix_spawn_file_actions_addopen(&files, number, file, O_WRONLY | O_CREAT | O_APPEND, 0o600)
      }
    }
    var environment = [
      "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": directory.path,
      "LANG": "C.UTF-8", "TMPDIR": directory.path, "RUNTIME_DIRECTORY": "\(directory.path)/run",
      "STATE_DIRECTORY": "\(directory.path)/state",
    ]
    environment.merge(variables) { $1 }
    var pid: pid_t = 0
    let status = withCStrings([executable] + arguments) { argv in
      withCStrings(environment.filter { !$0.value.isEmpty }.map { "\($0.key)=\($0.value)" }) { envp in
        posix_spawn(&pid, executable, &files, nil, argv, envp)
      }
    }
    guard status == 0 else {
      throw Missed(description: "\(executable): \(String(cString: strerror(status)))")
    }
    self.pid = pid
  }

  deinit {
    guard look() == nil else { return }
    kill(pid, SIGKILL)
    waitpid(pid, nil, 0)
  }

  var output: String { (try? String(contentsOfFile: outputFile, encoding: .utf8)) ?? "" }
  var errors: String { (try? String(contentsOfFile: errorFile, encoding: .utf8)) ?? "" }
  var lines: [Substring] { errors.split(separator: "\n") }

  func signal(_ number: Int32) { kill(pid, number) }

  /// How it has ended; nil while it runs.
  func look() -> Ending? {
    ending.withLock { ending in
      guard ending == nil else { return ending }
      var raw: Int32 = 0
      guard waitpid(pid, &raw, WNOHANG) == pid else { return nil }
      ending = raw & 0x7f == 0 ? .exited((raw >> 8) & 0xff) : .killed(raw & 0x7f)
      return ending
    }
  }

  /// Ends a wait where it has ended.
  func mustRun() throws {
    if let ending = look() { throw HasEnded(description: "it has ended, \(ending): \(errors)") }
  }

  /// Waits for its end.
  func end(within limit: Duration = .seconds(30)) async throws -> Ending {
    do {
      return try await eventually("the end of the process", within: limit, every: .milliseconds(2)) { look() }
    } catch {
      throw Missed(description: "\(error)\n\(output)\n\(errors)")
    }
  }

  /// Runs a program to its end.
  static func run(
    _ arguments: [String], executable: String = Program.drover, in directory: TemporaryDirectory,
    variables: [String: String] = [:], input: String = ""
  ) async throws -> (ending: Ending, output: String, errors: String) {
    let program = try Program(
      arguments, executable: executable, in: directory, variables: variables, input: input)
    return (try await program.end(), program.output, program.errors)
  }
}

/// A terminal that nobody looks at.
final class Terminal: Sendable {
  /// The programs' end; open here too, so that what was written can be read after their end.
  let end: Int32
  private let master: Int32
  private let seen = Mutex<[UInt8]>([])

  init(columns: UInt16, rows: UInt16) throws {
    var (master, end) = (Int32(-1), Int32(-1))
    var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
    guard openpty(&master, &end, nil, nil, &size) == 0 else { throw Missed(description: "no terminal") }
    for number in [master, end] { _ = fcntl(number, F_SETFD, FD_CLOEXEC) }
    _ = fcntl(master, F_SETFL, O_NONBLOCK)
    (self.master, self.end) = (master, end)
  }

  deinit {
    close(master)
    close(end)
  }

  /// Everything that was written to it.
  var text: String {
    seen.withLock { seen in
      var buffer = [UInt8](repeating: 0, count: 1 << 16)
      while case let count = read(master, &buffer, buffer.count), count > 0 { seen += buffer[..<count] }
      return String(decoding: seen, as: UTF8.self)
    }
  }
}

private func withCStrings<R>(
  _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> R
) -> R {
  let pointers = strings.map { strdup($0) } + [nil]
  defer { pointers.forEach { free($0) } }
  return body(pointers)
}
