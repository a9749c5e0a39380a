import Foundation
import QEMURig
import Testing

@testable import LibvirtLab

extension LabTests {
  /// The lab of two libvirt hosts itself.
  @Suite("LibvirtLab")
  struct LibvirtLabTests {
    @Test("a guest moves over the wire that is asked for, and its rate can be changed on both hosts")
    func moves() async throws {
      try await LabHosts.with { lab in
        let uuid = UUID().uuidString.lowercased()
        let rate = DirtyRate(atLeastMebibytesPerSecond: 200)
        let set = WorkingSet(atLeastMebibytes: 32)
        try await lab.guest("g", rate: rate, workingSet: set, isPersistent: true, uuid: uuid)
        #expect(try await lab.heartbeat("g") == rate.command)
        #expect(try await lab.virsh(.a, ["domuuid", "g"]) == uuid)
        try await lab.setSpeed("g", mebibytesPerSecond: 20)

        let migration = try await lab.migrate("g", over: .mig)
        try await lab.untilUnderWay("g")
        let sockets = try await lab.execute(.a, ["ss", "-tnH"])
        #expect(sockets.contains("\(lab.address(.b, on: .mig)):49152"))
        #expect(sockets.contains("\(lab.address(.b, on: .ctl)):16509"))
        #expect(migration.outcome == nil)

        let slow = DirtyRate(atLeastMebibytesPerSecond: 1)
        try await lab.setRate("g", slow)
        let outcome = await migration.result()
        #expect(outcome.hasSucceeded, "\(outcome.standardError)")
        #expect(outcome.endedAt > migration.startedAt)
        #expect(try await lab.heartbeat("g") == slow.command)
        #expect(try await lab.virsh(.a, ["domstate", "g"]) == "shut off")
        try await lab.setRate("g", .idle)
        #expect(try await lab.heartbeat("g") == DirtyRate.idle.command)

        #expect(try await lab.migrate("g", over: .mig).result().hasSucceeded)
        #expect(try await lab.virsh(.a, ["domstate", "g"]) == "running")
        try await lab.destroy("g")
        #expect(try await lab.virsh(.a, ["list", "--all", "--name"]).isEmpty)
      }
    }

    @Test("a cut wire is dead until it is healed, and a keepalive that runs out ends the migration")
    func cuts() async throws {
      try await LabHosts.with(keepalive: .fast) { lab in
        try await lab.guest("g", memoryMebibytes: 128, rate: DirtyRate(atLeastMebibytesPerSecond: 200))
        try await lab.setSpeed("g", mebibytesPerSecond: 5)
        try await lab.cut(.mig)
        #expect(try await !lab.isReachable(.mig))
        #expect(try await lab.isReachable(.ctl))
        try await lab.heal()
        #expect(try await lab.isReachable(.mig))

        let migration = try await lab.migrate("g", over: .mig)
        try await lab.untilUnderWay("g")
        try await lab.cut(.ctl)
        let cut = ContinuousClock.now
        let outcome = await migration.result()
        #expect(outcome.status == .exited(code: 1))
        #expect(outcome.standardError.contains("client socket is closed"))
        #expect(outcome.endedAt - cut < .seconds(8))
        try await lab.heal(.ctl)
        try await lab.heartbeat("g")
      }
    }

    @Test("guests and daemons hang, go on, and die, and a daemon comes back to its guests")
    func trouble() async throws {
      try await LabHosts.with { lab in
        try await lab.guest("g", rate: DirtyRate(atLeastMebibytesPerSecond: 200))
        try await lab.setSpeed("g", mebibytesPerSecond: 5)
        try await lab.hang("g")
        await #expect(throws: LabError.self) { try await lab.heartbeat("g") }
        try await lab.resume("g")
        try await lab.heartbeat("g")

        var migration = try await lab.migrate("g")
        try await lab.untilUnderWay("g")
        try await lab.killQEMU("g", on: .b)
        #expect(await !migration.result().hasSucceeded)
        migration = try await lab.migrate("g")
        try await lab.untilUnderWay("g")
        try await lab.abort("g")
        #expect(await migration.result().standardError.contains("canceled by client"))
        migration = try await lab.migrate("g", isPeerToPeer: false)
        try await lab.untilUnderWay("g")
        try await lab.abort("g")
        #expect(await migration.result().standardError.contains("canceled by client"))

        try await lab.killDaemon(.a)
        await #expect(throws: LabError.self) { try await lab.virsh(.a, ["list"]) }
        try await lab.startDaemon(.a)
        #expect(try await lab.virsh(.a, ["domstate", "g"]) == "running")
        try await lab.heartbeat("g")
      }
    }

    @Test("a disk that the hosts do not share is copied, with what is written meanwhile")
    func disk() async throws {
      try await LabHosts.with { lab in
        try await lab.guest("g", diskMebibytes: 64)
        try await lab.write("g", mebibytes: 8)
        try await lab.setSpeed("g", mebibytesPerSecond: 20)
        let migration = try await lab.migrate("g", over: .mig, ["--copy-storage-all"])
        try await lab.untilUnderWay("g")
        try await lab.write("g", mebibytes: 4, atMebibyte: 40)
        let outcome = await migration.result()
        #expect(outcome.hasSucceeded, "\(outcome.standardError)")
        let copies = LabHosts.Host.allCases.map { "\(lab.directory)/\($0.rawValue)/lib/images/g.disk" }
        #expect(FileManager.default.contentsEqual(atPath: copies[0], andPath: copies[1]))
      }
    }

