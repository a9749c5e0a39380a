/// The time-outs that apply to the migrations of a back end.
public struct BudgetSettings: Hashable, Sendable {
  /// Time allowed for each GiB (2^30 bytes) of guest memory and copied disk; 0 = no time-out.
  public var completionPerGiB: Duration
  /// Time allowed without a fall of the remaining bytes; 0 = no time-out.
  public var progress: Duration

  /// The documented defaults: 800 s per GiB, 150 s without progress.
  public init(completionPerGiB: Duration = .seconds(800), progress: Duration = .seconds(150)) {
    self.completionPerGiB = completionPerGiB
    self.progress = progress
  }
}

/// How long a migration may take as a whole.
public struct CompletionBudget: Hashable, Sendable {
  /// The time-out; never 0.
  public var timeout: Duration
  /// Who set it.
  public var setBy: TimeoutOrigin
  /// Who ends the migration then.
  public var enforcedBy: Enforcer
  /// What happens then.
  public var action: DeadlineAction
  /// How much longer the time-out may be, where what it counts is not known to the byte.
  public var uncertainty = Duration.zero

  /// A budget that the watched system enforces; nil for a time-out of 0, which means none.
  public init?(
    timeout: Duration, setBy: TimeoutOrigin, enforcedBy: Enforcer, action: DeadlineAction,
    uncertainty: Duration = .zero
  ) {
    guard timeout > .zero else { return nil }
    self.timeout = timeout
    self.setBy = setBy
    self.enforcedBy = enforcedBy
    self.action = action
    self.uncertainty = uncertainty
  }

  /// The budget of a back end that enforces nothing by itself: seconds per GiB times the size in GiB, not rounded.
  ///
  /// 8 GiB at 800 s are 6400 s. Nil where there is no time-out or the size is not known.
  public init?(perGiB: Duration, size: Bytes?) {
    guard perGiB > .zero, let size else { return nil }
    let milliseconds = Double(perGiB.milliseconds) * (Double(size.count) / 1_073_741_824)
    // Beyond this the sum with a moment could overflow; 100,000 years are as good as none.
    guard milliseconds >= 1, milliseconds < 3.2e15 else { return nil }
    timeout = .milliseconds(Int64(milliseconds.rounded()))
    setBy = .config
    enforcedBy = .none
    action = .none
  }
}

/// The time-outs that the watched system enforces by itself.
public struct OwnBudgets: Hashable, Sendable {
  /// For the whole migration; nil where there is none, or it is not known.
  public var completion: CompletionBudget?
  /// Without progress; nil where there is none.
  public var progress: ProgressBudget?

  /// Describes what is enforced.
  public init(completion: CompletionBudget?, progress: ProgressBudget?) {
    self.completion = completion
    self.progress = progress
  }
}
