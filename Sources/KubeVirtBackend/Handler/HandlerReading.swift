internal import DroverCore

/// Whose numbers they are: virt-handler knows a guest by name and node, never a migration.
struct HandlerKey: Hashable, Sendable {
  /// The guest's namespace.
  var namespace: String
  /// The guest's name.
  var name: String
  /// The node that the guest was on when its migration began.
  var node: String
}

/// What virt-handler measured of one migrating guest at one moment.
struct HandlerSample: Hashable, Sendable {
  /// When it was measured, milliseconds since 1970 by the node's clock; by the exporter's where a line has no time.
  var at: Int64
  /// Whether the time is the sample's own; if not, it is only the time of the scrape.
  var hasOwnTime = true
  /// Bytes in all, memory and disks; nil below KubeVirt 1.5.
  var total: Bytes?
  /// Bytes sent, repeats included: it exceeds the total.
  var processed: Bytes?
  /// Bytes still to be sent; rises and falls.
  var remaining: Bytes?
  /// Rate at which the guest dirties memory; 0 before the first pass has ended.
  var dirtyRate: BytesPerSecond?
  /// Rate at which memory is sent.
  var memoryRate: BytesPerSecond?
}

/// How fast a guest dirties its memory, as measured for the scrape; most guests that have it do not migrate.
struct GuestDirtyRate: Hashable, Sendable {
  /// When, milliseconds since 1970.
  var at: Int64
  /// The rate, a multiple of 1 MiB/s.
  var rate: BytesPerSecond
}

/// What one answer held.
struct HandlerReading: Hashable, Sendable {
  /// What was left out of an answer.
  struct Flaws: Hashable, Sendable {
    /// Lines that are not of the format.
    var malformed = 0
    /// Values below 0, not a number, or above 2^63.
    var absurd = 0
    /// Times that cannot be: not after 1970, or more than ten minutes after the answer.
    var untimely = 0
    /// Samples that name no guest or no node.
    var nameless = 0

    /// All of them.
    var count: Int { malformed + absurd + untimely + nameless }
  }

  /// The longest series that is kept, by its newest moments; virt-handler remembers ten.
  static let longestSeries = 32

  /// The clock of whoever answered, milliseconds since 1970, the fraction of the second cut off.
  var serverTime: Int64
  /// The samples of each migrating guest, in the order of time, one for each moment.
  var samples: [HandlerKey: [HandlerSample]] = [:]
  /// The dirty rates that were measured beside migrations.
  var guestDirtyRates: [HandlerKey: GuestDirtyRate] = [:]
  /// What was left out.
  var flaws = Flaws()
  /// What a Prometheus warned of.
  var warnings: [String] = []

  /// How old a sample was when the answer was given, by the clock of whoever answered; to the second, since that is
  /// how an answer tells its time.
  func age(of sample: HandlerSample) -> Duration {
    .milliseconds(max(0, serverTime - sample.at))
  }
}

extension HandlerReading {
  /// Reads a body of virt-handler's `/metrics`.
  ///
  /// - Parameter serverTime: Its clock when it answered, milliseconds since 1970.
  init(text body: Span<UInt8>, serverTime: Int64) {
    var builder = HandlerReadingBuilder(serverTime: serverTime)
    let tally = PrometheusText.visit(body, prefixes: HandlerFamily.prefixes) { sample in
      guard let family = HandlerFamily(sample.name) else { return }
      builder.take(family, of: HandlerKey(sample.label), value: sample.value, at: sample.timestamp)
    }
    builder.malformed(tally.malformed)
    self = builder.finish()
  }
}

extension HandlerKey {
  /// Reads the labels of a sample; a Prometheus that does not honour them has put `exported_` before what it replaced.
  init(_ label: (String) -> String?) {
    func original(_ name: String) -> String { label("exported_\(name)") ?? label(name) ?? "" }
    self.init(namespace: original("namespace"), name: original("name"), node: original("node"))
  }
}
