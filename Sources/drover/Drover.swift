import ArgumentParser
import CRevision
import Exposition
import Glibc

@main
struct Drover: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drover",
    abstract: "Watches live migrations of virtual machines and exports them as Prometheus metrics.",
    discussion: """
      drover demo shows it at work with real guests on this machine.
      drover serve --libvirt.uri qemu:///system watches the guests of libvirt on this machine.
      drover serve --qemu.socket /run/guest.qmp watches a QEMU of yours.

      Exit code 0: done; 1: it was not, and why is said; 64: the command line is wrong; others: see the command's help.
      """,
    version: "drover \(build.version) (revision \(build.revision.isEmpty ? "unknown" : build.revision))",
    subcommands: [
      Serve.self, Demo.self, List.self, VMs.self, Nodes.self, Show.self, Watch.self, WhyCommand.self,
      Explain.self,
      PreflightCommand.self, History.self,
      Decisions.self, Abort.self, Migrate.self, StopEvacuation.self, Drain.self, CheckConfig.self,
      LeashCommand.self,
    ])

  /// Runs the command, and ends the process without the clean-up of libraries.
  ///
  /// OpenSSL cleans up in `exit`, whether or not threads that use it still run: one that closes a connection, or ends, at
  /// that moment crashes the process behind its whole answer.
  static func main() async {
    do {
      var command = try await asyncParseAsRoot()
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
      end(.success)
    } catch {
      let (code, text) = (exitCode(for: error), fullMessage(for: error))
      if !text.isEmpty {
        try? write(Array("\(text)\n".utf8), to: code == .success ? STDOUT_FILENO : STDERR_FILENO)
      }
      end(code)
    }
  }

  private static func end(_ code: ExitCode) -> Never {
    fflush(nil)
    _exit(code.rawValue)
  }

  static let build = BuildInfo(version: "0.1.0", revision: String(cString: drover_revision()))
}
