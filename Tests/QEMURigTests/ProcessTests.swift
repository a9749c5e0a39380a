import Foundation
import Testing

@testable import QEMURig

@Suite("Leash")
struct LeashTests {
  @Test("a missing QEMU is named with its package and the command that installs it")
  func missingQEMU() async throws {
    let environment = RigEnvironment(qemu: "qemu-system-nowhere")
    let directory = try RigDirectory()
    let error = try await #require(throws: RigError.self) {
      _ = try await QEMUProcess.start(
        guest(rate: 0), label: "g", in: directory.path, incoming: false, environment: environment)
    }
    #expect(error.code == .qemuMissing)
    #expect(error.description.contains("qemu-system-nowhere is not installed"))
    #expect(error.description.contains("sudo apt-get install qemu-system-x86"))
    #expect(throws: error) { try environment.check() }
  }

  @Test("a missing launcher is named")
  func missingLauncher() async throws {
    let environment = RigEnvironment(qemu: "sh", leash: Leash(launcher: ["leash-nowhere"]))
    #expect { try environment.check() } throws: { ($0 as? RigError)?.code == .launcherMissing }
    await #expect {
      _ = try await ChildProcess.start(["sh"], leash: environment.leash, standardError: "/dev/null")
    } throws: {
      ($0 as? RigError)?.code == .launcherMissing
    }
  }

  @Test("a child outlives the thread that asked for it, though not the thread that started it")
  func survivesItsThread() async throws {
    let sleep = ["sleep", "600"]
    let kept = try await ChildProcess.start(sleep, leash: .setpriv, standardError: "/dev/null")
    let lost = try await onShortLivedThread { () throws(RigError) in
      try ChildProcess(startingOnThisThread: sleep, leash: .setpriv, standardError: "/dev/null")
    }
    #expect(await lost.waitForExit() == .killed(signal: SIGKILL))
    #expect(kept.status == nil)
    await kept.end()
    #expect(kept.status == .killed(signal: SIGKILL))
  }

  @Test("a child inherits no descriptor, is in a group of its own, and its signals are as usual")
  func inheritsNothing() async throws {
    let directory = try RigDirectory()
    let leaked = open("/dev/zero", O_RDONLY)
    defer { close(leaked) }
    let out = "\(directory.path)/out"
    let child = try await ChildProcess.start(
      ["sh", "-c", "ls -l /proc/$$/fd >&2; grep Sig /proc/$$/status >&2; cut -d' ' -f5 /proc/$$/stat >&2"],
      leash: .setpriv, standardError: out)
    let pid = child.pid
    #expect(await child.waitForExit() == .exited(code: 0))
    let said = try String(contentsOfFile: out, encoding: .utf8)
    #expect(!said.contains("/dev/zero"))
    #expect(said.contains("SigBlk:\t0000000000000000"))
    // Whatever the two are that glibc keeps for itself, 32 and 33.
    let ignored = said.split(separator: "\n").first { $0.hasPrefix("SigIgn:") }
    #expect(ignored?.hasSuffix("00000000") == true)
    #expect(said.hasSuffix("\n\(pid)\n"))
  }

  private func onShortLivedThread<T: Sendable>(
    _ body: @escaping @Sendable () throws(RigError) -> T
  ) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
      do {
        try startThread { continuation.resume(with: Result { try body() }) }
      } catch {
        continuation.resume(throwing: error)
      }
    }
  }
}

extension RigTests {
  @Suite("QEMUProcess")
  struct ProcessTests {
    @Test("a guest beats, and its dirty rate and working set change on command")
    func commands() async throws {
      let directory = try RigDirectory()
      let qemu = try await QEMUProcess.start(
        guest(rate: 0), label: "g", in: directory.path, incoming: false)
      #expect(try await qemu.console.heartbeat() == UInt8(ascii: "0"))
      try await qemu.console.set(DirtyRate(atLeastMebibytesPerSecond: 6))
      #expect(try await qemu.console.heartbeat() == UInt8(ascii: "e"))
      try await qemu.console.set(WorkingSet(atLeastMebibytes: 8))
      #expect(try await qemu.console.heartbeat() == UInt8(ascii: "D"))
      #expect(try await qemu.conductor.execute("query-name")["name"]?.string == "g")
      await qemu.end()
      #expect(qemu.exitStatus == .killed(signal: SIGKILL))
      #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
    }

