import Foundation

/// What a command came to.
struct CommandAnswer: Sendable {
  let code: Int32
  let output: String
  let errors: String

  /// The program under test, beside the tests.
  static let drover: URL = {
    let runner = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return URL(filePath: runner).deletingLastPathComponent().appending(path: "drover")
  }()

  /// Runs a process to its end.
  init(of process: Process) async throws {
    let (output, errors) = (Pipe(), Pipe())
    (process.standardOutput, process.standardError) = (output, errors)
    self = try await withCheckedThrowingContinuation { continuation in
      DispatchQueue.global().async {
        do {
          try process.run()
          // Errors are far shorter than what a pipe holds.
          let text = output.fileHandleForReading.readDataToEndOfFile()
          let problem = errors.fileHandleForReading.readDataToEndOfFile()
          process.waitUntilExit()
          continuation.resume(
            returning: CommandAnswer(
              code: process.terminationStatus, output: String(decoding: text, as: UTF8.self),
              errors: String(decoding: problem, as: UTF8.self)))
        } catch { continuation.resume(throwing: error) }
      }
    }
  }

  private init(code: Int32, output: String, errors: String) {
    (self.code, self.output, self.errors) = (code, output, errors)
  }
}
