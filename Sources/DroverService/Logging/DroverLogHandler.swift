public import Logging

/// Least level that is written; the values of `--log.level`.
public enum LogLevel: String, CaseIterable, Sendable {
  case debug, info, warn, error

  /// The same level in swift-log's terms.
  public var level: Logger.Level {
    switch self {
    case .debug: .debug
    case .info: .info
    case .warn: .warning
    case .error: .error
    }
  }

  init(_ level: Logger.Level) {
    self =
      switch level {
      case .trace, .debug: .debug
      case .info, .notice: .info
      case .warning: .warn
      case .error, .critical: .error
      }
  }
}

/// Writes swift-log's records as logfmt or JSON, one line each.
///
/// The level here is one of the four of `LogLevel`: trace is shown as debug, notice as info, critical as error.
public struct DroverLogHandler: LogHandler {
  /// Milliseconds since 1970 (UTC).
  public typealias Clock = @Sendable () -> Int64

  /// Fields of every line.
  public var metadata = Logger.Metadata()
  /// Further fields of every line, looked up when it is written.
  public var metadataProvider: Logger.MetadataProvider?
  /// Least level that is written.
  public var logLevel: Logger.Level

  private let label: String
  private let format: LogFormat
  private let output: any LogOutput
  private let clock: Clock

  /// A handler for one logger.
  ///
  /// - Parameters:
  ///   - label: Becomes `component`; left out where empty or `drover`.
  ///   - output: Takes whole lines; standard error where nil.
  ///   - clock: Milliseconds since 1970 (UTC).
  public init(
    label: String, format: LogFormat = .logfmt, level: LogLevel = .info,
    output: (any LogOutput)? = nil,
    clock: @escaping Clock = DroverLogHandler.wallClock
  ) {
    self.label = label
    self.format = format
    self.output = output ?? DescriptorLogOutput.standardError(format)
    self.clock = clock
    logLevel = level.level
  }

  /// One of the fields of every line.
  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  /// Writes one line.
  public func log(event: LogEvent) {
    var line = LogLine(format)
    line.add("time", Timestamp(unixMilliseconds: clock()).description)
    line.add("level", LogLevel(event.level).rawValue)
    line.add("msg", event.message.description)
    if !label.isEmpty, label != "drover" { line.add("component", label) }
    if let error = event.error { line.add("error", "\(error)") }
    var fields = metadata
    if let provided = metadataProvider?.get() { fields.merge(provided) { $1 } }
    if let own = event.metadata { fields.merge(own) { $1 } }
    for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
      line.add(Self.ownKeys.contains(key) ? key + "_" : key, "\(value)")
    }
    output.write(line.finished())
  }

  /// What a line begins with; a field of the same name gets a `_` behind it.
  private static let ownKeys: Set<String> = ["time", "level", "msg", "component", "truncated"]

  /// The system's wall clock.
  public static let wallClock: Clock = { SystemTimepiece.read(.realtime) }
}
