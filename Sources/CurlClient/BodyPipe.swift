internal import Synchronization

/// What has come of a streamed body and nobody has read yet.
struct Backlog {
  /// What a reader may be behind: a piece that would exceed it waits in the connection.
  static let limit = 1 << 20

  enum Taken {
    /// `resumes`: the transfer stands still because of these bytes.
    case bytes([UInt8], resumes: Bool)
    case end(Result<Void, CurlError>)
  }

  private var bytes: [UInt8] = []
  private var isFull = false
  private var end: Result<Void, CurlError>?

  /// Whether nothing more is wanted.
  var isEnded: Bool { end != nil }

  /// Takes a piece, or says that the transfer has to pause; the same piece is then offered again.
  mutating func offer(_ piece: UnsafeRawBufferPointer) -> Bool {
    guard !isEnded else { return true }
    guard bytes.isEmpty || bytes.count + piece.count <= Self.limit else {
      isFull = true
      return false
    }
    bytes.append(contentsOf: piece)
    return true
  }

  /// All bytes that came, then the end; nil while there is neither.
  mutating func take() -> Taken? {
    guard bytes.isEmpty else {
      defer { (bytes, isFull) = ([], false) }
      return .bytes(bytes, resumes: isFull)
    }
    return end.map(Taken.end)
  }

  /// Sets how it ends, once.
  mutating func finish(_ outcome: Result<Void, CurlError>) { if end == nil { end = outcome } }

  /// Ends at once, and forgets what was not read.
  mutating func abandon(_ error: CurlError) {
    guard end == nil || !bytes.isEmpty else { return }
    (bytes, isFull, end) = ([], false, .failure(error))
  }
}

/// The way of one streamed answer from the client's thread to its reader.
final class BodyPipe: Sendable {
  struct Head: Sendable {
    let status: Int
    let headers: HTTPHeaders
  }

  typealias Piece = Result<[UInt8]?, CurlError>

  private struct State {
    var opening: CheckedContinuation<Result<Head, CurlError>, Never>?
    var backlog = Backlog()
    var readers: [CheckedContinuation<Piece, Never>] = []
  }

  private let state = Mutex(State())

  /// Calls `start`, and waits for the header.
  func head(start: () -> Void) async -> Result<Head, CurlError> {
    await withCheckedContinuation { continuation in
      state.withLock { $0.opening = continuation }
      start()
    }
  }

  /// The next bytes, or nil at the end; calls `resume` when the transfer may go on.
  func next(resume: () -> Void) async -> Piece {
    await withCheckedContinuation { continuation in
      let taken = state.withLock { state in
        let taken = state.backlog.take()
        if taken == nil { state.readers.append(continuation) }
        return taken
      }
      switch taken {
      case nil: break
      case .bytes(let bytes, let resumes):
        continuation.resume(returning: .success(bytes))
        if resumes { resume() }
      case .end(let end): continuation.resume(returning: end.map { nil })
      }
    }
  }

  /// Ends the reading at once; false when it had ended before.
  func abandon(_ error: CurlError) -> Bool {
    let (wasRunning, readers) = state.withLock { state in
      let wasRunning = !state.backlog.isEnded
      state.backlog.abandon(error)
      defer { state.readers = [] }
      return (wasRunning, state.readers)
    }
    for reader in readers { reader.resume(returning: .failure(error)) }
    return wasRunning
  }
}

/// The side of the client's thread.
extension BodyPipe {
  /// Hands over the header; only the first counts.
  func begin(_ head: Head) { takeOpening()?.resume(returning: .success(head)) }

  /// Hands over a piece of the body; false when the transfer has to pause.
  func offer(_ piece: UnsafeRawBufferPointer) -> Bool {
    let (isTaken, delivery) = state.withLock { state in
      guard state.backlog.offer(piece) else {
        return (false, nil as (CheckedContinuation<Piece, Never>, [UInt8])?)
      }
      guard !state.readers.isEmpty, case .bytes(let bytes, _) = state.backlog.take() else {
        return (true, nil)
      }
      return (true, (state.readers.removeFirst(), bytes))
    }
    if let (reader, bytes) = delivery { reader.resume(returning: .success(bytes)) }
    return isTaken
  }

  /// Tells the reader how it ended, after the bytes that are still to be read.
  func finish(_ outcome: Result<Void, CurlError>) {
    if case .failure(let error) = outcome { takeOpening()?.resume(returning: .failure(error)) }
    let readers = state.withLock { state in
      state.backlog.finish(outcome)
      defer { state.readers = [] }
      return state.readers
    }
    for reader in readers { reader.resume(returning: outcome.map { nil }) }
  }

  private func takeOpening() -> CheckedContinuation<Result<Head, CurlError>, Never>? {
    state.withLock { state in
      defer { state.opening = nil }
      return state.opening
    }
  }
}
