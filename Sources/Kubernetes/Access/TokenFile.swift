internal import FoundationEssentials
internal import Synchronization

/// A bearer token in a file that somebody replaces from time to time.
final class TokenFile: Sendable {
  private struct State {
    var token: String?
    var readAt: Date?
  }

  /// A changed file is seen after this time at the latest.
  static let longestAge = 10.0

  let path: String
  private let place: String
  /// What stands in while the file was never readable.
  private let fallback: String?
  private let state = Mutex(State())

  init(path: String, place: String, fallback: String? = nil) {
    self.path = path
    self.place = place
    self.fallback = fallback
  }

  /// The token; read anew where the last reading is too old, or where `rejected` is what was read.
  ///
  /// A file that cannot be read any more leaves the last token in force: a rotation may be under way.
  func token(at now: Date, rejected: String? = nil) throws(AccessError) -> String {
    let outcome = state.withLock { state -> Result<String, AccessError> in
      let age = state.readAt.map { now.timeIntervalSince($0) }
      if let token = state.token, let age, (0..<Self.longestAge).contains(age), token != rejected {
        return .success(token)
      }
      do throws(AccessError) {
        state.token = try read()
        state.readAt = now
      } catch {
        guard let known = state.token ?? fallback else { return .failure(error) }
        return .success(known)
      }
      return .success(state.token ?? "")
    }
    return try outcome.get()
  }

  private func read() throws(AccessError) -> String {
    let bytes: [UInt8]
    do {
      bytes = try SmallFile.read(path)
    } catch {
      throw AccessError(place, "token file \(path): \(error.text)")
    }
    let words = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace)
    guard words.count == 1, let token = words.first else {
      throw AccessError(
        place, "token file \(path): \(words.isEmpty ? "it is empty" : "it is no single word")")
    }
    return String(token)
  }
}
