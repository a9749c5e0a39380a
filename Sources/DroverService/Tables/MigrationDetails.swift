internal import DroverCore

extension MigrationTables {
  typealias Fact = (String, TextTable.Cell)

  /// Blocks of facts with their titles; what is not known is left out.
  func details(_ item: MigrationItem) -> [(title: String, facts: [Fact])] {
    [
      ("", identity(item)), ("Verdict", verdict(item)), ("Budgets", budgets(item)),
      ("Network", network(item)), ("Copy", copy(item)), ("End", end(item)),
    ].filter { !$0.1.isEmpty }
  }

  private func identity(_ item: MigrationItem) -> [Fact] {
    facts([
      ("id", item.id), ("object", item.object), ("backend", item.backend),
      ("from", item.source), ("to", item.target),
      ("to, as asked", item.requestedTarget == item.target ? nil : item.requestedTarget),
      ("asked for by", item.origin == "unknown" ? nil : Words.plain(item.origin)),
      ("network", item.network), ("policy", item.migrationPolicy), ("product status", item.productStatus),
      (
        "phase",
        item.isOver
          ? nil
          : "\(Words.plain(item.phase)), for \(Words.duration(item.seconds(since: item.phaseEnteredAt)))"
      ),
      ("pending", item.pending.map(Words.wait)),
      ("created", item.createdAt.map { time($0, item) }), ("started", item.startedAt.map { time($0, item) }),
      ("watched", item.watchedSince.map { "since \(time($0, item)): what was before is not known" }),
    ])
      + [
        ("guest runs on", TextTable.Cell(item.guestRunsOn, item.urgency == .guestAtRisk ? .red : .none)),
        (
          item.namespace == nil ? "last answer" : "last counters",
          TextTable.Cell(
            item.sampleAgeSeconds.map { Words.relative(-$0) + (item.isOld ? " (old)" : "") } ?? "",
            item.isOld ? .red : .none)
        ),
      ].filter { !$0.1.text.isEmpty }
  }

  private func time(_ time: Timestamp, _ item: MigrationItem) -> String {
    "\(time), \(Words.relative(time.seconds(since: item.asOf)))"
  }

  private func verdict(_ item: MigrationItem) -> [Fact] {
    guard !item.isOver else { return [] }
    return [("verdict", TextTable.Cell(Words.plain(item.verdict), colour(item.tone)))]
      + facts([
        ("because", item.evidence),
        ("expected end", item.expectedEndAt.map { "\($0), \(Words.relative($0.seconds(since: item.asOf)))" }),
      ])
  }

  private func budgets(_ item: MigrationItem) -> [Fact] {
    guard !item.isOver else { return [] }
    return facts([
      (
        "completion",
        item.completion.map { budget($0, item, without: "no deadline in this phase") } ?? "no time-out known"
      ),
      ("documented", item.completion.flatMap(Words.documented)),
      (
        "progress",
        item.progress.map { budget($0, item, without: "no deadline in this phase") } ?? "no time-out"
      ),
      ("keepalive", item.keepalive.map { keepalive($0, item) }),
    ])
  }

  private func budget(_ budget: MigrationItem.Budget, _ item: MigrationItem, without: String) -> String {
    guard let deadline = budget.deadlineAt, let used = budget.usedSeconds, budget.timeoutSeconds > 0 else {
      return "\(without) (time-out \(Words.duration(budget.timeoutSeconds)))"
    }
    let span = span(
      used: used, of: budget.timeoutSeconds, until: deadline, or: budget.uncertaintySeconds, item)
    return "\(span), \(MigrationItem.enforcement(budget))"
  }

  private func keepalive(_ keepalive: MigrationItem.Keepalive, _ item: MigrationItem) -> String {
    let basis = Words.keepalive(basis: keepalive.basis)
    guard let timeout = keepalive.timeoutSeconds, timeout > 0 else { return basis }
    guard let deadline = keepalive.deadlineAt, let used = keepalive.usedSeconds else {
      return "nothing to count from yet (time-out \(Words.duration(timeout))); \(basis)"
    }
    let span = span(used: used, of: timeout, until: deadline, or: keepalive.uncertaintySeconds, item)
    return "\(span), enforced by libvirt; \(basis)"
  }

