import Foundation
import Testing

@testable import QEMURig

/// All suites that run QEMU: one test at a time, as each wants the CPU.
@Suite("Rig", .serialized)
struct RigTests {}

extension RigError {
  /// For conditions that a test waits for.
  static func notInTime(_ what: String) -> RigError { RigError(.timeout, what, "did not happen") }
}

/// Waits until `condition` holds.
func eventually(_ what: String, within limit: Duration = .seconds(30), _ condition: () async throws -> Bool)
  async throws
{
  let end = ContinuousClock.now + limit
  while try await !condition() {
    guard ContinuousClock.now < end else { throw RigError.notInTime(what) }
    try await Task.sleep(for: .milliseconds(20))
  }
}

/// Whether a process runs; a zombie does not.
func isRunning(_ pid: Int32) -> Bool {
  guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
  // The name may hold anything, also parentheses; the state is the first word after the last one.
  return stat.split(separator: ")").last?.split(separator: " ").first != "Z"
}

/// The descendants' pids whose command line holds `text`.
func processes(with text: String) -> [Int32] {
  let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
  return all.compactMap { Int32($0) }.filter { pid in
    guard let data = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") else { return false }
    return String(decoding: data, as: UTF8.self).contains(text) && isRunning(pid)
  }
}

/// A guest of 64 MiB that dirties `rate` MiB/s over `workingSet` MiB.
func guest(_ name: String? = "g", rate: Double, workingSet: UInt32 = 16, memory: Int = 64) -> GuestSpec {
  GuestSpec(
    name: name, uuid: "0b7f7c0e-58a5-4f3b-8b64-5c0fd0a6c111", memoryMebibytes: memory,
    software: DirtierGuest(
      rate: DirtyRate(atLeastMebibytesPerSecond: rate), workingSet: WorkingSet(atLeastMebibytes: workingSet)))
}

func transferred(_ pair: GuestPair) async throws -> Int64 {
  try await pair.queryMigrate()["ram"]?["transferred"]?.int ?? 0
}
