import Foundation

/// What a program said, and how it ended.
package struct ToolResult: Sendable {
  package var status: Int32
  package var output: [UInt8]
  package var errors: String

  package var text: String { String(decoding: output, as: UTF8.self) }
}

package struct ToolError: Error, CustomStringConvertible {
  package var description: String
}

/// A directory that goes with its last reference.
package final class Scratch: Sendable {
  package let path = "/tmp/drover-peer-\(UUID().uuidString)"

  package init() throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    // Other users reach the sockets in it.
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  package func file(_ name: String) -> String { "\(path)/\(name)" }

  package func read(_ name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: file(name))))
  }

  /// Writes a file anew, in place of an old one, and gives its path.
  @discardableResult
  package func write(_ name: String, _ text: String, mode: Int = 0o600) throws -> String {
    let new = file(".\(name).new")
    try Data(text.utf8).write(to: URL(fileURLWithPath: new))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: new)
    guard rename(new, file(name)) == 0 else { throw ToolError(description: "rename \(name): \(errno)") }
    return file(name)
  }
}

/// Runs a program to its end, on a thread of its own.
package func run(_ tool: String, _ arguments: [String], in directory: Scratch) async throws -> ToolResult {
  try await withCheckedThrowingContinuation { continuation in
    Thread.detachNewThread {
      continuation.resume(with: Result { try runNow(tool, arguments, in: directory) })
    }
  }
}

func runNow(_ tool: String, _ arguments: [String], in directory: Scratch) throws -> ToolResult {
  let name = UUID().uuidString
  let (output, errors) = (try directory.write("\(name).out", ""), try directory.write("\(name).err", ""))
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = [tool] + arguments
  process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
  process.standardInput = FileHandle.nullDevice
  process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
  process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: errors))
  try process.run()
  process.waitUntilExit()
  return ToolResult(
    status: process.terminationStatus, output: try directory.read("\(name).out"),
    errors: String(decoding: try directory.read("\(name).err"), as: UTF8.self))
}
