import Foundation

/// `Tests/Boards/lab.py` beside a Drover that serves: a real Prometheus with the shipped rules, which the boards' queries are
/// asked of, or an Alertmanager with the shipped routes.
struct BoardsWatch: Sendable {
  /// What is looked at.
  enum Subject: String { case expressions, noise }

  private let process: Process
  private let input: Pipe
  private let output: Pipe

  /// Lends `body` the time in which it looks, from when it has begun; whether it was content, and what it said.
  static func at(
    _ subject: Subject, of address: String, _ body: () async throws -> Void
  ) async throws -> (isContent: Bool, text: String) {
    let watch = BoardsWatch()
    let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")
    watch.process.executableURL = URL(filePath: "/usr/bin/python3")
    watch.process.arguments = [
      root.appending(path: "Tests/Boards/lab.py").standardizedFileURL.path, subject.rawValue, address,
    ]
    (watch.process.standardInput, watch.process.standardOutput) = (watch.input, watch.output)
    try watch.process.run()
    do {
      let word = await watch.said()
      guard word.hasPrefix("ready") else {
        throw Missed(description: "lab.py is not ready, but says: \(word)")
      }
      try await body()
    } catch {
      // It ends its servers when its input ends.
      try? watch.input.fileHandleForWriting.close()
      throw error
    }
    try watch.input.fileHandleForWriting.close()
    return await watch.ended()
  }

  private init() { (process, input, output) = (Process(), Pipe(), Pipe()) }

  private func said() async -> String {
    await withCheckedContinuation { continuation in
      DispatchQueue.global().async {
        continuation.resume(
          returning: String(decoding: output.fileHandleForReading.availableData, as: UTF8.self))
      }
    }
  }

  private func ended() async -> (isContent: Bool, text: String) {
    await withCheckedContinuation { continuation in
      DispatchQueue.global().async {
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        continuation.resume(
          returning: (process.terminationStatus == 0, String(decoding: text, as: UTF8.self)))
      }
    }
  }
}