    @Test("nothing is left of a lab: no process, no namespace, no mount, no file")
    func leavesNothing() async throws {
      struct Stop: Error {}
      var traces: Traces?
      var directory = ""
      await #expect(throws: Stop.self) {
        try await LabHosts.with { lab in
          directory = lab.directory
          try await lab.guest("g")
          traces = try Traces(of: lab)
          #expect(try #require(traces).processes.count > 4)
          _ = try await lab.migrate("g", over: .mig)
          throw Stop()
        }
      }
      try await #require(traces).untilGone()
      #expect(!FileManager.default.fileExists(atPath: directory))
    }

    @Test("a cancelled test's lab goes down too, and at once")
    func cancelled() async throws {
      let (started, starting) = AsyncStream.makeStream(of: Traces.self)
      let task = Task {
        try await LabHosts.with { lab in
          try await lab.guest("g", rate: DirtyRate(atLeastMebibytesPerSecond: 200))
          try await lab.setSpeed("g", mebibytesPerSecond: 1)
          let migration = try await lab.migrate("g")
          try await lab.untilUnderWay("g")
          starting.yield(try Traces(of: lab))
          _ = await migration.result()
          try Task.checkCancellation()
        }
      }
      let traces = try #require(await started.first { _ in true })
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
      try await traces.untilGone()
    }

    @Test("a lab whose script was killed on the way up is cleaned by the next one")
    func killedScript() async throws {
      let directory = LabHosts.newDirectory()
      for last in ["drover-lab", "a/init", "b/init"] {
        let run = try ScriptRun(["up", "--owner", "\(getpid())"], directory: directory)
        try await until("\(last) is there") { FileManager.default.fileExists(atPath: "\(directory)/\(last)") }
        run.kill()
        _ = await run.waitForEnd()
      }
      let left = try Traces(in: directory)
      #expect(!left.processes.isEmpty)
      let lab = try await LabHosts.up(directory: directory)
      #expect(try Traces(of: lab).processes.isDisjoint(with: left.processes))
      try await lab.guest("g")
      try await lab.heartbeat("g")
      let traces = try Traces(of: lab)
      try await lab.down()
      try await traces.untilGone()
      #expect(!FileManager.default.fileExists(atPath: directory))
    }

    @Test("a lab ends with its owner, also one that was killed; `run` passes on how its command ended")
    func owner() async throws {
      let directory = LabHosts.newDirectory()
      let run = try ScriptRun(["run", "sleep", "1000"], directory: directory)
      try await until("the lab is up") { FileManager.default.fileExists(atPath: "\(directory)/up") }
      let traces = try Traces(in: directory)
      #expect(!traces.processes.isEmpty)
      run.kill()
      try await traces.untilGone()
      try await until("the directory is gone") { !FileManager.default.fileExists(atPath: directory) }

      let words = ["run", "--keepalive", "1/2", "sh", "-c", "virsh -c $DROVER_LAB_URI_B hostname; exit 7"]
      let end = try await ScriptRun(words, directory: directory).waitForEnd()
      #expect(end.status == .exited(code: 7) && end.output == "lab-b")
      #expect(!FileManager.default.fileExists(atPath: directory))
    }
  }
}

extension LabHosts {
  fileprivate func isReachable(_ wire: Wire) async throws -> Bool {
    do {
      let server = "TCP:\(address(.b, on: wire)):16509,connect-timeout=1"
      try await execute(.a, ["socat", "-u", "OPEN:/dev/null", server])
      return true
    } catch is LabError {
      return false
    }
  }
}

/// What is there of a lab as long as it is up.
private struct Traces: Sendable {
  let directory: String
  let namespaces: Set<String>
  /// Those in the lab's namespaces, and those that name its directory.
  let processes: Set<Int32>

  init(of lab: LabHosts) throws { try self.init(in: lab.directory) }

  init(in directory: String) throws {
    self.directory = directory
    var namespaces: Set<String> = []
    for host in LabHosts.Host.allCases {
      guard let line = try? String(contentsOfFile: "\(directory)/\(host.rawValue)/init", encoding: .utf8),
        let pid = line.split(separator: " ").first
      else { continue }
      for kind in ["mnt", "net", "pid", "uts"] { namespaces.insert(try link("/proc/\(pid)/ns/\(kind)")) }
    }
    self.namespaces = namespaces
    self.processes = Self.processes(namespaces, directory)
  }

  func untilGone() async throws {
    try await until("the lab's processes are gone") { Self.processes(namespaces, directory).isEmpty }
    let mounts = try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)
    #expect(!mounts.contains(directory))
  }

  private static func processes(_ namespaces: Set<String>, _ directory: String) -> Set<Int32> {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc"))?.compactMap { Int32($0) } ?? []
    return Set(
      all.filter { pid in
        let isInside = ["mnt", "net", "pid", "uts"].contains { kind in
          (try? link("/proc/\(pid)/ns/\(kind)")).map(namespaces.contains) ?? false
        }
        let command = (try? Data(contentsOf: URL(filePath: "/proc/\(pid)/cmdline"))) ?? Data()
        return isInside || String(decoding: command, as: UTF8.self).contains(directory)
      })
  }
}

private func link(_ path: String) throws -> String {
  try FileManager.default.destinationOfSymbolicLink(atPath: path)
}

private func until(_ what: String, _ isTrue: () -> Bool) async throws {
  for _ in 0..<200 {
    if isTrue() { return }
    try await Task.sleep(for: .milliseconds(50))
  }
  Issue.record("not within 10 s: \(what)")
}
