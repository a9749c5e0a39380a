import Testing

@testable import DroverCore

@Suite("Rules that choose by labels of VMs")
struct LabelRuleTests {
  private func settings() -> AutomaticSettings {
    var settings = AutomaticSettings()
    var match = PolicyMatch()
    match.labels = ["app": ["db", "cache"], "tier": ["gold"]]
    settings.rules = [
      PolicyRule(name: "db", match: match, wishes: [.notConverging: PolicyWish(.observe)]),
      PolicyRule(name: "rest", wishes: [.notConverging: PolicyWish(.abort)]),
    ]
    return settings
  }

  private func rule(_ labels: [String: String], _ scope: Scope = .namespace("shop")) -> String? {
    let vm = VMRef(backend: home, scope: scope, name: "web")
    return settings().rule(for: PolicySubject(vm: vm, origin: .manual, size: nil, labels: labels))?.name
  }

  @Test("all of the labels must be there, each with one of its values")
  func matching() {
    #expect(rule(["app": "db", "tier": "gold", "x": "y"]) == "db")
    #expect(rule(["app": "cache", "tier": "gold"]) == "db")
    #expect(rule(["app": "db", "tier": "silver"]) == "rest")
    #expect(rule(["app": "db"]) == "rest")
    #expect(rule([:], .host("rack1")) == "rest")
  }

  @Test("while the labels of a VM are not known, no rule behind one that they could decide about governs it")
  func unknown() {
    #expect(rule([:]) == nil)
    var settings = settings()
    settings.rules[0].match.namespaces = ["other"]
    let vm = VMRef(backend: home, scope: .namespace("shop"), name: "web")
    #expect(settings.rule(for: PolicySubject(vm: vm, origin: .manual, size: nil))?.name == "rest")
  }

  @Test("they stay known when the VM is not seen any more")
  func kept() {
    var (earlier, now) = (MigrationFacts(), MigrationFacts())
    earlier.labels = ["app": "db"]
    #expect(now.completed(by: earlier).labels == ["app": "db"])
    now.labels = ["app": "web"]
    #expect(now.completed(by: earlier).labels == ["app": "web"])
  }
}
