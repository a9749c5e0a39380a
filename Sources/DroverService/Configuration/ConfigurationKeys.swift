internal import DroverCore
internal import Exposition
internal import Journal
internal import Yams

/// The time-outs of a back end, or of all that set none of their own.
struct Timeouts {
  var budget = BudgetSettings()
  /// Nil for what the host says.
  var keepalive: KeepaliveSettings?
}

/// The keys of a configuration, their ranges and defaults.
extension ConfigurationReader {
  mutating func configuration() -> Configuration {
    var result = Configuration()
    let top = mapping(
      document.root, "",
      keys: ["backends", "timeouts", "verdict", "retention", "metrics", "journal", "access", "control"],
      remedies: [
        "web": "addresses are given by --web.listen-address;",
        "log": "it is given by --log.level and --log.format;",
      ])
    let timeouts = timeouts(top["timeouts"], "timeouts", defaults: Timeouts())
    result.timeouts = timeouts.budget
    result.keepalive = timeouts.keepalive

    let verdict = mapping(
      top["verdict"], "verdict",
      keys: ["stalledAfter", "passes", "dirtyRatio", "controlSilence", "dataSilence"])
    result.stalledAfter =
      duration(verdict["stalledAfter"], "verdict.stalledAfter", in: .seconds(1)...hours(1), example: "10s")
      ?? result.stalledAfter
    result.passes = integer(verdict["passes"], "verdict.passes", in: 1...1000, example: 3) ?? result.passes
    result.dirtyRatio =
      fraction(verdict["dirtyRatio"], "verdict.dirtyRatio", in: 0.01...10, example: 0.9) ?? result.dirtyRatio
    result.controlSilence =
      duration(verdict["controlSilence"], "verdict.controlSilence", in: .seconds(1)...hours(1), example: "7s")
      ?? result.controlSilence
    result.dataSilence =
      duration(verdict["dataSilence"], "verdict.dataSilence", in: .seconds(1)...hours(1), example: "5s")
      ?? result.dataSilence

    result.retention =
      duration(top["retention"], "retention", in: .seconds(1)...hours(30 * 24), example: "15m")
      ?? result.retention

    let metrics = mapping(top["metrics"], "metrics", keys: ["vms", "maxMigrations", "vmLabels"])
    result.vmLabels = vmLabels(metrics["vmLabels"])
    result.vms = choice(metrics["vms"], "metrics.vms", VMSelection.self) ?? result.vms
    result.maxMigrations =
      integer(metrics["maxMigrations"], "metrics.maxMigrations", in: 1...100_000, example: 5000)
      ?? result.maxMigrations

    journal(top["journal"], &result)
    result.access = access(top["access"])
    control(top["control"], &result)
    result.drain = drain(top["control"])

    result.backends = backends(top["backends"], timeouts: timeouts)
    return result
  }

  private mutating func journal(_ node: Node?, _ result: inout Configuration) {
    let keys = mapping(node, "journal", keys: ["path", "maxAge", "maxSize"])
    if let path = text(keys["path"], "journal.path", example: "/var/lib/drover/journal.db"),
      let node = keys["path"], !path.isEmpty
    {
      if let refusal = JournalPlace.refusal(of: path) { complain(at: node, "journal.path: \(refusal)") }
      result.journalPath = path
    }
    result.journal.maxAge =
      duration(keys["maxAge"], "journal.maxAge", in: hours(1)...hours(10 * 365 * 24), example: "90d")
      ?? result.journal.maxAge
    result.journal.maxSize =
      size(
        keys["maxSize"], "journal.maxSize", in: JournalLimits.leastSize...Bytes.gibibytes(1024),
        example: "1GiB") ?? result.journal.maxSize
  }

  /// Reads time-outs; what is not given there is taken from `defaults`.
  ///
  /// - Parameter noKeepalive: Why there is no keepalive here; nil where there is.
  mutating func timeouts(_ node: Node?, _ path: String, defaults: Timeouts, noKeepalive: String? = nil)
    -> Timeouts
  {
    let keys = mapping(
      node, path, keys: ["completionPerGiB", "progress"] + (noKeepalive == nil ? ["keepalive"] : []),
      remedies: noKeepalive.map { ["keepalive": "\($0);"] } ?? [:])
    var result = defaults
    result.budget.completionPerGiB =
      duration(
        keys["completionPerGiB"], "\(path).completionPerGiB", in: .milliseconds(1)...hours(30 * 24),
        zero: "no time-out", example: "800s") ?? result.budget.completionPerGiB
    result.budget.progress =
      duration(
        keys["progress"], "\(path).progress", in: .seconds(1)...hours(30 * 24), zero: "no time-out",
        example: "150s") ?? result.budget.progress
    result.keepalive = keepalive(keys["keepalive"], "\(path).keepalive", defaults: result.keepalive)
    return result
  }

  private mutating func keepalive(_ node: Node?, _ path: String, defaults: KeepaliveSettings?)
    -> KeepaliveSettings?
  {
    let keys = mapping(node, path, keys: ["interval", "count"])
    guard !keys.isEmpty else { return defaults }
    var result = defaults ?? KeepaliveSettings()
    if let interval = duration(
      keys["interval"], "\(path).interval", in: .seconds(1)...hours(1), zero: "no keepalive", example: "5s")
    {
      result.interval = interval
      if let node = keys["interval"], interval.milliseconds % 1000 != 0 {
        complain(
          at: node,
          "\(path).interval must be whole seconds, as in libvirt's qemu.conf, not "
            + "\(PrometheusDuration.format(interval)); such as 5s")
      }
    }
    result.count = integer(keys["count"], "\(path).count", in: 0...1000, example: 5) ?? result.count
    return result
  }

  func hours(_ n: Int) -> Duration { .seconds(n * 3600) }
}
