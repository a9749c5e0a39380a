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
    let directory = try RigDirectory()
    let sleep = ["sh", "-c", "echo on the leash >&2; exec sleep 600"]
    let kept = try await Task(executorPreference: FreshThreads()) {
      let child = try await ChildProcess.start(
        sleep, leash: .setpriv, standardError: "\(directory.path)/kept")
      blockUntilWritten("\(directory.path)/kept")
      return child
    }.value
    let lost = try await Task(executorPreference: FreshThreads()) {
      let child = try ChildProcess(
        startingOnThisThread: sleep, leash: .setpriv, standardError: "\(directory.path)/lost")
      blockUntilWritten("\(directory.path)/lost")
      return child
    }.value
    #expect(await lost.waitForExit() == .killed(signal: SIGKILL))
    #expect(kept.status == nil)
    await kept.end()
    #expect(kept.status == .killed(signal: SIGKILL))
  }

  @Test("a program that ends instead of taking orders is quoted, though not at any length")
  func endsAtOnce() async throws {
    let directory = try RigDirectory()
    let leash = Leash(launcher: ["sh", "-c", "head -c 9000 /dev/zero | tr '\\0' x >&2; echo end >&2; exit 3"])
    let error = try await #require(throws: RigError.self) {
      _ = try await QEMUProcess.start(
        guest(rate: 0), label: "g", in: directory.path, incoming: false,
        environment: RigEnvironment(qemu: "sh", leash: leash))
    }
    #expect(error.code == .exited)
    #expect(error.cause.hasPrefix("QEMU exited with code 3: xxx"))
    #expect(error.cause.hasSuffix("xend"))
    #expect(error.cause.count < 4200)
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
  }

  @Test("a child inherits no descriptor, is in a group of its own, and its signals are as usual")
  func inheritsNothing() async throws {
    let directory = try RigDirectory()
    let leaked = open("/dev/zero", O_RDONLY)
    defer { close(leaked) }
    let out = "\(directory.path)/out"
    let child = try await ChildProcess.start(
      [
        "sh", "-c",
        "exec >&2; ls -l /proc/$$/fd; cut -d' ' -f5 /proc/$$/stat; exec grep Sig /proc/self/status",
      ],
      leash: .setpriv, standardError: out)
    let pid = child.pid
    #expect(await child.waitForExit() == .exited(code: 0))
    let said = try String(contentsOfFile: out, encoding: .utf8)
    #expect(!said.contains("/dev/zero"))
    #expect(said.contains("SigBlk:\t0000000000000000"))
    // Signals 32 and 33 are glibc's own.
    let ignored = said.split(separator: "\n").first { $0.hasPrefix("SigIgn:") }?.suffix(8)
    #expect(ignored == "80000000" || ignored == "00000000")
    #expect(said.contains("\n\(pid)\n"))
  }
}

/// Keeps the calling thread until something is in the file.
private func blockUntilWritten(_ path: String) {
  let end = ContinuousClock.now + .seconds(30)
  while ContinuousClock.now < end, FileManager.default.contents(atPath: path)?.isEmpty ?? true {
    usleep(5000)
  }
}

/// Runs each piece of a task on a thread that ends with it.
private final class FreshThreads: TaskExecutor {
  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    do {
      try runOnThread("rig-test") { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    } catch {
      Issue.record(error)
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
        ($0 as? RigError)?.code == .disconnected
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
