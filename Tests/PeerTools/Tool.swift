public import Foundation

/// What a program said, and how it ended.
public struct ToolResult: Sendable {
  public var status: Int32
  public var output: [UInt8]
  public var errors: String

  public var text: String { String(decoding: output, as: UTF8.self) }
}

public struct ToolError: Error, CustomStringConvertible {
  public var description: String
}

/// A directory that goes with its last reference.
public final class Scratch: Sendable {
  public let path = "/tmp/drover-peer-\(UUID().uuidString)"

  public init() throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    // Other users reach the sockets in it.
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  public func file(_ name: String) -> String { "\(path)/\(name)" }

  public func read(_ name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: file(name))))
  }

  /// Writes a file anew, in place of an old one, and gives its path.
  @discardableResult
  public func write(_ name: String, _ text: String, mode: Int = 0o600) throws -> String {
    let new = file(".\(name).new")
    try Data(text.utf8).write(to: URL(fileURLWithPath: new))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: new)
    guard rename(new, file(name)) == 0 else { throw ToolError(description: "rename \(name): \(errno)") }
    return file(name)
  }
}

/// Runs a program to its end, on a thread of its own.
public func run(_ tool: String, _ arguments: [String], in directory: Scratch) async throws -> ToolResult {
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