    @Test("a QEMU without name and UUID has neither")
    func nameless() async throws {
      let directory = try RigDirectory()
      var spec = guest(nil, rate: 0)
      spec.uuid = nil
      let qemu = try await QEMUProcess.start(spec, label: "g", in: directory.path, incoming: false)
      #expect(try await qemu.conductor.execute("query-name")["name"] == nil)
      #expect(
        try await qemu.conductor.execute("query-uuid")["UUID"]?.string
          == "00000000-0000-0000-0000-000000000000")
      await qemu.end()
    }

    @Test("a frozen QEMU answers nobody, a thawed one goes on; a refusal is QEMU's own")
    func freezing() async throws {
      let directory = try RigDirectory()
      let qemu = try await QEMUProcess.start(
        guest(rate: 0), label: "g", in: directory.path, incoming: false)
      qemu.freeze()
      await #expect {
        try await qemu.conductor.execute("query-status", within: .milliseconds(200))
      } throws: {
        ($0 as? RigError)?.code == .timeout
      }
      qemu.thaw()
      #expect(try await qemu.conductor.execute("query-status")["status"] == "running")
      await #expect {
        try await qemu.conductor.execute("no-such-command")
      } throws: {
        ($0 as? QMPError)?.errorClass == "CommandNotFound"
      }
      await qemu.end()
      await #expect {
        try await qemu.conductor.execute("query-status")
      } throws: {
        ["disconnected", "system"].contains(($0 as? RigError)?.shortDescription)
      }
    }

    @Test("a QEMU that ends at once says why")
    func refusedOption() async throws {
      let directory = try RigDirectory()
      var spec = guest(rate: 0)
      spec.uuid = "not-a-uuid"
      let error = try await #require(throws: RigError.self) {
        _ = try await QEMUProcess.start(spec, label: "g", in: directory.path, incoming: false)
      }
      #expect(error.code == .exited)
      #expect(error.cause.contains("not-a-uuid") || error.cause.lowercased().contains("uuid"))
    }

    @Test("a working set that does not fit the memory is refused")
    func tooSmall() async throws {
      let error = try await #require(throws: RigError.self) {
        _ = try await QEMUProcess.start(
          guest(rate: 0, workingSet: 64, memory: 64), label: "g", in: "/nowhere", incoming: false)
      }
      #expect(error.code == .unsuitable)
    }

    @Test("QEMU dies with the process that started it, also by SIGKILL")
    func leash() async throws {
      let directory = try RigDirectory()
      let out = "\(directory.path)/pid"
      let qemu = "setpriv --pdeathsig KILL -- qemu-system-x86_64 -nodefaults -display none -m 32"
      let parent = try await ChildProcess.start(
        ["bash", "-c", "\(qemu) & echo $! >&2; wait"], leash: Leash(launcher: []), standardError: out)
      var pid: Int32?
      try await eventually("QEMU runs") {
        pid = (try? String(contentsOfFile: out, encoding: .utf8))
          .flatMap { Int32($0.split(separator: "\n").first ?? "") }
        // Before it becomes QEMU, it is the launcher.
        let program = pid.flatMap {
          try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\($0)/exe")
        }
        return program?.hasSuffix("/qemu-system-x86_64") == true
      }
      await parent.end()
      let orphan = try #require(pid)
      try await eventually("QEMU ends") { !isRunning(orphan) }
    }

    @Test("a QEMU that nobody holds any more is killed")
    func dropped() async throws {
      let directory = try RigDirectory()
      let pid = try await QEMUProcess.start(
        guest(rate: 0), label: "g", in: directory.path, incoming: false
      ).pid
      try await eventually("QEMU ends") { !isRunning(pid) }
    }
  }
}
