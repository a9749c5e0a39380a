import Foundation
import PeerTools
import Testing

@testable import ProgramSupport

extension EndToEnd {
  @Suite("drover behind TLS")
  struct AccessTests {
    @Test("is asked with a token or a certificate that may read, by those who trust its authority")
    func list() async throws {
      let directory = try TemporaryDirectory()
      let scratch = try Scratch()
      let maker = CertificateMaker(in: scratch)
      let authority = try maker.authority("ca")
      let server = try maker.certificate("server", by: authority, names: "IP:127.0.0.1")
      let robot = try maker.certificate("robot", by: authority, purpose: .client)
      let token = try scratch.write("reader.token", "t0ken\n")
      let web = try scratch.write(
        "web.yml",
        """
        tls_server_config:
          {cert_file: server.pem, key_file: server.key, client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem}
        basic_auth_users: {prometheus: $2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW}
        """)
      let file = try directory.write(
        "access: [{tokenFile: \(token), rights: [read]}, {certificate: robot, rights: [read]}]",
        to: "drover.yaml")
      let port = try freePort()
      let address = "https://127.0.0.1:\(port)"
      let program = try Program(
        [
          "serve", "--web.listen-address", "127.0.0.1:\(port)", "--web.config.file", web, "--config.file",
          file,
        ], in: directory)
      try await eventually("an answer of drover serve") {
        try program.mustRun()
        let answer = try await curl(
          ["--cacert", authority.certificate, "\(address)/-/healthy"], in: scratch)
        return answer.status == 200 ? true : nil
      }
      func list(_ options: String...) async throws -> (ending: Ending, output: String, errors: String) {
        try await Program.run(["list", "--output", "json", "--server", address] + options, in: directory)
      }
      let ca = ["--ca-file", authority.certificate]
      let stranger = try await list()
      #expect(stranger.ending != .exited(0), "\(stranger.errors)")
      // Somebody answers there: who it is cannot be checked.
      #expect(!stranger.errors.contains("Is drover serving there?"), "\(stranger.errors)")
      let nobody = try await list(ca[0], ca[1])
      #expect(
        nobody.ending != .exited(0) && nobody.errors.contains("needs the right read"), "\(nobody.errors)")
      #expect(try await list(ca[0], ca[1], "--token-file", token).ending == .exited(0))
      let shown = try await list(
        ca[0], ca[1], "--cert-file", robot.certificate, "--key-file", robot.key)
      #expect(shown.ending == .exited(0), "\(shown.errors)")
      _ = server
      let scrape = try await curl(
        ["--cacert", authority.certificate, "--user", "prometheus:secret", "\(address)/metrics"], in: scratch)
      #expect(scrape.body.contains("drover_build_info"))
      let local = try await Program.run(["list", "--output", "json"], in: directory)
      #expect(local.ending == .exited(0), "\(local.errors)")
      #expect(!program.errors.contains("t0ken") && program.errors.contains("request refused"))
    }

    @Test("does not start with a web.yml that is wrong, and names the line")
    func badFile() async throws {
      let directory = try TemporaryDirectory()
      let web = try directory.write("basic_auth_users:\n  alice: secret\n", to: "web.yml")
      let result = try await Program.run(
        ["serve", "--web.listen-address", "127.0.0.1:0", "--web.config.file", web], in: directory)
      #expect(result.ending != .exited(0))
      #expect(result.errors.contains("web.yml:2:10: basic_auth_users: \"alice\" has no bcrypt hash"))
    }
  }
}
