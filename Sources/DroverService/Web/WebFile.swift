internal import Logging
internal import MicroHTTP
internal import Synchronization

/// `web.yml` and the certificates that it names, re-read when they change.
///
/// What is bad is said once and changes nothing: what was read before stays in force.
final class WebFile: Sendable {
  /// What was read together.
  struct InForce: Sendable {
    var configuration = WebConfiguration()
    /// Nil where connections are plain.
    var credentials: TLSCredentials?
  }

  private struct State: Sendable {
    var inForce: InForce
    /// Of the file and of those that it names, as they were when they were last read, well or not.
    var stamps: [String: FileStamp?]
    var bucket: TokenBucket?
    /// Whether what was read last is in force.
    var isGood = true
  }

  private let path: String
  private let log: Logger
  private let state: Mutex<State>

  /// Reads the file.
  ///
  /// - Throws: Everything that is wrong with it, or with a certificate that it names.
  init(_ path: String, log: Logger) throws {
    self.path = path
    self.log = log
    let (inForce, stamps) = Self.read(path)
    let read = try inForce.get()
    state = Mutex(
      State(
        inForce: read, stamps: stamps,
        bucket: read.configuration.rateLimit.map { TokenBucket($0, at: .now) }))
    say(read.configuration)
  }

  /// Whether connections speak TLS; that is decided when Drover starts.
  var hasTLS: Bool { state.withLock { $0.inForce.credentials != nil } }

  /// Whether the file is good as it is now; where it is not, what was read before is in force.
  var isGood: Bool {
    _ = current()
    return state.withLock(\.isGood)
  }

  /// What gives each new connection what it speaks TLS with; nil where connections are plain.
  var tls: (@Sendable () -> TLSCredentials)? {
    guard let first = state.withLock(\.inForce.credentials) else { return nil }
    return { self.current().credentials ?? first }
  }

  /// What is in force now; it looks first whether a file has changed.
  func current() -> InForce {
    let (inForce, news) = state.withLock { state -> (InForce, Result<InForce, any Error>?) in
      guard state.stamps.contains(where: { FileStamp($0.key) != $0.value }) else {
        return (state.inForce, nil)
      }
      let (read, stamps) = Self.read(path)
      state.stamps = stamps
      let result = Result { try Self.checked(read.get(), against: state.inForce) }
      state.isGood = (try? result.get()) != nil
      if case .success(let read) = result {
        if read.configuration.rateLimit != state.inForce.configuration.rateLimit {
          state.bucket = read.configuration.rateLimit.map { TokenBucket($0, at: .now) }
        }
        state.inForce = read
      }
      return (state.inForce, result)
    }
    switch news {
    case .success(let read):
      log.info("web configuration re-read", metadata: ["file": "\(path)"])
      say(read.configuration)
    case .failure(let error):
      log.error("web configuration refused, the old one stays in force", metadata: ["error": "\(error)"])
    case nil: break
    }
    return inForce
  }

  /// Takes one of the requests that are let in.
  func takeRequest(at now: ContinuousClock.Instant) -> Bool {
    state.withLock { $0.bucket?.take(at: now) ?? true }
  }

  private func say(_ configuration: WebConfiguration) {
    for remark in configuration.remarks { log.warning("\(path): \(remark)") }
  }

  private static func checked(_ read: InForce, against old: InForce) throws -> InForce {
    guard (read.credentials == nil) == (old.credentials == nil) else {
      let words = old.credentials == nil ? "begins" : "is gone"
      throw TLSRestart(words: "tls_server_config \(words): restart drover to serve so")
    }
    return read
  }

  private static func read(_ path: String) -> (Result<InForce, any Error>, [String: FileStamp?]) {
    // Before the files: one that changes meanwhile is read again.
    var stamps: [String: FileStamp?] = [path: FileStamp(path)]
    let result = Result<InForce, any Error> {
      let bytes = try contents(of: path, limit: Configuration.largestFile)
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw FileProblem(path: path, cause: "is not UTF-8; save the file as UTF-8")
      }
      let configuration = try WebConfiguration.parse(text, file: path)
      guard let tls = configuration.tls else { return InForce(configuration: configuration) }
      for file in tls.files { stamps.updateValue(FileStamp(file), forKey: file) }
      do {
        return InForce(configuration: configuration, credentials: try tls.credentials())
      } catch let error as TLSError {
        let what = error.code == .badAuthority ? tls.clientAuthorities?.file : tls.certificate.file
        throw FileProblem(path: what ?? path, cause: "\(error)")
      }
    }
    return (result, stamps)
  }
}

/// A change that only a restart makes.
private struct TLSRestart: Error, CustomStringConvertible {
  var words: String
  var description: String { words }
}
