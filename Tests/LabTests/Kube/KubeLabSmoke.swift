import Foundation
import KubeLab
import QEMURig
import Testing

extension LabTests {
  /// The Kubernetes API of the lab, and those who play KubeVirt on it.
  @Suite("the lab's Kubernetes itself", .timeLimit(.minutes(5)))
  struct KubeLabSmoke {
    @Test("an API server is up within seconds, and leaves nothing behind")
    func upAndDown() async throws {
      let start = ContinuousClock.now
      let server = try await APIServer.start()
      let duration = ContinuousClock.now - start
      print("lab: an API server is up after \(duration)")
      // 5 s on a machine that does nothing else.
      #expect(duration < .seconds(40))
      #expect(FileManager.default.fileExists(atPath: server.directory))
      await server.stop()
      #expect(!FileManager.default.fileExists(atPath: server.directory))
    }

    @Test("all definitions are served, and an object that does not fit one is refused")
    func definitions() async throws {
      try await Cluster.withShared { cluster in
        for resource in Resource.all {
          let answer = try await cluster.api.request("GET", resource.path())
          #expect(answer.status == 200, "\(resource.plural)")
        }
        let refusal = await #expect(throws: APIRefusal.self) {
          try await cluster.api.create([
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration",
            "metadata": ["name": "wrong"], "spec": ["vmiName": 5],
          ])
        }
        #expect(refusal?.status == 422 && refusal?.reason == "Invalid")
      }
    }

