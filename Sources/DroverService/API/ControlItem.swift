internal import DroverCore
internal import MigrationControl

/// The answer to everything that acts: what was decided, and what was done.
public struct ControlItem: Codable, Hashable, Sendable {
  /// The decision's number in the journal; absent where it is not recorded.
  public var decision: Int64?
  /// `abort`, `migrate`, `stop_evacuation`.
  public var action: String
  /// `acted` or `refused`; `observed` where there was nothing to do.
  public var kind: String
  /// Whether nothing was done because only a question was asked.
  public var isDryRun: Bool
  /// The migration; absent where there is none, or none yet.
  public var migration: String?
  /// The VM, with back end and namespace or host.
  public var vm: String?
  /// The node; absent where it is about none.
  public var node: String?
  /// The decision in words.
  public var text: String
  /// What it does at this moment, in words.
  public var consequence: String?
  /// The name of the object that was made.
  public var object: String?
  /// What was sent, or would be.
  public var request: String?
  /// What was found that moves VMs away; absent where nobody asked for that.
  public var found: [String]?
  /// What was done of several steps, or would be; absent where it is one.
  public var steps: [String]?
  /// What is worth knowing although it prevents nothing.
  public var warnings: [String]
  /// What is known of it so far; absent while the migration goes on.
  public var result: String?
  /// The same in words.
  public var resultText: String?
}

/// A refusal as JSON problem details (RFC 9457).
public struct ControlProblem: Codable, Hashable, Sendable {
  /// Always `about:blank`: the status tells all that a machine needs, and `reasons` the rest.
  public var type = "about:blank"
  /// The status in words.
  public var title: String
  /// The HTTP status.
  public var status: Int
  /// Why, in words, with the remedy.
  public var detail: String
  /// Every reason, from the closed list.
  public var reasons: [String]
  /// The decision's number in the journal; absent where it is not recorded.
  public var decision: Int64?
}

extension ControlItem {
  init(_ answer: AbortAnswer) {
    self.init(answer.decision, isDryRun: answer.isDryRun)
    if !answer.consequence.isEmpty { consequence = answer.consequence }
    warnings = answer.warnings
  }

  init(_ answer: StartAnswer) {
    self.init(answer.decision, isDryRun: answer.isDryRun)
    if !answer.object.isEmpty { object = answer.object }
    if !answer.request.isEmpty { request = answer.request }
    warnings = answer.warnings
  }

  init(_ decision: Decision, isDryRun: Bool) {
    self.init(
      decision: decision.id?.rawValue, action: decision.action.rawValue, kind: decision.kind.rawValue,
      isDryRun: isDryRun, migration: decision.migration?.description,
      vm: decision.vm.map { VMPath($0).description },
      text: decision.text, warnings: [], result: decision.result?.rawValue,
      resultText: decision.resultText.isEmpty ? nil : decision.resultText)
  }
}
