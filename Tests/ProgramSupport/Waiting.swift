/// A condition that did not come about in time.
struct Missed: Error, CustomStringConvertible {
  let description: String
}

/// A process that has ended, so that no wait for it makes sense.
struct HasEnded: Error, CustomStringConvertible {
  let description: String
}

/// Waits until `look` finds something; the error says what was waited for, and what went wrong last.
@discardableResult
func eventually<Found>(
  _ what: String, within limit: Duration = .seconds(30), every pause: Duration = .milliseconds(20),
  _ look: () async throws -> Found?
) async throws -> Found {
  let end = ContinuousClock.now + limit
  var trouble = ""
  while true {
    do {
      if let found = try await look() { return found }
    } catch let error as HasEnded {
      throw error
    } catch {
      trouble = ": \(error)"
    }
    guard ContinuousClock.now < end else { throw Missed(description: "\(what), within \(limit)\(trouble)") }
    try await Task.sleep(for: pause)
  }
}

/// Waits until a condition holds.
func eventually(
  _ what: String, within limit: Duration = .seconds(30), _ condition: () async throws -> Bool
) async throws {
  try await eventually(what, within: limit) { try await condition() ? true : nil }
}
