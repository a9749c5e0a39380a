import Foundation
import Testing

/// Where files that are compared with generated text lie.
enum Repository {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
  static let fixtures = root.appending(path: "Tests/ExpositionTests/Fixtures")
}

/// Compares a file of the repository with generated text, or rewrites it where `DROVER_REGENERATE=1` is set.
func expectFile(_ file: URL, holds text: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
  if ProcessInfo.processInfo.environment["DROVER_REGENERATE"] == "1" {
    try FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: file)
  }
  let kept = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
  let difference = firstDifference(kept, text)
  #expect(
    difference == nil,
    """
    \(file.path) is not what the code makes: \(difference ?? ""). If the change is meant, run \
    DROVER_REGENERATE=1 swift test --filter ExpositionTests and commit the file.
    """, sourceLocation: sourceLocation)
}

private func firstDifference(_ kept: String, _ made: String) -> String? {
  guard kept != made else { return nil }
  let kept = kept.split(separator: "\n", omittingEmptySubsequences: false)
  let made = made.split(separator: "\n", omittingEmptySubsequences: false)
  let line = zip(kept, made).prefix { $0 == $1 }.count
  func text(_ lines: [Substring]) -> String { line < lines.count ? String(lines[line]) : "no more lines" }
  return "line \(line + 1) is \(text(kept)), made was \(text(made))"
}

/// What a program answered.
struct ToolResult {
  let status: Int32
  let output: Data
  let errors: String

  var text: String { String(decoding: output, as: UTF8.self) }
}

/// Runs a program with bytes on its standard input.
func run(_ arguments: [String], input: [UInt8]) throws -> ToolResult {
  let folder = FileManager.default.temporaryDirectory.appending(path: "drover-tool-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  let inputFile = folder.appending(path: "in")
  let outputFile = folder.appending(path: "out")
  let errorFile = folder.appending(path: "err")
  try Data(input).write(to: inputFile)
  for file in [outputFile, errorFile] { try Data().write(to: file) }

  let process = Process()
  process.executableURL = URL(filePath: "/usr/bin/env")
  process.arguments = arguments
  process.standardInput = try FileHandle(forReadingFrom: inputFile)
  process.standardOutput = try FileHandle(forWritingTo: outputFile)
  process.standardError = try FileHandle(forWritingTo: errorFile)
  try process.run()
  process.waitUntilExit()
  return ToolResult(
    status: process.terminationStatus, output: try Data(contentsOf: outputFile),
    errors: try String(contentsOf: errorFile, encoding: .utf8))
}

/// The Python of `DROVER_PYTHON`, else the system's, which has its packages whatever stands first in PATH.
let pythonPath =
  ProcessInfo.processInfo.environment["DROVER_PYTHON"]
  ?? (FileManager.default.isExecutableFile(atPath: "/usr/bin/python3") ? "/usr/bin/python3" : "python3")

/// Runs a script in ``pythonPath``; it reads `input` from `sys.stdin.buffer`.
func python(_ script: String, input: [UInt8]) throws -> ToolResult {
  let result = try run([pythonPath, "-c", script], input: input)
  if result.errors.contains("No module named 'prometheus_client'") {
    Issue.record(
      "\(pythonPath) has no prometheus_client: run `sudo apt-get install python3-prometheus-client`")
  }
  return result
}
