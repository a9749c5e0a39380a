internal import DroverCore

/// Joins single values to samples: those of one guest and one moment belong together.
struct HandlerReadingBuilder {
  private static let tolerance: Int64 = 600_000

  private var reading: HandlerReading
  private var moments: [HandlerKey: [Int64: Joined]] = [:]

  /// Begins; a value without a time of its own is taken for one of `serverTime`.
  init(serverTime: Int64) { reading = HandlerReading(serverTime: serverTime) }

  /// Adds one value; one that cannot be is counted and left out.
  mutating func take(_ family: HandlerFamily, of key: HandlerKey, value: Double, at time: Int64?) {
    guard !key.name.isEmpty, !key.namespace.isEmpty, !key.node.isEmpty else {
      reading.flaws.nameless += 1
      return
    }
    // Every Double up to 2^63 fits an unsigned number; the comparison is false for what is not a number.
    guard value >= 0, value <= 0x1p63 else {
      reading.flaws.absurd += 1
      return
    }
    let at = time ?? reading.serverTime
    guard at > 0, at - Self.tolerance <= reading.serverTime else {
      reading.flaws.untimely += 1
      return
    }
    let number = UInt64(value)
    guard family.field != .guestDirtyRate else {
      if reading.guestDirtyRates[key].map({ $0.at <= at }) ?? true {
        reading.guestDirtyRates[key] = GuestDirtyRate(at: at, rate: BytesPerSecond(number))
      }
      return
    }
    moments[key, default: [:]][
      at, default: Joined(sample: HandlerSample(at: at, hasOwnTime: time != nil))
    ].take(family, number)
  }

  /// Counts lines that could not be read.
  mutating func malformed(_ count: Int) { reading.flaws.malformed += count }

  /// Notes what a Prometheus warned of.
  mutating func warn(_ texts: [String]) { reading.warnings += texts }

  /// What came together.
  consuming func finish() -> HandlerReading {
    for (key, joined) in moments {
      // From 1.8 the old name of the total is a rule of Prometheus: it repeats the last value, under times of its own,
      // for minutes after the migration. So a total makes no sample by itself.
      let samples = joined.values.map(\.sample).filter(\.isMore)
      guard !samples.isEmpty else { continue }
      reading.samples[key] = Array(
        samples.sorted { $0.at < $1.at }.suffix(HandlerReading.longestSeries))
    }
    return reading
  }
}

/// A sample, with the age of the name that each of its values came under.
private struct Joined {
  var sample: HandlerSample
  var ages: [HandlerField: Int] = [:]

  mutating func take(_ family: HandlerFamily, _ number: UInt64) {
    if let age = ages[family.field], age < family.age { return }
    ages[family.field] = family.age
    switch family.field {
    case .total: sample.total = Bytes(number)
    case .processed: sample.processed = Bytes(number)
    case .remaining: sample.remaining = Bytes(number)
    case .dirtyRate: sample.dirtyRate = BytesPerSecond(number)
    case .memoryRate: sample.memoryRate = BytesPerSecond(number)
    case .guestDirtyRate: break
    }
  }
}

extension HandlerSample {
  /// Whether it tells more than a total.
  fileprivate var isMore: Bool {
    processed != nil || remaining != nil || dirtyRate != nil || memoryRate != nil
  }
}