    @Test("a migration goes through all phases on both of its objects, and is collected as garbage")
    func migration() async throws {
      try await Cluster.withShared { cluster in
        try await cluster.addKubeVirt(version: "1.6.0", migrations: ["completionTimeoutPerGiB": 800])
        for node in ["node-a", "node-b"] { try await cluster.addNode(node) }
        let vm = try await cluster.addVMI("demo", on: "node-a")
        let first = try await cluster.createVMIM(for: vm, origin: .ui, targetNode: "node-b")
        try await first.advance(to: .running, on: "node-b")
        let state = try await vm.object()[path: "status", "migrationState"]
        #expect(state?["migrationUid"]?.string == first.uid)
        #expect(state?[path: "migrationConfiguration", "completionTimeoutPerGiB"]?.int == 800)
        #expect(try await first.object()?[path: "status", "migrationState", "migrationUid"] == nil)

        try await first.succeed()
        let ended = try #require(try await first.object())
        let phases = ended[path: "status", "phaseTransitionTimestamps"]?.array.compactMap {
          $0["phase"]?.string
        }
        #expect(
          phases == [
            "Pending", "Scheduling", "Scheduled", "PreparingTarget", "TargetReady", "Running", "Succeeded",
          ])
        #expect(ended[path: "metadata", "finalizers"] == nil)
        #expect(ended[path: "status", "migrationState", "completed"]?.bool == true)
        #expect(try await vm.node() == "node-b")

        for _ in 0..<5 {
          let next = try await cluster.createVMIM(for: vm)
          try await next.advance(to: .running, on: "node-a")
          try await next.fail(.progressTimeout(seconds: 150))
        }
        try await cluster.collectGarbage(of: vm)
        #expect(try await first.object() == nil)
        #expect(try await cluster.api.count(.vmims) == 5)
        #expect(try await vm.node() == "node-b")
      }
    }

    @Test("an abort ends as its phase lets it, and takes the object away")
    func aborts() async throws {
      try await Cluster.withShared { cluster in
        try await cluster.addKubeVirt(version: "1.9.0")
        let vm = try await cluster.addVMI("demo", on: "node-a")
        let waiting = try await cluster.createVMIM(for: vm)
        try await waiting.advance(to: .pending, on: "node-b")
        try await waiting.requestAbort()
        #expect(try await waiting.object()?[path: "metadata", "deletionTimestamp"] != nil)
        try await waiting.finishAbort()
        #expect(try await waiting.object() == nil)
        #expect(try await vm.object()[path: "status", "migrationState"] == nil)

        let copying = try await cluster.createVMIM(for: vm)
        try await copying.advance(to: .running, on: "node-b")
        try await copying.requestAbort()
        #expect(try await vm.object()[path: "status", "migrationState", "abortRequested"]?.bool == true)
        try await copying.finishAbort()
        #expect(try await copying.object() == nil)
        let state = try await vm.object()[path: "status", "migrationState"]
        #expect(state?["failureReason"]?.string == "Live migration has been aborted")
        #expect(state?["abortStatus"]?.string == "Succeeded" && state?["failed"]?.bool == true)
      }
    }

    @Test("a killed API server comes back with all objects, and with no memory of older versions")
    func restart() async throws {
      try await Cluster.withShared { cluster in
        let vm = try await cluster.addVMI("demo", on: "node-a")
        let path = Resource.vmis.path()
        let list = try await cluster.api.request("GET", path)
        let version = try #require(list.json?[path: "metadata", "resourceVersion"]?.string)
        try await vm.label(["changed": "yes"])
        try await cluster.server.kill()
        await #expect(throws: KubeLabError.self) { try await vm.object() }
        try await cluster.server.launch()
        #expect(try await vm.object().uid == vm.uid)
        let watch = try await cluster.api.request(
          "GET", "\(path)?watch=1&timeoutSeconds=2&resourceVersion=\(version)")
        let event = watch.json ?? JSONValue(json: watch.text)
        #expect(watch.status == 200)
        #expect(event?["type"]?.string == "ERROR" && event?[path: "object", "code"]?.int == 410)

        for number in 0..<3 { try await cluster.addVMI("more-\(number)", on: "node-a") }
        let page = try await cluster.api.request("GET", "\(path)?limit=1")
        let rest = try #require(page.json?[path: "metadata", "continue"]?.string)
        try await vm.label(["changed": "again"])
        try await cluster.server.compact()
        let next = try await cluster.api.request("GET", "\(path)?limit=1&continue=\(rest)")
        #expect(next.status == 410)
      }
    }

    @Test("rights are denied until they are granted, and tokens end")
    func rights() async throws {
      try await Cluster.withShared { cluster in
        let path = Resource.vmis.path()
        func status(_ token: String) async throws -> Int {
          try await cluster.api.request("GET", path, token: token).status
        }
        #expect(try await status(User.drover.token) == 403)
        #expect(try await status("wrong") == 401)
        try await cluster.grant("guests", Cluster.Rule.read(.vmis))
        try await until { try await status(User.drover.token) == 200 }
        #expect(try await status(User.droverAgain.token) == 200)
        #expect(try await status(User.nobody.token) == 403)
        let asked = try await cluster.server.requests(of: User.nobody.name)
        #expect(asked.last?.verb == "list" && asked.last?.resource == "virtualmachineinstances")
        #expect(asked.last?.status == 403)
        try await cluster.revoke("guests")
        try await until { try await status(User.drover.token) == 403 }

        try await cluster.addServiceAccount()
        let account = Cluster.Subject.serviceAccount("drover", namespace: "drover")
        try await cluster.grant("guests", Cluster.Rule.read(.vmis), to: account)
        let (first, second) = (
          try await cluster.token(boundTo: "one"), try await cluster.token(boundTo: "two")
        )
        try await until { try await status(first) == 200 }
        try await cluster.revokeToken(first, boundTo: "one")
        #expect(try await status(second) == 200)

        try await cluster.server.accept([.admin, .droverAgain])
        #expect(try await status(User.drover.token) == 401)
        #expect(try await status(User.droverAgain.token) == 403)
      }
    }

    @Test("virt-handler's stand-in tells moving numbers over TLS, in a ring of ten, until the bytes stop")
    func standIn() async throws {
      try await Cluster.withShared { cluster in
        try await cluster.addNode("node-a", handlerVersion: "1.6.0")
        try await cluster.addNode("node-b", handlerVersion: "1.9.0")
        let vm = try await cluster.addVMI("demo", on: "node-a")
        let copy = vm.copy(from: "node-a")
        try await cluster.handlers.setInterval(.milliseconds(100))
        try await cluster.handlers.begin(copy, total: 1 << 40, rate: 1 << 28, dirtyRate: 1 << 20)
        let name = "kubevirt_vmi_migration_data_processed_bytes"
        func samples(_ family: String = name) async throws -> [(value: Double, time: Int)] {
          let (status, text) = try await cluster.handlers.scrape("node-a")
          #expect(status == 200)
          return text.split(separator: "\n").filter { $0.hasPrefix("\(family){") }.compactMap { line in
            let words = line.split(separator: " ")
            guard let value = Double(words[1]), let time = Int(words[2]) else { return nil }
            return (value, time)
          }
        }
        try await until { try await samples().count == 10 }
        let told = try await samples()
        #expect(zip(told, told.dropFirst()).allSatisfy { $0.value < $1.value && $0.time < $1.time })
        #expect(try await samples("kubevirt_vmi_migration_disk_transfer_rate_bytes").count == 10)
        try await cluster.handlers.freeze(copy)
        try await until { Set(try await samples().map(\.value)).count == 1 }
        let still = try await samples()
        #expect(Set(still.map(\.time)).count == 10)
        try await cluster.handlers.thaw(copy)
        try await until { Set(try await samples().map(\.value)).count > 1 }
        try await cluster.handlers.finish(copy)
        #expect(try await samples().count == 10)
        #expect(try await samples().isEmpty)

        #expect(try await cluster.handlers.counts(of: "node-a").answered > 6)
        #expect(try await cluster.handlers.counts(of: "node-b").requests == 0)
        for mode in [VirtHandlerStandIn.Mode.refuse, .busy, .answer] {
          try await cluster.handlers.setMode(mode, of: "node-a")
          switch mode {
          case .refuse:
            await #expect(throws: KubeLabError.self) { try await cluster.handlers.scrape("node-a") }
          case .busy: #expect(try await cluster.handlers.scrape("node-a").status == 503)
          default: #expect(try await cluster.handlers.scrape("node-a").status == 200)
          }
        }
        try await cluster.handlers.setCertificate(.foreign, of: "node-a")
        await #expect(throws: KubeLabError.self) { try await cluster.handlers.scrape("node-a") }
      }
    }

    @Test("the API server reaches virt-handler's stand-in by its pod, at an address that is not loopback")
    func proxied() async throws {
      try await Cluster.withShared { cluster in
        try await cluster.addNode("node-a", address: "198.18.0.2")
        let pod = try #require(try await cluster.virtHandlers(on: "node-a").first)
        let path = Resource.pods.path("https:\(pod):8443", in: "kubevirt", subresource: "proxy/metrics")
        let answer = try await cluster.api.request("GET", path)
        #expect(answer.status == 200 && answer.text.contains("kubevirt_virt_handler_ready_status 1"))
      }
    }

    @Test("a cluster is filled with copies of a played migration, saved, and started again with them")
    func filled() async throws {
      let saved = FileManager.default.temporaryDirectory.appending(path: "drover-kube-saved-\(getpid())").path
      defer { try? FileManager.default.removeItem(atPath: saved) }
      try await Cluster.with { cluster in
        let start = ContinuousClock.now
        try await cluster.load(100, on: ["node-a", "node-b"], migration: .succeeded)
        print("lab: 100 guests and migrations are put in within \(ContinuousClock.now - start)")
        try await cluster.server.save(to: saved)
      }
      try await Cluster.with(from: saved) { cluster in
        #expect(try await cluster.api.count(.vmis) == 100)
        #expect(try await cluster.api.count(.vmims) == 100)
        let guests = try await cluster.api.list(.vmis)
        #expect(Set(guests.map(\.uid)).count == 100)
        let vmim = try await cluster.api.get(.vmims, "load-vmim-00007", in: "default")
        let vmi = try await cluster.api.get(.vmis, "load-00007", in: "default")
        #expect(vmi[path: "status", "migrationState", "migrationUid"]?.string == vmim.uid)
        #expect(vmi[path: "status", "nodeName"]?.string == "node-a")
        // They are objects as any other.
        try await cluster.api.patch(.vmis, "load-00007", in: "default", ["metadata": ["labels": ["a": "b"]]])
      }
    }

    private func until(_ holds: () async throws -> Bool) async throws {
      let deadline = ContinuousClock.now + .seconds(20)
      while try await !holds() {
        try #require(ContinuousClock.now < deadline)
        try await Task.sleep(for: .milliseconds(20))
      }
    }
  }
}
