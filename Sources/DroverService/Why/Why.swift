internal import DroverCore

/// Says what is happening, which limit comes next, and what one can do; from what is known, without asking anybody.
struct Why: Sendable {
  let snapshot: FleetSnapshot
  let epochOffset: EpochOffset
  let now: Moment
  /// Decisions, the newest first.
  var decisions: [Decision] = []
  /// Why they are not known; nil where they are.
  var journalProblem: String?
  /// What may be ended without a person; nil where that is not said.
  var automatic: AutomaticSettings?
  /// Why automatic aborts wait.
  var holds: Set<HoldReason> = []
  /// What its rule comes to for a migration from now on.
  var outlook: @Sendable (MigrationView) -> [AutomaticOutlook] = { _ in [] }

  // MARK: A migration

  /// - Parameter abort: What came of asking for its end without doing it; nil where nobody can be asked.
  func migration(_ view: MigrationView, abort: (refusal: Refusal?, consequence: String)?) -> WhyItem {
    let item = MigrationItem(view, epochOffset: epochOffset, now: now)
    let beginning = epochOffset.unixMilliseconds(view.createdAt ?? view.startedAt)
    var answer = WhyItem(
      kind: "migration", name: "\(item.scope)/\(item.vm), \(item.id)", now: happening(item, view), next: [],
      decided: decided { decision in
        // What concerns the VM alone does so whichever migration it has; what came before is of another one.
        decision.migration.map { $0 == view.identity.id }
          ?? (decision.vm == view.identity.vm && decision.madeAt >= beginning)
      },
      possible: [], impossible: [])
    guard !view.isOver else { return answer }
    answer.now += governed(view)
    answer.next = limits(of: view)
    let command = "drover abort \(item.id)"
    if let abort {
      if let refusal = abort.refusal {
        answer.impossible.append(.init(command: command, text: refusal.text))
      } else {
        answer.possible.append(.init(command: command, text: abort.consequence))
      }
    }
    answer.possible.append(.init(command: "drover watch \(item.id)", text: "follows it to its end"))
    return answer
  }

  private func happening(_ item: MigrationItem, _ view: MigrationView) -> [String] {
    if let ending = item.ending {
      var lines = [
        "\(ending.outcome) \(Words.relative(-item.seconds(since: ending.endedAt)))"
          + (ending.cause.map { ": \(Words.plain($0)) (\(ending.certainty))" } ?? "")
      ]
      if !ending.text.isEmpty { lines.append("the source said: \(ending.text)") }
      return lines + [guest(item)]
    }
    var lines = [
      "\(Words.plain(item.phase)) for \(Words.duration(item.seconds(since: item.phaseEnteredAt))), "
        + "from \(item.source.isEmpty ? "?" : item.source) to \(item.target.isEmpty ? "?" : item.target), "
        + (item.origin == "unknown"
          ? "by whose wish is not known" : "asked for by \(Words.plain(item.origin))")
    ]
    if let pending = item.pending { lines.append(Words.wait(pending)) }
    if view.phase == .precopy {
      lines.append("\(Words.plain(item.verdict)): \(item.evidence)")
      if let end = item.expectedEndAt {
        lines.append("it ends \(Words.relative(end.seconds(since: item.asOf))) if this goes on")
      }
    }
    if view.phase.isPostcopy {
      lines.append(
        "the guest runs at the target already: if the connection breaks, it stands until that is recovered")
    }
    if !item.networkLost.isEmpty {
      lines.append("lost: \(item.networkLost.map(Words.network).joined(separator: ", "))")
    }
    if item.isOld { lines.append("the last counters are old: what is said here may not hold any more") }
    return lines + [guest(item)]
  }

  private func guest(_ item: MigrationItem) -> String {
    switch item.guestRunsOn {
    case "source": "the guest runs at the source\(item.source.isEmpty ? "" : ", \(item.source)")"
    case "target": "the guest runs at the target\(item.target.isEmpty ? "" : ", \(item.target)")"
    case "both": "THE GUEST RUNS TWICE: stop one of them now"
    case "none": "THE GUEST RUNS NOWHERE"
    default: "where the guest runs is not known"
    }
  }

  // MARK: A VM

  /// - Parameter start: What came of asking for its migration without doing it; nil where nobody can be asked.
  func vm(_ view: VMView, start: (refusals: [Refusal], warnings: [String])?) -> WhyItem {
    let name = VMPath(view.vm).description
    let open = snapshot.migrations.first { $0.identity.vm == view.vm && !$0.isOver }
    var lines = [view.node.isEmpty ? "it is on no node that is known" : "it is on \(view.node)"]
    if let open {
      lines.append("it has a migration: \(Words.plain(open.phase.rawValue)), drover why \(open.identity.id)")
    } else {
      lines.append("no migration of it is under way\(lastEnd(of: view.vm))")
    }
    if view.blockers == [.unknown] {
      lines.append("whether it can be migrated is not known: drover explain \(name) says what cannot be read")
    } else if let blockers = view.blockers, !blockers.isEmpty {
      lines.append("cannot be migrated: \(blockers.map { Words.plain($0.rawValue) }.joined(separator: ", "))")
    }
    if view.consecutiveFailures > 0 {
      lines.append("\(view.consecutiveFailures) of its migrations failed in a row")
    }
    if let outcome = view.drainOutcome {
      lines.append("a drain of its node: \(Words.plain(outcome.rawValue))")
    }
    var answer = WhyItem(
      kind: "vm", name: name, now: lines, next: open.map(limits) ?? [], decided: decided { $0.vm == view.vm },
      possible: knowsEligibility(view.vm.backend)
        ? [
          .init(
            command: "drover explain \(name)",
            text: "says all that speaks against its migration, and where it can go")
        ] : [],
      impossible: [])
    if let open {
      answer.possible.insert(
        .init(
          command: "drover why \(open.identity.id)", text: "its migration, and whether that may be ended"),
        at: 0)
    }
    if let start {
      let command = "drover migrate \(name)"
      if start.refusals.isEmpty {
        answer.possible.insert(
          .init(command: command, text: (["migrates it"] + start.warnings).joined(separator: "; ")), at: 0)
      } else {
        answer.impossible.append(
          .init(command: command, text: start.refusals.map(\.text).joined(separator: "; ")))
      }
    }
    return answer
  }

