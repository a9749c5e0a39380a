import Foundation
import Testing

@testable import ProgramSupport

extension EndToEnd {
  @Suite("The life of drover demo")
  struct DemoLifeTests {
    private func started() async throws -> (RunningDemo, Set<pid_t>) {
      let demo = try await RunningDemo()
      let qemus = try await eventually("six QEMUs") { demo.qemus.count >= 6 ? demo.qemus : nil }
      return (demo, qemus)
    }

    private func rigs(_ directory: TemporaryDirectory) throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: directory.path).filter {
        $0.hasPrefix("drover-rig-")
      }
    }

    @Test("takes its guests with it when it is killed")
    func killed() async throws {
      let (demo, qemus) = try await started()
      demo.program.signal(SIGKILL)
      #expect(try await demo.program.end() == .killed(SIGKILL))
      try await eventually("the end of \(qemus.count) QEMUs", within: .seconds(10)) { demo.qemus.isEmpty }
    }

    @Test(
      "ends in order within a second of a signal, or of its terminal", arguments: [SIGTERM, SIGINT, SIGHUP])
    func ends(signal: Int32) async throws {
      let (demo, _) = try await started()
      _ = try await demo.control.get("/metrics")
      let begun = ContinuousClock.now
      demo.program.signal(signal)
      #expect(try await demo.program.end() == .exited(0))
      let took = ContinuousClock.now - begun
      print("drover demo ended \(took) after signal \(signal)")
      #expect(took < .seconds(1))
      #expect(demo.qemus.isEmpty)
      #expect(try rigs(demo.directory).isEmpty)
      #expect(!FileManager.default.fileExists(atPath: "\(demo.directory.path)/control.sock"))
      #expect(demo.program.output.hasSuffix("drover demo has ended, and its guests with it\n"))
      #expect(demo.program.errors.isEmpty)
    }

    @Test("ends when its time is up")
    func duration() async throws {
      let run = try await Program.run(
        ["demo", "--duration", "3s", "--web.listen-address", "127.0.0.1:0"], in: TemporaryDirectory())
      #expect(run.ending == .exited(0))
      #expect(run.errors.isEmpty)
    }

    @Test("ends when nobody reads its news any more")
    func closedPipe() async throws {
      let directory = try TemporaryDirectory()
      let shell = try await Program.run(
        [
          "-c", #""$0" demo --web.listen-address 127.0.0.1:0 | head -1; echo "${PIPESTATUS[0]}""#,
          Program.drover,
        ], executable: "/bin/bash", in: directory)
      #expect(shell.errors.isEmpty)
      #expect(shell.output.hasSuffix("\n141\n"))
      #expect(Processes.with(argument: "\(directory.path)/drover-rig-").isEmpty)
      #expect(try rigs(directory).isEmpty)
      #expect(!FileManager.default.fileExists(atPath: "\(directory.path)/run/control.sock"))
    }

    @Test("draws itself on a terminal's second screen and gives it back", arguments: [(80, 24), (120, 40)])
    func terminal(columns: UInt16, rows: UInt16) async throws {
      let directory = try TemporaryDirectory()
      let terminal = try Terminal(columns: columns, rows: rows)
      let program = try Program(
        ["demo", "--web.listen-address", "127.0.0.1:0"], in: directory, variables: ["TERM": "xterm"],
        terminal: terminal)
      try await eventually("a guest in the table") { terminal.text.contains("web-1") }
      program.signal(SIGINT)
      #expect(try await program.end() == .exited(0))
      #expect(
        terminal.text.hasSuffix("\u{1B}[?25h\u{1B}[?1049ldrover demo has ended, and its guests with it\r\n"))
      for frame in terminal.text.split(separator: "\u{1B}[H").dropFirst() {
        let lines = frame.replacing(/\u{1B}\[[?0-9;]*[A-Za-z]/, with: "").split(separator: "\r\n")
        #expect(lines.count <= rows + 1)
      }
    }

    @Test("says what to install where there is no QEMU")
    func noQEMU() async throws {
      let directory = try TemporaryDirectory()
      let run = try await Program.run(["demo"], in: directory, variables: ["PATH": directory.path])
      #expect(run.ending == .exited(1))
      #expect(run.errors.contains("sudo apt-get install qemu-system-x86"))
      #expect(try rigs(directory).isEmpty)
    }

    @Test("says which address somebody else has, and leaves nothing behind")
    func addressInUse() async throws {
      let other = try await Serving()
      let directory = try TemporaryDirectory()
      let run = try await Program.run(
        ["demo", "--web.listen-address", other.web.hostAndPort], in: directory)
      #expect(run.ending == .exited(1))
      #expect(run.errors.contains("Address already in use"))
      #expect(try rigs(directory).isEmpty)
    }
  }
}
