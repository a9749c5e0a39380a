import Foundation
import Testing

@testable import DroverService

@Suite("Files that a configuration names")
struct ConfigurationFilesTests {
  @Test("A token file that is missing, empty or open to everybody is told; a good one is not")
  func tokens() throws {
    let directory = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    func file(_ name: String, _ text: String?, mode: Int = 0o600) throws -> String {
      let path = directory.appending(path: name).path
      if let text {
        try text.write(toFile: path, atomically: false, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
      }
      return path
    }
    let files = [
      try file("good", "secret\n"), try file("none", nil), try file("empty", ""),
      try file("open", "secret\n", mode: 0o644),
    ]
    let rules = files.map { "  - {tokenFile: \"\($0)\", rights: [abort]}" }.joined(separator: "\n")
    let findings = try Configuration.parse("access:\n\(rules)\n", file: "drover.yaml").findingsInFiles
    #expect(findings.count == 3)
    for name in ["none", "empty", "open"] {
      #expect(findings.contains { $0.contains("/\(name)") }, "\(findings)")
    }
  }

  @Test("A kubeconfig that is missing, is none, or lacks the context is told; a good one is not")
  func kubeconfigs() throws {
    let directory = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let good = directory.appending(path: "good").path
    try """
    current-context: a
    contexts: [{name: a, context: {cluster: c}}]
    clusters: [{name: c, cluster: {server: "https://127.0.0.1:6443"}}]
    """.write(toFile: good, atomically: false, encoding: .utf8)
    let other = directory.appending(path: "other").path
    try "[]".write(toFile: other, atomically: false, encoding: .utf8)
    func findings(_ path: String, context: String = "a") throws -> [String] {
      try Configuration.parse(
        "backends: [{kubevirt: {name: k, kubeconfig: \"\(path)\", context: \(context)}}]", file: "drover.yaml"
      ).findingsInFiles
    }
    #expect(try findings(good) == [])
    let faults = [
      (directory.appending(path: "none").path, "a", "No such file"), (other, "a", "no mapping"),
      (good, "b", "no context 'b'"), (directory.path, "a", "directory"),
    ]
    for (path, context, fault) in faults {
      let told = try findings(path, context: context)
      #expect(told.count == 1)
      #expect(
        told.first?.hasPrefix("the back end k would be down: kubeconfig \(path)") == true
          && told.first?.contains(fault) == true, "\(told)")
    }
  }
}
