internal import Glibc
internal import Synchronization

/// Takes log lines.
public protocol LogOutput: Sendable {
  /// Takes one whole line with its newline; called from any thread.
  func write(_ line: [UInt8])
}

/// Writes each line to a descriptor in one `write(2)`.
///
/// A reader that has stopped reading holds Drover up for at most `patience`, once; from then on lines are dropped until
/// there is room again, and their number is told.
public final class DescriptorLogOutput: LogOutput {
  /// The process's standard error; one for all loggers of a format.
  public static func standardError(_ format: LogFormat) -> DescriptorLogOutput {
    switch format {
    case .logfmt: logfmtError
    case .json: jsonError
    }
  }

  private static let logfmtError = DescriptorLogOutput(descriptor: STDERR_FILENO, format: .logfmt)
  private static let jsonError = DescriptorLogOutput(descriptor: STDERR_FILENO, format: .json)

  private let descriptor: Int32
  private let format: LogFormat
  private let patience: Int32
  private let dropped = Mutex(0)

  /// Writes to a descriptor that stays open for as long as this lives.
  ///
  /// - Parameters:
  ///   - format: How the number of dropped lines is told.
  ///   - patience: Longest wait for room, in milliseconds.
  public init(descriptor: Int32, format: LogFormat, patience: Int32 = 200) {
    self.descriptor = descriptor
    self.format = format
    self.patience = patience
  }

  /// Writes one line, or counts it as dropped.
  public func write(_ line: [UInt8]) {
    dropped.withLock { dropped in
      guard hasRoom(waiting: dropped == 0 ? patience : 0) else {
        dropped += 1
        return
      }
      if dropped > 0 {
        send(note(dropped))
        dropped = 0
        guard hasRoom(waiting: patience) else {
          dropped = 1
          return
        }
      }
      send(line)
    }
  }

  private func note(_ dropped: Int) -> [UInt8] {
    var line = LogLine(format)
    line.add("time", Timestamp(unixMilliseconds: SystemTimepiece.read(.realtime)).description)
    line.add("level", LogLevel.warn.rawValue)
    line.add("msg", "log lines dropped: nobody read them")
    line.add("count", "\(dropped)")
    return line.finished()
  }

  /// Whether a line may be written without blocking: a pipe that polls as writable takes PIPE_BUF bytes.
  private func hasRoom(waiting milliseconds: Int32) -> Bool {
    var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    return poll(&request, 1, milliseconds) > 0
  }

  private func send(_ line: [UInt8]) {
    var rest = line[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      // There is nowhere to tell that standard error is gone.
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }
}
