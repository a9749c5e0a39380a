import ArgumentParser
import CRevision
import Exposition

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

  static let build = BuildInfo(version: "0.1.0", revision: String(cString: drover_revision()))
}
