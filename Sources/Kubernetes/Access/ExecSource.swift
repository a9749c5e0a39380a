internal import FoundationEssentials

/// Keeps what a credential program made, and runs it when that is missing, expired or refused.
///
/// Callers at the same time wait for one run.
actor ExecSource {
  /// After a run the program is left alone for this time, in seconds, whatever becomes of what it made.
  static let pause = 10.0

  private let program: ExecProgram
  private let timing: Timing
  private var kept: (credential: ExecCredential, madeAt: Date)?
  private var running: Task<Result<ExecCredential, AccessError>, Never>?

  init(_ program: ExecProgram, timing: Timing) {
    self.program = program
    self.timing = timing
  }

  /// What the program made; anew where that has expired, or where it is `rejected`.
  func credential(rejected: ExecCredential? = nil) async throws(AccessError) -> ExecCredential {
    if let kept {
      let now = timing.now()
      let isExpired = kept.credential.expires.map { $0 <= now } ?? false
      let isRecent = (0..<Self.pause).contains(now.timeIntervalSince(kept.madeAt))
      if isRecent || (!isExpired && kept.credential != rejected) { return kept.credential }
    }
    let task =
      running
      ?? Task { [program] in
        do throws(AccessError) {
          return .success(try await program.run())
        } catch {
          return .failure(error)
        }
      }
    running = task
    let outcome = await task.value
    // The first of those who waited clears it away.
    if running == task {
      running = nil
      if case .success(let credential) = outcome { kept = (credential, timing.now()) }
    }
    return try outcome.get()
  }
}
