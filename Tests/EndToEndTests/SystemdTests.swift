import Foundation
import Testing

@testable import ProgramSupport

extension EndToEnd {
  @Suite("The systemd unit")
  struct SystemdTests {
    private static let analyze = "/usr/bin/systemd-analyze"
    private static let unit = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../deploy/systemd/drover.service").standardizedFileURL

    /// The unit with the executable that was built here in the place of the installed one.
    private func unit(in directory: TemporaryDirectory) throws -> String {
      let text = try String(contentsOf: Self.unit, encoding: .utf8)
      #expect(text.contains("ExecStart=/usr/local/bin/drover serve"))
      return try directory.write(
        text.replacing("/usr/local/bin/drover", with: Program.drover), to: "drover.service")
    }

    @Test("is one that systemd takes without a remark")
    func verify() async throws {
      let directory = try TemporaryDirectory()
      let run = try await Program.run(
        ["verify", "--man=no", try unit(in: directory)], executable: Self.analyze, in: directory)
      #expect(run.ending == .exited(0))
      #expect(run.output.isEmpty && run.errors.isEmpty, "\(run.output)\(run.errors)")
    }

    @Test("exposes no more than 1.5 by systemd's own measure")
    func security() async throws {
      let directory = try TemporaryDirectory()
      let run = try await Program.run(
        ["security", "--no-pager", "--offline=true", "--threshold=15", try unit(in: directory)],
        executable: Self.analyze, in: directory)
      #expect(run.ending == .exited(0), "\(run.output.suffix(200))")
    }

    @Test(
      "has the flags that the executable knows, no capability, and no family of addresses that nothing needs")
    func needs() async throws {
      let lines = try String(contentsOf: Self.unit, encoding: .utf8).split(separator: "\n")
      #expect(lines.contains("CapabilityBoundingSet="))
      #expect(lines.contains("RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK"))
      let start = try #require(lines.first { $0.hasPrefix("ExecStart=") })
      let flags = start.split(separator: " ").filter { $0.hasPrefix("--") }
      let help = try await Program.run(["serve", "--help"], in: TemporaryDirectory())
      #expect(!flags.isEmpty && flags.allSatisfy { help.output.contains("\($0) ") })
    }
  }
}
