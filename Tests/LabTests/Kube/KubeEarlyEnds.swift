import DroverCore
import KubeLab
import KubeVirtBackend
import QEMURig
import Testing

@testable import ScenarioSupport

extension LabTests {
  @Suite("KubeVirt: how migrations end that have not begun to copy, and those whose guest is lost")
  struct KubeEarlyEnds {
    @Test("a pod that no node takes, or that does not start, ends it after 300 s or 900 s")
    func unschedulable() async throws {
      try await KubeScene.with { scene in
        let words = "0/3 nodes are available: 3 Insufficient memory."
        try await KubeScene.each(["no-node", "no-start"]) { name in
          let isPending = name == "no-start"
          let vm = try await scene.cluster.addVMI(name, on: "n1")
          let migration = try await scene.cluster.createVMIM(for: vm)
          try await migration.pending(at: scene.cluster.ago(isPending ? 903 : 303))
          try await migration.scheduling(at: scene.cluster.ago(isPending ? 902 : 302))
          if !isPending { try await migration.unschedulable(words) }
          let waiting = try await scene.until("its reason", migration) {
            // One that is pending waits for its pod already once that is there.
            $0.phase == .scheduling && $0.waiting?.reason == (isPending ? .podPending : .unschedulable)
              && (isPending || $0.waiting?.text == words)
          }
          #expect(waiting.guest == .source, "\(name)")
          #expect(waiting.completion == nil && waiting.progressBudget == nil, "\(name)")
          try await migration.failUnschedulable(isPending: isPending)
          let over = try await scene.untilOver(migration)
          #expect(over.phase == .failed && over.guest == .source, "\(name)")
          #expect(over.ending?.cause == (isPending ? .podPendingTimeout : .unschedulable), "\(name)")
          #expect(!over.hasStarted && over.duration == nil, "\(name)")
        }
        #expect(scene.watcher.record.counts.failed == [.unschedulable: 1, .podPendingTimeout: 1])
      }
    }

    /// What ends a migration although nobody asked for it, and its copy has not failed.
    enum Loss: String, CaseIterable, Sendable {
      case gone, shutdown, crashed, notAlone, takenOver, targetPod
      case shutdownCopying, crashedCopying
    }

    @Test("a guest that is gone, shut down or crashed, a target's pod that dies, and one that comes second")
    func losses() async throws {
      try await KubeScene.with { scene in
        try await KubeScene.each(Loss.allCases) { loss in
          let name = loss.rawValue.lowercased()
          let vm = try await scene.cluster.addVMI(name, on: "n1", migrationMethod: "LiveMigration")
          let migration = try await scene.cluster.createVMIM(for: vm)
          let isCopying = loss.rawValue.hasSuffix("Copying")
          try await migration.advance(to: isCopying ? .running : .scheduling, on: "n2")
          try await scene.until("its phase", migration) { $0.phase == (isCopying ? .precopy : .scheduling) }
          let cause: FailureCause
          switch loss {
          case .gone:
            cause = .vmLost
            try await vm.delete()
            try await migration.fail(early: .guestGone)
          case .shutdown, .shutdownCopying:
            cause = .guestShutdown
            try await vm.end("Succeeded")
            try await migration.fail(early: .guestShutDown)
          case .crashed, .crashedCopying:
            cause = .guestCrashed
            try await vm.end("Failed")
            try await migration.fail(early: .guestShutDown)
          case .notAlone:
            cause = .superseded
            try await migration.fail(early: .notAlone)
          case .takenOver:
            cause = .superseded
            try await migration.fail(early: .takenOver)
          case .targetPod:
            cause = .targetLost
            try await migration.fail(early: .targetPodEnded)
          }
          let over = try await scene.untilOver(migration)
          #expect(over.phase == .failed, "\(name)")
          #expect(over.ending?.cause == cause, "\(name)")
          switch loss {
          case .notAlone, .takenOver, .targetPod: #expect(over.guest == .source, "\(name)")
          default: #expect(over.guest != .source && over.guest != .target, "\(name)")
          }
        }
        #expect(scene.watcher.record.countedEnds == UInt64(Loss.allCases.count))
      }
    }
  }
}
