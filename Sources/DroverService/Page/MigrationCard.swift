internal import DroverCore

/// One migration on the page.
enum MigrationCard {
  static func running(_ item: MigrationItem) -> HTML {
    """
    <article class="\(item.tone.rawValue)" aria-label="\(item.scope)/\(item.vm)">
    <h3>\(item.scope)/\(item.vm) \(tag(item))</h3>
    <p class="where"><b>\(Words.plain(item.phase))</b> for \(Words.duration(item.seconds(since: item.phaseEnteredAt)))\
    \(way(item))\(age(item))</p>
    \(why(item))<dl>
    \(progress(item))\(budget("Completion budget", item.completion, item))\(budget("Progress budget", item.progress, item))\
    \(keepalive(item))\(network(item))</dl>
    <p class="facts">\(facts(item))</p>
    <p class="id"><a href="./api/v1/migrations/\(item.id)">\(item.id)</a></p>
    </article>

    """
  }

  static func ended(_ item: MigrationItem) -> HTML {
    guard let ending = item.ending else { return "" }
    return """
      <article class="over \(item.tone.rawValue)" aria-label="\(item.scope)/\(item.vm)">
      <h3>\(item.scope)/\(item.vm) \(tag(item))</h3>
      <p class="where">ended \(Words.relative(-item.seconds(since: ending.endedAt))) at \(ending.endedAt.time) UTC\
      \(ending.durationSeconds.map { ", took \(Words.duration($0))" as HTML } ?? "")\(way(item))</p>
      \(why(item))\
      <p class="facts">\(facts(item))</p>
      <p class="id"><a href="./api/v1/migrations/\(item.id)">\(item.id)</a></p>
      </article>

      """
  }

  private static func tag(_ item: MigrationItem) -> HTML {
    let isJudged = item.isOver || item.phase != "precopy" || item.isOld || item.verdict != "unknown"
    return "<span class=\"tag \(item.tone.rawValue)\">\(isJudged ? item.state : "no verdict")</span>"
  }

  private static func way(_ item: MigrationItem) -> HTML {
    guard !item.source.isEmpty || !item.target.isEmpty else { return "" }
    let target = item.target.isEmpty ? item.requestedTarget.map { "\($0) (asked for)" } ?? "?" : item.target
    return " · \(item.source.isEmpty ? "?" : item.source) → \(target)"
  }

  private static func age(_ item: MigrationItem) -> HTML {
    guard let age = item.sampleAgeSeconds else { return "" }
    let words = "data \(Words.duration(age.rounded(.down))) old"
    return " · <span class=\"\(item.isOld ? "bad" : "dim")\">\(words)</span>"
  }

  /// What is wrong; else what the verdict rests on.
  private static func why(_ item: MigrationItem) -> HTML {
    let words = item.remark ?? item.pending.map(Words.wait) ?? (item.phase == "precopy" ? item.evidence : "")
    guard !words.isEmpty else { return "" }
    guard item.urgency != .guestAtRisk else { return "<p class=\"alarm\" role=\"alert\">\(words)</p>\n" }
    return "<p class=\"why\">\(words)</p>\n"
  }

  private static func progress(_ item: MigrationItem) -> HTML {
    guard let remaining = item.remainingBytes else { return "" }
    let size = item.sizeBytes.map { " of \(Words.size($0))" } ?? ""
    let ending = item.expectedEndAt.map {
      "; expected end \(Words.relative($0.seconds(since: item.asOf))), \($0.time) UTC"
    }
    return row(
      "Progress", item.progressRatio, shown: item.progressRatio.map(Words.percent), tone: "",
      "\(Words.size(remaining))\(size) remaining\(ending ?? "")")
  }

  private static func budget(_ name: String, _ budget: MigrationItem.Budget?, _ item: MigrationItem) -> HTML {
    guard let budget else { return "" }
    let documented = Words.documented(budget).map { "; documented \($0)" } ?? ""
    guard let deadline = budget.deadlineAt, let used = budget.usedSeconds, budget.timeoutSeconds > 0 else {
      return row(name, nil, shown: nil, tone: "", "no deadline in this phase\(documented)")
    }
    let ratio = used / budget.timeoutSeconds
    return row(
      name, ratio, shown: Words.duration(used.rounded(.down)),
      tone: ratio >= 0.9 ? "bad" : ratio >= 0.7 ? "warn" : "",
      "\(until(deadline, or: budget.uncertaintySeconds, of: budget.timeoutSeconds, item)), "
        + MigrationItem.enforcement(budget) + documented)
  }

