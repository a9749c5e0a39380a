import CurlClient
import Foundation
import Testing

@testable import Kubernetes

@Suite struct ExecTests {
  let directory: TestDirectory
  let time = TestTime()

  init() throws { directory = try TestDirectory() }

  func access(
    _ script: String, version: String = "client.authentication.k8s.io/v1", more: String = ""
  ) throws -> ClusterAccess {
    try directory.write("#!/bin/sh\n" + script, to: "bin/plugin", executable: true)
    let config = try directory.write(
      """
      clusters:
      - name: c
        cluster:
          server: https://h:6443
          certificate-authority-data: UEVN
          extensions: [{name: client.authentication.k8s.io/exec, extension: {audience: a, n: 1}}]
      users:
      - name: bob
        user:
          exec:
            apiVersion: \(version)
            command: bin/plugin
            args: [get, "a b"]
            env: [{name: EXTRA, value: "x y"}]
            \(more)
      contexts: [{name: x, context: {cluster: c, user: bob}}]
      current-context: x
      """, to: "config")
    return try Kubeconfig.load(file: config, environment: [:]).access(timing: time.timing)
  }

  /// A script that prints a credential; `PID` in it is another number in each run.
  func printing(_ status: String, version: String = "client.authentication.k8s.io/v1") -> String {
    let json = #"{"kind":"ExecCredential","apiVersion":"\#(version)","status":{\#(status)}}"#
    return "sed s/PID/$$/ <<'END'\n\(json)\nEND\n"
  }

  /// Counts the runs in a file.
  var counting: String { "echo run >>\(directory.path)/runs\n" }
  var runs: Int {
    ((try? String(contentsOfFile: "\(directory.path)/runs", encoding: .utf8)) ?? "").split(separator: "\n")
      .count
  }

  func problem(_ access: ClusterAccess) async -> String {
    let error = await #expect(throws: AccessError.self) { _ = try await access.credentials.current() }
    return error?.description ?? ""
  }

