internal import FoundationEssentials
internal import Subprocess
internal import SystemPackage

/// A program of a kubeconfig's `exec` entry, and one run of it.
struct ExecProgram: Sendable {
  /// Which entry names it, for errors.
  var place: String
  var apiVersion: String
  /// A path, or a name to look for in `PATH`.
  var command: String
  var arguments: [String] = []
  /// Added to this process's own environment.
  var environment: [String: String] = [:]
  /// How to get the program.
  var installHint: String?
  /// The cluster that it is asked for; nil where it does not want to know.
  var cluster: JSONValue?
  /// The longest run.
  var deadline: Duration = .seconds(60)

  /// Runs the program without a terminal, and reads what it prints.
  func run() async throws(AccessError) -> ExecCredential {
    guard let ended = try await started() else {
      throw failure("it did not end within \(deadline.formattedSeconds); look why it waits")
    }
    guard ended.wasSuccessful else {
      let (failed, remedy) = ("it failed (\(ended.status))", "run it by hand to see why")
      throw failure("\(failed)\(Self.quoted(ended.errors)); \(remedy)", inPublic: "\(failed); \(remedy)")
    }
    do {
      return try ExecCredential(parsing: ended.output, version: apiVersion)
    } catch {
      throw failure(error.text)
    }
  }

  /// What the program is told in `KUBERNETES_EXEC_INFO`.
  var info: JSONValue {
    var spec: [String: JSONValue] = ["interactive": false]
    if let cluster { spec["cluster"] = cluster }
    return ["apiVersion": .string(apiVersion), "kind": "ExecCredential", "spec": .object(spec)]
  }

  private struct Ended {
    let wasSuccessful: Bool
    let status: String
    let output: [UInt8]
    let errors: String
  }

  /// One run; nil where it took too long.
  private func started() async throws(AccessError) -> Ended? {
    guard let info = try? JSONEncoder().encode(info) else { throw failure("its task cannot be written") }
    var added: [Environment.Key: String?] = [:]
    for (name, value) in environment { added[Environment.Key(stringLiteral: name)] = value }
    added["KUBERNETES_EXEC_INFO"] = String(decoding: info, as: UTF8.self)
    do {
      return try await withThrowingTaskGroup(of: Ended?.self) { [added, deadline] group in
        group.addTask { try await Self.run(command, arguments, added) }
        group.addTask {
          try await Task.sleep(for: deadline)
          return nil
        }
        defer { group.cancelAll() }
        return try await group.next() ?? nil
      }
    } catch {
      let hint = installHint.map { "; \($0)" } ?? "; install it, or correct the kubeconfig"
      throw failure("it cannot be run: \(error)\(hint)")
    }
  }

  private static func run(
    _ command: String, _ arguments: [String], _ environment: [Environment.Key: String?]
  ) async throws -> Ended {
    var options = PlatformOptions()
    // A group of its own, so that what the program started ends with it.
    options.processGroupID = 0
    options.teardownSequence = [
      .gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: .seconds(1))
    ]
    let result = try await Subprocess.run(
      command.contains("/") ? .path(FilePath(command)) : .name(command), arguments: Arguments(arguments),
      environment: .inherit.updating(environment), platformOptions: options, input: .none,
      output: .bytes(limit: 1 << 20), error: .string(limit: 1 << 20))
    return Ended(
      wasSuccessful: result.terminationStatus.isSuccess, status: "\(result.terminationStatus)",
      output: result.standardOutput, errors: result.standardError)
  }

  private func failure(_ problem: String, inPublic: String? = nil) -> AccessError {
    AccessError("\(place), program '\(command)'", problem, inPublic: inPublic)
  }

  /// The end of what a program complained about, on one line.
  private static func quoted(_ errors: String) -> String {
    let words = errors.split { $0.isWhitespace }.joined(separator: " ")
    return words.isEmpty ? "" : ": " + String(words.suffix(500))
  }
}

extension Duration {
  /// The duration in whole seconds, in words.
  var formattedSeconds: String { "\(components.seconds) s" }
}
