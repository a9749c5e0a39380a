internal import DroverCore

/// What the last survey came to, and whether something has happened since that may change it.
struct SurveyBook: Sendable {
  /// By the VMI's uid; empty before the first survey.
  private(set) var judgements: [String: VMJudgement] = [:]
  /// Whether something was seen since the last survey was begun.
  var isOutdated = true

  /// Takes the outcome of a survey; returns the VMs of which something else is known now.
  mutating func take(_ new: [String: VMJudgement]) -> Set<String> {
    let changed = Set(new.filter { judgements[$0.key] != $0.value }.keys)
      .union(judgements.keys.filter { new[$0] == nil })
    judgements = new
    return changed
  }

  /// What speaks against a VM: what a survey found, and what KubeVirt has said since.
  func blockers(_ record: VMRecord) -> [NotMigratableReason]? {
    guard let judgement = judgements[record.uid] else { return record.blockers }
    let told = (record.blockers ?? []).map { ReasonSet($0) }
    return judgement.reasons.union(ReasonSet(told)).reasons
  }

  /// Nodes that can take a VM; nil where that is not known.
  func targets(_ record: VMRecord) -> UInt64? {
    guard let targets = judgements[record.uid]?.targets else { return nil }
    return record.blockers?.isEmpty == false ? 0 : UInt64(targets)
  }
}

/// When the next survey is due: soon after something has happened, and seldom enough never to be a load.
struct SurveySchedule: Hashable, Sendable {
  /// What nothing tells of, such as a claim that changed, is seen after that.
  private static let longest = Duration.seconds(600)
  /// However often something happens.
  private static let shortest = Duration.seconds(60)
  /// A survey takes no more than one part in so many of the time.
  private static let share = 50
  /// Failures in a row after which what is not known is told as not known.
  private static let patience = 3

  private var earliest: Moment?
  private var latest: Moment?
  private(set) var failures = 0

  /// Whether a survey is due.
  func isDue(isOutdated: Bool, at now: Moment) -> Bool {
    guard let earliest, let latest else { return true }
    return now >= (isOutdated ? earliest : latest)
  }

  /// Takes a survey into account that took from `start` to `now`.
  ///
  /// - Parameter isWhole: Whether everything came that may come.
  mutating func ended(from start: Moment, at now: Moment, isWhole: Bool) {
    let pause = max(Self.shortest, (now - start) * Self.share)
    earliest = now + pause
    failures = isWhole ? 0 : failures + 1
    latest = now + (isWhole ? max(Self.longest, pause) : pause)
  }

  /// Whether what did not come is to be waited for, and what was known before told until then.
  var isPatient: Bool { failures < Self.patience }
}