  @Test(arguments: ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"])
  func aProgramIsToldWhatItAsksFor(version: String) async throws {
    let access = try access(
      """
      printf '%s|%s|%s' "$1" "$2" "$EXTRA" >\(directory.path)/told
      printf '%s' "$KUBERNETES_EXEC_INFO" >\(directory.path)/info
      """ + "\n" + printing(#""token":"t""#, version: version), version: version,
      more: "provideClusterInfo: true")
    #expect(try await access.credentials.current().token == "t")
    #expect(try String(contentsOfFile: "\(directory.path)/told", encoding: .utf8) == "get|a b|x y")
    let info = try Data(contentsOf: URL(fileURLWithPath: "\(directory.path)/info"))
    #expect(
      try JSONDecoder().decode(JSONValue.self, from: info) == [
        "kind": "ExecCredential", "apiVersion": .string(version),
        "spec": [
          "interactive": false,
          "cluster": [
            "server": "https://h:6443", "certificate-authority-data": "UEVN",
            "config": ["audience": "a", "n": 1],
          ],
        ],
      ])
  }

  @Test func aCertificateIsShown() async throws {
    let access = try access(printing(#""clientCertificateData":"CERT\n","clientKeyData":"KEY\n""#))
    let identity = try await access.credentials.current()
    #expect(identity.clientCertificate == .pem(Array("CERT\n".utf8)))
    #expect(identity.clientKey == .pem(Array("KEY\n".utf8)))
    #expect(identity.token == nil)
  }

  @Test func itRunsAgainWhenWhatItMadeHasExpired() async throws {
    // The test's clock is at 1,000,000 s.
    let access = try access(
      counting + printing(#""token":"PID","expirationTimestamp":"1970-01-12T13:56:40Z""#))
    let first = try await access.credentials.current()
    #expect(try await access.credentials.current() == first)
    time.advance(599)
    #expect(try await access.credentials.current() == first)
    #expect(runs == 1)
    time.advance(1)
    #expect(try await access.credentials.current() != first)
    #expect(runs == 2)
  }

  @Test func itRunsAgainWhenWhatItMadeIsRefusedButNotAllTheTime() async throws {
    let access = try access(counting + printing(#""token":"PID""#))
    let first = try await access.credentials.current()
    #expect(try await access.credentials.renewed(after: first) == nil)
    #expect(runs == 1)
    time.advance(10)
    let second = try await access.credentials.renewed(after: first)
    #expect(second != nil && second != first)
    // Who was refused with the old one takes the new one.
    time.advance(10)
    #expect(try await access.credentials.renewed(after: first) == second)
    #expect(runs == 2)
  }

  @Test func manyWhoAskAtTheSameTimeWaitForOneRun() async throws {
    let access = try access(counting + "sleep 0.2\n" + printing(#""token":"t""#))
    try await withThrowingTaskGroup(of: String?.self) { group in
      for _ in 0..<20 { group.addTask { try await access.credentials.current().token } }
      for try await token in group { #expect(token == "t") }
    }
    #expect(runs == 1)
  }

  @Test func itsComplaintsAreInTheError() async throws {
    let failing = try access("echo 'log in\n first' >&2\nexit 3\n")
    let text = await problem(failing)
    #expect(text.hasPrefix("kubeconfig \(directory.path)/config, line "))
    #expect(text.contains("user 'bob', program '\(directory.path)/bin/plugin': it failed"))
    #expect(text.contains(": log in first; run it by hand"))
    // What is shown to everybody quotes no program.
    let error = await #expect(throws: AccessError.self) { _ = try await failing.credentials.current() }
    let shown = try #require(error.map { KubernetesError.credentials($0).publicDescription })
    #expect(
      shown.contains("it failed") && shown.contains("run it by hand") && !shown.contains("log in"), "\(shown)"
    )
  }

  @Test(arguments: [
    ("echo hello", "its output is no ExecCredential"), ("true", "its output is no ExecCredential"),
    (#"echo '{"kind":"ExecCredential","apiVersion":"v0"}'"#, "make the kubeconfig and the program agree"),
    (#"echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1"}'"#, "neither a token"),
  ])
  func whatIsNoCredentialIsRefused(script: String, words: String) async throws {
    #expect(await problem(try access(script)).contains(words))
  }

  @Test(arguments: [
    (#""clientKeyData":"k""#, "without the other"),
    (#""token":"t","expirationTimestamp":"soon""#, "RFC 3339"),
  ])
  func halfACredentialIsRefused(status: String, words: String) async throws {
    #expect(await problem(try access(printing(status))).contains(words))
  }

  @Test func aProgramThatIsNotThereIsNamedWithTheHint() async throws {
    let access = try access("", more: "installHint: get it from the cluster's owner")
    try FileManager.default.removeItem(atPath: "\(directory.path)/bin/plugin")
    let text = await problem(access)
    #expect(text.contains("it cannot be run"))
    #expect(text.contains("get it from the cluster's owner"))
  }

  @Test func aProgramThatDoesNotEndIsEndedWithWhatItStarted() async throws {
    let file = try directory.write(
      "#!/bin/sh\nsleep 1000 & echo $! >\(directory.path)/child\nwait\n", to: "hang", executable: true)
    let program = ExecProgram(
      place: "here", apiVersion: "v1", command: file, deadline: .milliseconds(500))
    let error = await #expect(throws: AccessError.self) { _ = try await program.run() }
    #expect(error?.description.contains("it did not end within") == true)
    let text = try String(contentsOfFile: "\(directory.path)/child", encoding: .utf8)
    let child = try #require(Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)))
    for _ in 0..<500 where kill(child, 0) == 0 { try await Task.sleep(for: .milliseconds(10)) }
    #expect(kill(child, 0) != 0)
  }

  @Test func aProgramThatLeavesSomethingBehindIsNotWaitedForLonger() async throws {
    let file = try directory.write(
      "#!/bin/sh\nsleep 1000 & echo $! >\(directory.path)/child\n" + printing(#""token":"t""#), to: "leave",
      executable: true)
    let program = ExecProgram(
      place: "here", apiVersion: "client.authentication.k8s.io/v1", command: file, deadline: .seconds(20))
    #expect(try await program.run().token == "t")
    let text = try String(contentsOfFile: "\(directory.path)/child", encoding: .utf8)
    if let child = Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)) { kill(child, SIGKILL) }
  }

  @Test func timesAreReadWithAndWithoutFractions() {
    #expect(Date(rfc3339: "1970-01-01T00:01:00Z")?.timeIntervalSince1970 == 60)
    #expect(Date(rfc3339: "1970-01-01T01:01:00.5+01:00")?.timeIntervalSince1970 == 60.5)
    #expect(Date(rfc3339: "yesterday") == nil)
  }
}
