import Testing

@testable import DroverCore
@testable import Exposition

@Suite("Labels of VMs")
struct VMLabelTests {
  private func info(_ labels: [String: String], _ shown: [String], _ renderer: ScrapeRenderer = .init())
    -> String
  {
    var view = running("a")
    view.facts.labels = labels
    var context = context()
    context.vmLabels = shown
    let text = renderer.render(snapshot([group(1, [view])]), parts: [.migrations], in: context).text
    return text.split(separator: "\n").filter { $0.hasPrefix("drover_migration_info{") }.joined(
      separator: "\n")
  }

  @Test("are shown where they are listed, by the info family alone, with what metrics do not allow replaced")
  func shown() {
    let labels = ["app.kubernetes.io/name": "db\"1", "tier": "gold", "secret": "x", "empty": ""]
    let line = info(labels, ["app.kubernetes.io/name", "empty", "none", "tier"])
    #expect(line.hasSuffix(#"label_app_kubernetes_io_name="db\"1",label_tier="gold"} 1"#), "\(line)")
    #expect(!line.contains("secret") && !line.contains("empty") && !line.contains("none"))
    #expect(!info(labels, []).contains("label_"))
    #expect(VMLabel("a-b.c/D_9").label == "label_a_b_c_D_9")
  }

  @Test("are those of the configuration in force, also where the migration has not changed")
  func reloaded() {
    let renderer = ScrapeRenderer()
    #expect(!info(["tier": "gold"], [], renderer).contains("label_tier"))
    #expect(info(["tier": "gold"], ["tier"], renderer).contains(#"label_tier="gold""#))
    #expect(!info(["tier": "gold"], [], renderer).contains("label_tier"))
  }
}
