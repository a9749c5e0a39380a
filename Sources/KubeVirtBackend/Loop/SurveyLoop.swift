internal import DroverCore
internal import Kubernetes
internal import Logging

/// Judges again and again where all VMs of a cluster can go.
struct SurveyLoop: Sendable {
  let reader: SurveyReader
  let loop: ClusterLoop
  let clock: any Timepiece
  let log: Logger
  /// A standby shows no VMs.
  let mayAsk: @Sendable () -> Bool

  /// Works until the task is cancelled.
  func run() async {
    var schedule = SurveySchedule()
    var told: [String] = []
    while (try? await Task.sleep(for: .seconds(1))) != nil {
      guard mayAsk(), await loop.wantsSurvey(schedule) else { continue }
      let start = clock.now()
      let facts = await reader.facts()
      var judge = SurveyJudge(facts)
      var judgements: [String: VMJudgement] = [:]
      var isWhole = !facts.isIncomplete
      if !facts.missingRights.isEmpty, facts.missingRights != told {
        log.warning(
          "where VMs can go is not known (reason unknown): rights are missing",
          metadata: ["grant": "\(facts.missingRights.joined(separator: ", "))"])
      }
      told = facts.missingRights
      do throws(KubernetesError) {
        try await reader.guests { page in
          for guest in page { judgements[guest.metadata.uid] = judge.judge(guest) }
        }
      } catch {
        isWhole = false
        judgements = [:]
        log.debug("VMs cannot be listed", metadata: ["error": "\(error)"])
      }
      let now = clock.now()
      schedule.ended(from: start, at: now, isWhole: isWhole)
      log.debug(
        "where VMs can go was judged",
        metadata: [
          "vms": "\(judgements.count)", "seconds": "\((now - start).inSeconds)",
          "comparisons": "\(judge.comparisons)", "whole": "\(isWhole)",
        ])
      if isWhole || !schedule.isPatient && !judgements.isEmpty { await loop.take(judgements) }
    }
  }
}
