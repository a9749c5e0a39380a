/// Lets each sample pass once.
///
/// Every answer repeats what virt-handler remembers, so most samples come again; and a handler that has got stuck
/// repeats its last one for ever, which is then nothing new.
struct Freshness: Hashable, Sendable {
  /// The newest sample falls back by this much only where the clock was set, never through answers that overtake
  /// each other or two Prometheus servers that take turns.
  private static let step: Int64 = 120_000

  private struct Seen: Hashable {
    /// The time of the newest sample that passed.
    var last: Int64?
    /// Samples before this are another migration's.
    var floor: Int64?
  }

  private var seen: [HandlerKey: Seen] = [:]

  /// Knows of no sample.
  init() {}

  /// Says that a migration of this guest began at a time by the node's clock: earlier samples are an older one's.
  mutating func expect(_ key: HandlerKey, from time: Int64) { seen[key, default: Seen()].floor = time }

  /// The samples that have not passed yet, in the order of time; `samples` must be in that order.
  mutating func take(_ key: HandlerKey, _ samples: [HandlerSample]) -> [HandlerSample] {
    guard let newest = samples.last?.at else { return [] }
    var state = seen[key, default: Seen()]
    if let last = state.last, newest < last - Self.step {
      state.last = nil
      if let floor = state.floor, newest < floor { state.floor = nil }
    }
    let news = samples.filter { sample in
      (state.last.map { sample.at > $0 } ?? true) && (state.floor.map { sample.at >= $0 } ?? true)
    }
    if let last = news.last { state.last = last.at }
    seen[key] = state
    return news
  }

  /// All samples of an answer that have not passed yet.
  mutating func take(_ reading: HandlerReading) -> [HandlerKey: [HandlerSample]] {
    var news: [HandlerKey: [HandlerSample]] = [:]
    for (key, samples) in reading.samples {
      let fresh = take(key, samples)
      if !fresh.isEmpty { news[key] = fresh }
    }
    return news
  }

  /// Forgets guests whose newest sample is older than this, and those that never had one.
  mutating func forget(before time: Int64) {
    seen = seen.filter { ($0.value.last ?? $0.value.floor ?? 0) >= time }
  }

  /// Forgets a guest.
  mutating func forget(_ key: HandlerKey) { seen[key] = nil }
}
