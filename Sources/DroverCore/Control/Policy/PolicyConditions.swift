/// What rules look out for in one migration, as of its last sample and a moment.
public struct PolicyCondition: Hashable, Sendable {
  /// Since when it holds; nil where only that it holds now is known.
  public var since: Moment?
  /// In words that follow "because".
  public var words: String

  /// All that hold of one trigger; nil where it does not.
  public static func of(_ trigger: Trigger, _ view: MigrationView, at now: Moment) -> PolicyCondition? {
    guard !view.isOver else { return nil }
    switch trigger {
    case .completionTimeout:
      guard let latest = completionEnd(view), let budget = view.completion, latest <= now else { return nil }
      return .init(since: latest, words: "its \(seconds(budget.timeout)) for the whole migration are used up")
    case .progressTimeout:
      // Stillness reaches as far as the sample that shows it: a source that does not answer says nothing.
      guard let end = progressEnd(view), let clocks = view.progress, view.sampledAt >= end else { return nil }
      return .init(
        since: end,
        words: "its remaining bytes have not fallen for \(seconds(view.sampledAt - clocks.lastDrop))")
    case .notConverging:
      return view.verdict.kind == .notConverging
        ? .init(words: "the guest dirties its memory as fast as it is sent: it does not converge") : nil
    case .keepalive:
      guard !view.phase.isPostcopy, let latest = keepaliveEnd(view), latest <= now else { return nil }
      return .init(
        since: latest, words: "its control connection has been silent for longer than its keepalive allows")
    case .networkLost:
      guard !view.networkLosses.isEmpty else { return nil }
      let names = view.networkLosses.map(\.network.rawValue).joined(separator: ", ")
      return .init(words: "a network of it is lost (\(names))")
    case .postcopy:
      return view.phase.isPostcopy ? .init(since: view.phaseEnteredAt, words: "it is in post-copy") : nil
    case .person, .alert: return nil
    }
  }

  init(since: Moment? = nil, words: String) {
    self.since = since
    self.words = words
  }

  /// When time alone may make a condition of this trigger hold; nil where it cannot.
  static func due(_ trigger: Trigger, _ view: MigrationView) -> Moment? {
    switch trigger {
    case .completionTimeout: completionEnd(view)
    case .keepalive: keepaliveEnd(view)
    default: nil
    }
  }

  /// A deadline is shown as the earliest that it can be; nothing is ended before the latest.
  private static func completionEnd(_ view: MigrationView) -> Moment? {
    view.completionDeadline.flatMap { deadline in view.completion.map { deadline + $0.uncertainty } }
  }

  private static func progressEnd(_ view: MigrationView) -> Moment? {
    guard view.progressDeadline != nil, let budget = view.progressBudget else { return nil }
    return view.progress.map { $0.lastDrop + budget.timeout }
  }

  private static func keepaliveEnd(_ view: MigrationView) -> Moment? {
    view.keepalive.map { $0.deadline + $0.uncertainty }
  }

  /// `150 s`, `0.5 s`.
  static func seconds(_ duration: Duration) -> String {
    let milliseconds = duration.milliseconds
    return milliseconds % 1000 == 0 ? "\(milliseconds / 1000) s" : "\(Double(milliseconds / 100) / 10) s"
  }
}
