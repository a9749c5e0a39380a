import Foundation
import Testing

@testable import ProgramSupport

extension EndToEnd {
  @Suite("QEMUs that misbehave, beside one that does not")
  struct MisbehavingQMPTests {
    @Test("cost neither answers, nor log lines, nor memory, nor descriptors")
    func beside() async throws {
      let directory = try TemporaryDirectory()
      let good = try FakeQMP("\(directory.path)/good.qmp")
      let bad = FakeQMP.Behaviour.allCases.filter { $0 != .good }
      var servers: [FakeQMP] = []
      var arguments = ["--qemu.socket", good.path, "--log.level", "info"]
      for behaviour in bad {
        // Five of a kind make a minute's worth of attempts in seconds.
        for number in 1...5 {
          servers.append(try FakeQMP("\(directory.path)/\(behaviour)-\(number).sock", behaviour))
        }
        arguments += ["--qemu.socket", "\(directory.path)/\(behaviour)-*.sock"]
      }
      let serving = try await Serving(arguments, in: directory)
      let pid = serving.program.pid

      var slowest = Duration.zero
      func scrape() async throws -> Metrics {
        let answer = try await serving.web.get("/metrics")
        slowest = max(slowest, answer.duration)
        return Metrics(answer.text)
      }
      try await eventually("readiness") {
        _ = try await scrape()
        return try await serving.web.get("/-/ready").status == 200
      }
      try await eventually("every server was tried twice") {
        _ = try await scrape()
        return servers.allSatisfy { $0.connections >= 2 }
      }
      let descriptors = Processes.descriptors(of: pid)
      let resident = Processes.residentBytes(of: pid)
      let attempts = servers.map(\.connections).reduce(0, +)
      try await eventually("a minute's worth of attempts", within: .seconds(60)) {
        _ = try await scrape()
        return servers.map(\.connections).reduce(0, +) >= attempts + 36
      }

      let metrics = try await scrape()
      let began = try #require(metrics.value("process_start_time_seconds"))
      #expect(metrics.value("drover_backend_up", #"backend="qemu""#) == 1)
      let heard = try #require(metrics.value("drover_backend_last_success_timestamp_seconds"))
      #expect(heard > began)
      let kinds = [
        "hangs": "timeout", "garbage": "protocol", "endlessLine": "line_too_long", "closes": "closed",
      ]
      for (index, behaviour) in bad.enumerated() {
        let backend = "backend=\"qemu-\(index + 2)\""
        #expect(metrics.value("drover_backend_up", backend) == 0)
        let errors = metrics["drover_backend_errors_total"].filter {
          $0.key.contains(backend) && $0.value > 0
        }
        let kind = try #require(kinds[behaviour.rawValue])
        #expect(errors.count == 1)
        #expect(errors.keys.allSatisfy { $0.contains("kind=\"\(kind)\"") }, "\(errors)")
        // One line for each socket, however often it is tried.
        for number in 1...5 {
          let lines = serving.program.lines.filter { $0.contains("\(behaviour)-\(number).sock") }
          #expect(lines.count == 1, "\(lines)")
        }
      }
      #expect(good.connections == 1)
      print("slowest scrape \(slowest), \(Processes.residentBytes(of: pid) >> 20) MiB resident")
      #expect(slowest < .milliseconds(250))
      // Sockets that are being tried come and go.
      #expect(Processes.descriptors(of: pid) <= descriptors + servers.count)
      #expect(Processes.residentBytes(of: pid) <= resident + 32 << 20)
    }
  }
}