  /// A bar, and how much of a time-out is used and left.
  private func span(
    used: Double, of timeout: Double, until deadline: Timestamp, or uncertainty: Double?,
    _ item: MigrationItem
  ) -> String {
    "\(style.bar(used / timeout, width: 16)) \(Words.duration(used)) of \(Words.duration(timeout)), "
      + "\(Words.left(deadline.seconds(since: item.asOf))) (\(deadline.time) UTC\(Words.later(uncertainty)))"
  }

  private func network(_ item: MigrationItem) -> [Fact] {
    func connection(_ name: String, _ connection: MigrationItem.Connection?, over network: LostNetwork)
      -> Fact?
    {
      connection.map {
        let isLost = item.networkLost.contains(network.rawValue)
        return (name, TextTable.Cell(Words.connection($0, asOf: item.asOf), isLost ? .red : .none))
      }
    }
    let lost = item.networkLost.map(Words.plain).joined(separator: ", ")
    return [
      connection("control", item.connections?.control, over: .management),
      connection("data", item.connections?.data, over: .migration),
      lost.isEmpty ? nil : ("lost", TextTable.Cell(lost, .red)),
    ].compactMap(\.self)
  }

  private func copy(_ item: MigrationItem) -> [Fact] {
    facts([
      ("progress", item.progressRatio.map { "\(style.bar($0, width: 16)) \(Words.percent($0))" }),
      (
        "remaining",
        item.isOver
          ? nil
          : item.remainingBytes.map { remaining in
            Words.size(remaining) + (item.sizeBytes.map { " of \(Words.size($0))" } ?? "")
              + (item.bestRemainingBytes.map { ", best \(Words.size($0))" } ?? "")
          }
      ),
      ("sent", item.transferredBytes.map(Words.size)),
      (
        "rate",
        item.transferBytesPerSecond.map { rate in
          Words.rate(rate) + (item.bandwidthLimitBytesPerSecond.map { ", capped at \(Words.rate($0))" } ?? "")
        }
      ),
      ("dirtied", item.isOver ? nil : item.dirtyBytesPerSecond.map(Words.rate)),
      ("passes", item.iterations.map { "\($0)" }),
      ("guest throttled", item.cpuThrottleRatio.flatMap { $0 > 0 ? Words.percent($0) : nil }),
      ("downtime", downtime(item)),
      ("interruptions", item.interruptions.count > 0 ? interruptions(item) : nil),
    ])
  }

  private func end(_ item: MigrationItem) -> [Fact] {
    guard let ending = item.ending else { return [] }
    return [("outcome", TextTable.Cell(ending.outcome, colour(item.tone)))]
      + facts([
        ("cause", ending.cause.map { "\(Words.plain($0)) (\(ending.certainty))" }), ("said", ending.text),
        ("ended", "\(ending.endedAt), \(Words.relative(-item.seconds(since: ending.endedAt)))"),
        ("took", ending.durationSeconds.map { Words.duration($0) }),
      ])
  }

  private func downtime(_ item: MigrationItem) -> String? {
    let parts = [
      item.downtimeSeconds.map { Words.duration($0) },
      item.expectedDowntimeSeconds.map { "expected \(Words.duration($0))" },
      item.downtimeLimitSeconds.map { "limit \(Words.duration($0))" },
    ].compactMap(\.self)
    return parts.isEmpty ? nil : parts.joined(separator: ", ")
  }

  private func interruptions(_ item: MigrationItem) -> String {
    "\(item.interruptions.count), \(Words.duration(item.interruptions.seconds)) in all"
  }

  private func facts(_ pairs: [(String, String?)]) -> [Fact] {
    pairs.compactMap { name, value in
      guard let value, !value.isEmpty else { return nil }
      return (name, TextTable.Cell(value))
    }
  }
}
