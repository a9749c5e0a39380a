internal import FoundationEssentials
internal import Glibc

/// A private temporary directory, removed when this value goes away.
final class RigDirectory: Sendable {
  let path: String

  init() throws(RigError) {
    let parent = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
    let template = strdup("\(parent)/drover-rig-XXXXXX")
    defer { free(template) }
    guard let template, let made = mkdtemp(template) else {
      throw .system(
        "making a directory in \(parent)", remedy: "set TMPDIR to a directory that can be written")
    }
    path = String(cString: made)
  }

  deinit { remove() }

  func remove() { try? FileManager.default.removeItem(atPath: path) }
}
