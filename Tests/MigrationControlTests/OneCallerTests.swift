import Foundation
import Testing

@Suite("The control module is the only way to act")
struct OneCallerTests {
  private static let sources = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../Sources").standardizedFileURL

  /// Who may name the type that acts: it itself, the back ends that are it, and who looks one up for it.
  private static let allowed = [
    "DroverCore/", "MigrationControl/", "KubeVirtBackend/", "LibvirtBackend/", "QEMUBackend/",
    "DroverService/Monitor/BackendSupervisor.swift",
  ]

  @Test("nothing else names a back end that can act, and so nothing else can call it")
  func names() throws {
    let files = try #require(
      FileManager.default.enumerator(at: Self.sources, includingPropertiesForKeys: nil))
    var read = 0
    for case let file as URL in files where file.pathExtension == "swift" {
      let path = String(file.standardizedFileURL.path.dropFirst(Self.sources.path.count + 1))
      let text = try String(contentsOf: file, encoding: .utf8)
      read += 1
      guard !Self.allowed.contains(where: path.hasPrefix) else { continue }
      #expect(!text.contains("ControllableBackend"), "\(path)")
      // The one that hands them to the control module.
      if path != "DroverService/Service.swift" { #expect(!text.contains(".controllable("), "\(path)") }
    }
    #expect(read > 100)
  }
}
