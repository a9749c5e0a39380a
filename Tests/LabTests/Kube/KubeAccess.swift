import Foundation
import KubeLab
import QEMURig
import Testing

extension LabTests {
  @Suite("KubeVirt: who may act, as the cluster says")
  struct KubeAccess {
    /// Asks by a token over TCP what an abort would do.
    private func abort(
      _ migration: Migration, by token: String, _ daemon: LabDaemon
    ) async throws -> CommandAnswer {
      let file = daemon.directory.appending(path: "token").path
      try token.write(toFile: file, atomically: true, encoding: .utf8)
      return try await daemon.run(
        ["abort", migration.uid, "--dry-run", "--token-file", file], server: daemon.address)
    }

    @Test(
      "whom a ClusterRole lets abort may, by a token made for Drover; nobody else, and nobody while it is not known"
    )
    func reviews() async throws {
      try await Cluster.with { cluster in
        try await cluster.addKubeVirt(version: "1.9.0")
        for node in ["n1", "n2"] { try await cluster.addNode(node) }
        let migration = try await cluster.createVMIM(for: try await cluster.addVMI("web", on: "n1"))
        try await migration.advance(to: .running, on: "n2")
        try await cluster.grant("read", [Cluster.Rule(["*"], ["*"], ["get", "list", "watch"])])
        for account in ["may", "maynot"] { try await cluster.addServiceAccount(account) }
        try await cluster.grant(
          "may-abort", [Cluster.Rule(["drover.io"], ["migrations"], ["abort"])],
          to: .serviceAccount("may", namespace: "drover"))
        let may = try await cluster.token(of: "may", audience: "drover")
        let other = try await cluster.token(of: "may", audience: "drover")
        let elsewhere = try await cluster.token(of: "may")
        let maynot = try await cluster.token(of: "maynot", audience: "drover")
        let configuration = """
          backends: [{kubevirt: {name: kube, kubeconfig: "\(try cluster.server.kubeconfig(.drover))"}}]
          access: [{kubernetes: kube, audience: drover, rights: [abort]}]
          control: {switches: {manual: enabled}}
          """
        try await LabDaemon.with(
          configuration: configuration,
          isReady: { try await $0.run(["list"]).output.contains(migration.uid) }
        ) { daemon in
          let blind = try await abort(migration, by: may, daemon)
          #expect(
            blind.code == 1 && blind.errors.contains("tokenreviews"), "without the right to ask: \(blind)")
          try await cluster.grant(
            "reviews",
            [
              Cluster.Rule(["authentication.k8s.io"], ["tokenreviews"], ["create"]),
              Cluster.Rule(["authorization.k8s.io"], ["subjectaccessreviews"], ["create"]),
            ])
          var granted = try await abort(migration, by: may, daemon)
          let end = ContinuousClock.now + .seconds(10)
          // RBAC takes a moment to hear of it.
          while granted.code != 0, ContinuousClock.now < end {
            granted = try await abort(migration, by: may, daemon)
          }
          #expect(granted.code == 0, "\(granted)")
          let refused = try await abort(migration, by: maynot, daemon)
          #expect(
            refused.code == 1
              && refused.errors.contains(
                "user system:serviceaccount:drover:maynot of the cluster kube has not"),
            "\(refused)")
          for (token, what) in [("unknown", "unknown"), (elsewhere, "made for the API server")] {
            let stranger = try await abort(migration, by: token, daemon)
            #expect(stranger.code == 1 && stranger.errors.contains("is not right"), "\(what): \(stranger)")
          }
          try await cluster.server.suspend()
          let began = ContinuousClock.now
          let away = try await abort(migration, by: other, daemon)
          let took = ContinuousClock.now - began
          try await cluster.server.resume()
          #expect(away.code == 1 && away.errors.contains("cannot be found out"), "\(away)")
          #expect(took < .seconds(6), "\(took)")
          print("lab: an API server that hangs was given up after \(took)")
          #expect(!daemon.log.contains(may) && !daemon.log.contains(maynot), "no token is said")
        }
      }
    }
  }
}