  /// How its latest migration ended; empty where none is shown.
  private func lastEnd(of vm: VMRef) -> String {
    let ends = snapshot.migrations.lazy.filter { $0.identity.vm == vm }.compactMap(\.ending)
    guard let last = ends.max(by: { $0.endedAt < $1.endedAt }) else { return "" }
    let cause = last.cause.map { " (\(Words.plain($0.rawValue)))" } ?? ""
    return "; its last \(last.outcome.rawValue) \(Words.relative(-(now - last.endedAt).inSeconds))\(cause)"
  }

  /// QEMU alone knows of no other place that a guest could go to.
  private func knowsEligibility(_ name: BackendName) -> Bool {
    snapshot.backends.first { $0.descriptor.name == name }?.descriptor.type != "qemu"
  }

  // MARK: A node

  func node(_ view: NodeView) -> WhyItem {
    var lines = [
      "\(view.knownVMs.map { "\($0) \($0 == 1 ? "VM" : "VMs") on it" } ?? "its VMs are not known"), \(view.outbound) leaving, \(view.inbound) arriving, \(view.pending) waiting"
    ]
    if let state = view.state {
      if let isReady = state.isReady { lines.append(isReady ? "the cluster calls it ready" : "NOT READY") }
      if let heartbeat = state.heartbeat {
        lines.append("virt-handler was heard \(Words.relative(-(now - heartbeat).inSeconds))")
      }
      if state.drain.isDraining, view.ownDrain?.record.state.isInForce != true {
        let since = state.drain.startedAt.map { " since \(Words.duration((now - $0).inSeconds))" } ?? ""
        let vms = DrainVMState.allCases.compactMap { word in
          state.drain.vms[word].flatMap { $0 > 0 ? "\($0) \(Words.plain(word.rawValue))" : nil }
        }
        lines.append("being drained\(since): \(vms.isEmpty ? "nothing left" : vms.joined(separator: ", "))")
      }
    }
    if let drain = view.ownDrain { lines += self.drain(drain) }
    if let blockers = view.rebootBlockers {
      lines.append(
        blockers.isEmpty
          ? "nothing speaks against a reboot"
          : "a reboot now is wrong: \(blockers.map(Self.words).joined(separator: ", "))")
    }
    if view.failedOutbound > 0 {
      lines.append("\(view.failedOutbound) migrations from it failed since the start")
    }
    let leaving = snapshot.migrations.filter {
      !$0.isOver && $0.identity.vm.backend == view.backend && $0.facts.source == view.node
    }
    return WhyItem(
      kind: "node", name: "\(view.backend.rawValue)/\(view.node)", now: lines,
      next: leaving.flatMap(namedLimits).sorted { $0.inSeconds < $1.inSeconds }.prefix(5).map(\.self),
      decided: decided(namesVM: true) {
        $0.node == view.node && ($0.vm?.backend ?? view.backend) == view.backend
      },
      possible: leaving.prefix(10).map {
        .init(
          command: "drover why \($0.identity.id)",
          text: "\($0.identity.vm.name): \(Words.plain($0.phase.rawValue))")
      },
      impossible: [])
  }

  private func namedLimits(of view: MigrationView) -> [WhyItem.Limit] {
    limits(of: view).map { limit in
      var limit = limit
      limit.vm = view.identity.vm.name
      return limit
    }
  }

  private static func words(_ blocker: RebootBlocker) -> String {
    switch blocker {
    case .vm: "VMs are on it"
    case .inbound: "VMs arrive at it"
    case .notCordoned: "it is not cordoned"
    case .lastReplica: "it may hold the last healthy replica of a volume"
    case .dataStale: "what is known of it is old"
    }
  }

  private func decided(namesVM: Bool = false, _ isMeant: (Decision) -> Bool) -> [String] {
    if let journalProblem { return ["not known: \(journalProblem)"] }
    // A record that was written anew keeps its number, and is as late as what it says.
    let latest = decisions.filter(isMeant).sorted {
      ($0.madeAt, $0.id?.rawValue ?? 0) > ($1.madeAt, $1.id?.rawValue ?? 0)
    }
    return latest.prefix(5).map { decision in
      let when = Words.relative(-Double(epochOffset.unixMilliseconds(now) - decision.madeAt) / 1000)
      let words = decision.resultText.isEmpty ? "" : " (\(decision.resultText))"
      let result = decision.result.map { "; \(Words.plain($0.rawValue))\(words)" } ?? ""
      let vm = namesVM ? decision.vm.map { " of \($0.name)" } ?? "" : ""
      return "\(when): \(decision.action.rawValue)\(vm) \(decision.kind.rawValue) by \(decision.requester): "
        + "\(decision.text)\(result)"
    }
  }
}
