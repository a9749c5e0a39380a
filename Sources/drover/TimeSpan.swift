import ArgumentParser
import DroverService

/// A length of time as one types it: `5s`, `1m30s`, or seconds alone, such as `0.5`.
struct TimeSpan: ExpressibleByArgument, Hashable, Sendable {
  let duration: Duration

  init(_ duration: Duration) { self.duration = duration }

  init?(argument: String) {
    if let seconds = Double(argument) {
      guard seconds >= 0, seconds < 1e9 else { return nil }
      duration = .seconds(seconds)
    } else {
      do {
        duration = try PrometheusDuration.parse(argument)
      } catch {
        return nil
      }
    }
  }

  var defaultValueDescription: String { "\(duration)" }
}
