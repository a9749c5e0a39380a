import Foundation
import Testing

@testable import ProgramSupport

extension EndToEnd {
  @Suite("Commands that need no server")
  struct CommandTests {
    private static let commands = [
      [], ["serve"], ["demo"], ["list"], ["vms"], ["nodes"], ["show"], ["watch"], ["why"], ["explain"],
      ["history"],
      ["decisions"],
      ["abort"], ["migrate"], ["check-config"],
    ]

    @Test("explain each of their options", arguments: commands)
    func help(command: [String]) async throws {
      let run = try await Program.run(
        command + ["--help"], in: TemporaryDirectory(), variables: ["COLUMNS": "100"])
      #expect(run.ending == .exited(0))
      #expect(run.errors.isEmpty)
      let entries = run.output.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
      var isExplained = 0
      for (index, line) in entries.enumerated() where line.hasPrefix("  -") || line.hasPrefix("  <") {
        // The words stand beside the option, or on the next line, further in.
        let beside = line.dropFirst(2).firstRange(of: /\ {2,}\S/) != nil
        let below =
          index + 1 < entries.count && entries[index + 1].hasPrefix(String(repeating: " ", count: 10))
        #expect(beside || below, "\(line)")
        isExplained += 1
      }
      #expect(isExplained >= 1)
      #expect(!run.output.contains("leash"))
    }

    @Test("tell their version")
    func version() async throws {
      let run = try await Program.run(["--version"], in: TemporaryDirectory())
      #expect(run.ending == .exited(0))
      #expect(run.output.firstMatch(of: /^drover [0-9]+\.[0-9]+\.[0-9]+ \(revision \w+\)\n$/) != nil)
    }

    @Test("complete themselves in every shell", arguments: ["bash", "zsh", "fish"])
    func completion(shell: String) async throws {
      let directory = try TemporaryDirectory()
      let run = try await Program.run(["--generate-completion-script", shell], in: directory)
      #expect(run.ending == .exited(0))
      #expect(run.output.contains("check-config"))
      guard shell == "bash" else { return }
      let check = try await Program.run(["-n"], executable: "/bin/bash", in: directory, input: run.output)
      #expect(check.ending == .exited(0), "\(check.errors)")
    }

    @Test(
      "end with 64 and the usage where they are called wrongly",
      arguments: [
        ["list", "--no-such"], ["nonsense"], ["watch", "--interval", "0"], ["demo", "--duration", "soon"],
      ])
    func usage(arguments: [String]) async throws {
      let run = try await Program.run(arguments, in: TemporaryDirectory())
      #expect(run.ending == .exited(64))
      #expect(run.errors.hasPrefix("Error: "))
      #expect(run.errors.contains("Usage: drover"))
    }

    @Test("check a configuration: a good one is shown as it comes into force, and is one again")
    func goodConfiguration() async throws {
      let directory = try TemporaryDirectory()
      let file = try directory.write(
        "backends:\n  - qemu: {sockets: [\"/run/guests/*.qmp\"]}\n", to: "drover.yaml")
      let run = try await Program.run(["check-config", file], in: directory)
      #expect(run.ending == .exited(0))
      let (head, shown) = try #require(
        run.output.firstRange(of: "\n\n").map { (run.output[..<$0.lowerBound], run.output[$0.upperBound...]) }
      )
      #expect(head == "\(file) is good. In force would be:")
      #expect(shown.contains("completionPerGiB: 800s"))
      let again = try directory.write(String(shown), to: "again.yaml")
      let second = try await Program.run(["check-config", again, "--output", "json"], in: directory)
      #expect(second.ending == .exited(0))
      #expect(try JSONSerialization.jsonObject(with: Data(second.output.utf8)) is [String: Any])
    }

    @Test("check a configuration: every fault of a bad one is named by its line")
    func badConfiguration() async throws {
      let directory = try TemporaryDirectory()
      let file = try directory.write(
        "backend: []\nretention: soon\nverdict:\n  passes: many\nmetrics: {vms: some}\n", to: "drover.yaml")
      let run = try await Program.run(["check-config", file], in: directory)
      #expect(run.ending == .exited(1))
      #expect(run.output.isEmpty)
      for line in [1, 2, 4, 5] { #expect(run.errors.contains("\n\(file):\(line):"), "\(run.errors)") }
      let owned = try directory.write("backends: [{qemu: {sockets: [/run/libvirt/a]}}]\n", to: "owned.yaml")
      let refused = try await Program.run(["check-config", owned], in: directory)
      #expect(refused.ending == .exited(1))
      #expect(refused.errors.contains("it belongs to libvirt"))
      #expect(try await Program.run(["check-config", "/no/such"], in: directory).ending == .exited(1))
    }

    @Test("say what they tried where no server is")
    func noServer() async throws {
      let directory = try TemporaryDirectory()
      let named = try await Program.run(
        ["list", "--server", "http://127.0.0.1:\(try freePort())"], in: directory)
      #expect(named.ending == .exited(1))
      #expect(named.output.isEmpty)
      #expect(named.errors.contains("nothing listens there"))
      #expect(named.errors.contains("drover serve"))

      let token = try await Program.run(["list", "--token-file", "/no/such"], in: directory)
      #expect(token.ending == .exited(1))
      #expect(token.errors == "Error: the token file /no/such cannot be read: No such file or directory\n")
      let words = try directory.write("two words\n", to: "words.token")
      let many = try await Program.run(["list", "--token-file", words], in: directory)
      #expect(
        many.errors
          == "Error: the token file \(words) holds more than one word: put the token alone into it\n")
      let plain = try await Program.run(
        ["list", "--ca-file", "/ca", "--server", "http://localhost:1"], in: directory)
      #expect(plain.ending == .exited(1) && plain.errors.contains("https://host:port"), "\(plain)")

      let wrong = try await Program.run(["list", "--server", "localhost:10950"], in: directory)
      #expect(wrong.ending == .exited(1))
      #expect(wrong.errors.contains("http://host:port"))
    }

    @Test("pass over a control socket that nobody listens behind")
    func staleSocket() async throws {
      let directory = try TemporaryDirectory()
      try FileManager.default.createDirectory(
        atPath: "\(directory.path)/run", withIntermediateDirectories: true)
      let socket = "\(directory.path)/run/control.sock"
      // Killed, so that the file stays.
      let killed = try Program(["serve", "--web.listen-address", "127.0.0.1:0"], in: directory)
      let control = try Web("unix://\(socket)")
      try await eventually("an answer") { try await control.get("/-/healthy").status == 200 }
      let answered = try await Program.run(["list"], in: directory)
      #expect(answered.output == "No migrations.\n")
      #expect(try await Program.run(["vms"], in: directory).output == "No VMs.\n")
      #expect(try await Program.run(["nodes"], in: directory).output == "No nodes.\n")
      killed.signal(SIGKILL)
      _ = try await killed.end()
      let run = try await Program.run(["list"], in: directory)
      // Somebody else may serve on the default port of this machine.
      if run.ending == .exited(1) {
        #expect(run.errors.contains("unix://\(socket)"))
        #expect(run.errors.contains("http://localhost:10950"))
      } else {
        #expect(run.ending == .exited(0))
      }
      // The next one takes the place of the stale file.
      let next = try Program(["serve", "--web.listen-address", "127.0.0.1:0"], in: directory)
      try await eventually("an answer") { try await control.get("/-/healthy").status == 200 }
      next.signal(SIGTERM)
      #expect(try await next.end() == .exited(0))
    }
  }
}