  private static func until(
    _ deadline: Timestamp, or uncertainty: Double?, of timeout: Double, _ item: MigrationItem
  ) -> String {
    "of \(Words.duration(timeout)); deadline \(deadline.time) UTC\(Words.later(uncertainty)): "
      + Words.left(deadline.seconds(since: item.asOf))
  }

  private static func keepalive(_ item: MigrationItem) -> HTML {
    guard let keepalive = item.keepalive else { return "" }
    let basis = Words.keepalive(basis: keepalive.basis)
    guard let deadline = keepalive.deadlineAt, let used = keepalive.usedSeconds,
      let timeout = keepalive.timeoutSeconds, timeout > 0
    else { return row("Keepalive", nil, shown: nil, tone: "", basis) }
    let ratio = used / timeout
    return row(
      "Keepalive", ratio, shown: Words.duration(used.rounded(.down)),
      tone: !item.isKeepalivePressing ? "" : ratio >= 0.7 ? "bad" : "warn",
      "\(until(deadline, or: keepalive.uncertaintySeconds, of: timeout, item)), enforced by libvirt; \(basis)"
    )
  }

  /// The connections, and which network is lost.
  private static func network(_ item: MigrationItem) -> HTML {
    func connection(
      _ name: String, _ connection: MigrationItem.Connection?, over network: LostNetwork
    ) -> HTML {
      guard let connection else { return "" }
      return row(
        name, nil, shown: nil, tone: "", Words.connection(connection, asOf: item.asOf),
        isBad: item.networkLost.contains(network.rawValue))
    }
    let lost = item.networkLost.map(Words.plain).joined(separator: ", ")
    return HTML.join([
      connection("Control connection", item.connections?.control, over: .management),
      connection("Data connection", item.connections?.data, over: .migration),
      lost.isEmpty ? "" : row("Network lost", nil, shown: nil, tone: "", lost, isBad: true),
    ])
  }

  private static func row(
    _ name: String, _ ratio: Double?, shown: String?, tone: String, _ words: String, isBad: Bool = false
  ) -> HTML {
    let bar: HTML
    if let ratio {
      let permille = Int((min(max(ratio, 0), 1) * 1000).rounded(.down))
      bar =
        "<progress class=\"\(tone)\" max=\"1000\" value=\"\(permille)\" aria-label=\"\(name)\">\(shown ?? "")</progress>"
    } else {
      bar = ""
    }
    let span: HTML = isBad ? "<span class=\"bad\">" : "<span>"
    return "<div><dt>\(name)</dt><dd>\(bar)<b>\(shown ?? "")</b> \(span)\(words)</span></dd></div>\n"
  }

  private static func facts(_ item: MigrationItem) -> HTML {
    let interruptions = item.interruptions
    let facts: [(String, String?)] = [
      ("sends", item.transferBytesPerSecond.map(Words.rate)),
      ("dirties", item.isOver ? nil : item.dirtyBytesPerSecond.map(Words.rate)),
      ("sent", item.transferredBytes.map(Words.size)),
      ("best remaining", item.isOver ? nil : item.bestRemainingBytes.map(Words.size)),
      ("passes", item.iterations.map { "\($0)" }),
      ("throttled", item.cpuThrottleRatio.flatMap { $0 > 0 ? Words.percent($0) : nil }),
      ("expected downtime", item.isOver ? nil : item.expectedDowntimeSeconds.map(Words.duration)),
      ("downtime", item.downtimeSeconds.map(Words.duration)),
      ("downtime limit", item.downtimeLimitSeconds.map(Words.duration)),
      (
        "interruptions",
        interruptions.count == 0
          ? (item.isOver ? nil : "none") : "\(interruptions.count) (\(Words.duration(interruptions.seconds)))"
      ),
      ("guest runs on", item.guestRunsOn == "unknown" ? nil : item.guestRunsOn),
      ("asked for by", item.origin == "unknown" ? nil : Words.plain(item.origin)),
      ("object", item.object), ("network", item.network), ("policy", item.migrationPolicy),
      ("product status", item.productStatus), ("back end", item.backend),
    ]
    return HTML.join(facts.compactMap { name, value in value.map { "<span>\(name) <b>\($0)</b></span> " } })
  }
}
