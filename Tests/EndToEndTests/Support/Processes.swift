import Foundation

@testable import ProgramSupport

/// What /proc knows of running processes.
enum Processes {
  /// Those with an argument that contains a text, such as the name of a directory.
  static func with(argument text: String) -> Set<pid_t> {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc"))?.compactMap { pid_t($0) } ?? []
    return Set(all.filter { commandLine($0).contains(text) })
  }

  /// Open descriptors.
  static func descriptors(of pid: pid_t) -> Int {
    (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd"))?.count ?? 0
  }

  /// Resident memory in bytes.
  static func residentBytes(of pid: pid_t) -> Int {
    let pages = (try? String(contentsOfFile: "/proc/\(pid)/statm", encoding: .utf8))?.split(separator: " ")
    return pages.flatMap { $0.count > 1 ? Int($0[1]) : nil }.map { $0 * Int(getpagesize()) } ?? 0
  }

  private static func commandLine(_ pid: pid_t) -> String {
    (try? Data(contentsOf: URL(filePath: "/proc/\(pid)/cmdline"))).map { String(decoding: $0, as: UTF8.self) }
      ?? ""
  }
}
