import CurlClient
import DroverService
import Foundation
import KubeLab
import LibvirtLab
import QEMURig
import Testing

@testable import ProgramSupport

extension LabTests {
  @Suite("Boards and alerts, on a cluster and a host")
  struct KubeBoards {
    /// As long as a scrape and an evaluation may take, so that what lasts as long is seen.
    private static let seen = Duration.seconds(11)

    @Test(
      "each of the boards' queries returns data, here or from the demo, but for those listed with a reason")
    func expressions() async throws {
      try await LabHosts.with(keepalive: .usual) { hosts in
        try await Cluster.with { cluster in
          try await cluster.addKubeVirt(
            version: "1.9.0", migrations: ["parallelOutboundMigrationsPerNode": 2])
          for node in ["n1", "n2", "n3"] { try await cluster.addNode(node) }
          let directory = try TemporaryDirectory()
          let file = try directory.write(
            """
            backends:
              - kubevirt: {name: prod, kubeconfig: "\(try cluster.server.kubeconfig(User.admin))"}
              - libvirt: {name: rack, uri: "\(hosts.uri(.a))", controlURI: "\(hosts.uri(.a))", dirtyRate: true}
            control: {switches: {manual: enabled}}
            """, to: "drover.yaml")
          let serving = try await Serving(
            ["--config.file", file, "--path.rootfs", "/proc/\(hosts.initProcess(.a))/root"], in: directory)
          let (isContent, text) = try await BoardsWatch.at(.expressions, of: serving.web.hostAndPort) {
            try await withThrowingTaskGroup { group in
              group.addTask { try await Self.empty("n1", of: cluster) }
              group.addTask { try await Self.move(on: hosts, serving) }
              try await group.waitForAll()
            }
            // A back end that is away.
            try await hosts.killDaemon(.a)
            try await Task.sleep(for: Self.seen)
          }
          print("lab: \(text)")
          #expect(isContent, "\(text)")
          serving.program.signal(SIGTERM)
          _ = try await serving.program.end()
        }
      }
    }

    /// A node's guests leave it: two at a time, one cannot, one copy stands still and fails, twice.
    private static func empty(_ node: String, of cluster: Cluster) async throws {
      let stuck = try await cluster.addVMI("stuck", in: "shop", on: node, evictionStrategy: "LiveMigrate")
      try await stuck.setLiveMigratable(false, reason: "DisksNotLiveMigratable")
      var waiting: [Migration] = []
      for number in 0..<5 {
        let vm = try await cluster.addVMI(
          "vm-\(number)", in: "shop", on: node, migrationMethod: "LiveMigration")
        let migration = try await cluster.createVMIM(for: vm, origin: .evacuation(node))
        try await migration.pending()
        waiting.append(migration)
      }
      try await cluster.taint(node)
      try await cluster.cordon(node)
      try await cluster.setHeartbeat(node)
      func copy(_ migration: Migration, to target: String) async throws {
        try await migration.advance(to: .running, on: target)
        try await cluster.handlers.begin(
          migration.copy, total: 8 << 30, rate: 100 << 20, dirtyRate: 20 << 20)
      }
      try await copy(waiting[0], to: "n2")
      try await copy(waiting[1], to: "n3")
      try await Task.sleep(for: seen * 2)
      try await cluster.handlers.freeze(waiting[1].copy)
      try await waiting[0].succeed()
      try await copy(waiting[2], to: "n2")
      try await Task.sleep(for: seen * 2)
      try await waiting[1].fail(.libvirt("operation failed: Lost connection to destination host"))
      let again = try await cluster.createVMIM(for: waiting[1].vm, origin: .evacuation(node))
      try await copy(again, to: "n3")
      try await again.fail(.libvirt("internal error: qemu unexpectedly closed the monitor"))
      try await Task.sleep(for: seen)
    }

    /// A disk is copied, a guest is slowed down, a wire is cut and heals, and two migrations are ended by a person.
    private static func move(on hosts: LabHosts, _ serving: Serving) async throws {
      let (fast, slow) = (DirtyRate(atLeastMebibytesPerSecond: 200), DirtyRate(atLeastMebibytesPerSecond: 1))
      let workingSet = WorkingSet(atLeastMebibytes: 16)
      try await hosts.guest("busy", memoryMebibytes: 64, rate: fast, workingSet: workingSet)
      try await hosts.guest(
        "disk", memoryMebibytes: 64, rate: slow, workingSet: workingSet, isPersistent: true,
        diskMebibytes: 256)
      for name in ["busy", "disk"] { try await hosts.heartbeat(name) }
      try await hosts.setSpeed("busy", mebibytesPerSecond: 4)
      try await hosts.setSpeed("disk", mebibytesPerSecond: 3)
      let disk = try await hosts.migrate("disk", over: .mig, ["--copy-storage-all"])
      let busy = try await hosts.migrate(
        "busy", over: .mig,
        ["--auto-converge", "--auto-converge-initial", "20", "--auto-converge-increment", "1"])
      for name in ["disk", "busy"] { try await hosts.untilUnderWay(name) }
      try await Task.sleep(for: seen)
      try await hosts.cut(.mig)
      try await Task.sleep(for: seen)
      try await hosts.heal(.mig)
      try await Task.sleep(for: seen)
      for (name, migration) in [("busy", busy), ("disk", disk)] {
        let id = try #require(
          try await serving.web.migrations().first { $0.vm == name && $0.ending == nil }?.id)
        let answer = try await serving.control.send(.post, "/api/v1/migrations/\(id)/abort", "")
        #expect([200, 202].contains(answer.status), "\(answer)")
        _ = await migration.result()
        // Of the second one a rise can be seen.
        try await Task.sleep(for: seen * 2)
        let over = try await serving.web.migrations().first { $0.id == id }?.ending
        print("lab: the abort of \(name) came to \(over.map { "\($0)" } ?? "nothing")")
      }
    }
  }
}
