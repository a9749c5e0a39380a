import Testing

@testable import DroverCore
@testable import DroverService

@Suite("Labels of VMs in rules and metrics")
struct LabelConfigurationTests {
  private func rules(_ match: String) -> String {
    "control: {rules: [{name: a, match: \(match), when: {not_converging: abort}}]}"
  }

  private static let all = """
    metrics: {vmLabels: [app, app.kubernetes.io/name]}
    control:
      switches: {policies: enabled}
      rules:
        - {name: db, match: {labels: {app: [db, cache], team/tier: gold}}, when: {not_converging: observe}}
        - {name: rest, when: {not_converging: abort}}
    """

  @Test("every key is read, and what check-config shows means the same")
  func keys() throws {
    let configuration = try Configuration.parse(Self.all, file: "f")
    #expect(configuration.vmLabels == ["app", "app.kubernetes.io/name"])
    #expect(
      configuration.automatic.rules.first?.match.labels == ["app": ["db", "cache"], "team/tier": ["gold"]])
    #expect(configuration.labelNames == ["app", "app.kubernetes.io/name", "team/tier"])
    let shown = EffectiveConfiguration(configuration).description
    let again = try Configuration.parse(shown, file: "g")
    #expect(
      again.automatic == configuration.automatic && again.vmLabels == configuration.vmLabels, "\(shown)")
  }

  @Test(
    "what is wrong is told with its place",
    arguments: [
      ("{labels: app}", "must be names of labels with their values; such as {app: [db, cache]}"),
      ("{labels: {}}", "must be names of labels with their values"),
      ("{labels: {app: []}}", "control.rules.match.labels.app has no value, so that nothing matches"),
      ("{labels: {app: ~}}", "control.rules.match.labels.app has no value"),
      ("{labels: {app: yes}}", #"put it in quotes: "yes""#),
      ("{labels: {\"a b\": x}}", #""a b" is no name of a label; such as app.kubernetes.io/name"#),
      ("{labels: {a/b/c: x}}", "is no name of a label"), ("{labels: {-a: x}}", "is no name of a label"),
      ("{labels: {/a: x}}", "is no name of a label"),
      ("{labels: {app: a, \"app\": b}}", #"names "app" twice"#),
      ("{host: rack1, labels: {app: db}}", "VMs of hosts have no labels, so that nothing matches"),
    ])
  func wrong(match: String, error: String) {
    let told = errors(rules(match))
    #expect(told.count == 1 && told.first?.contains(error) == true, "\(told)")
  }

  @Test(
    "labels that metrics could not tell apart are refused",
    arguments: [
      (
        "[app.kubernetes.io/name, app_kubernetes_io/name]",
        "would both be label_app_kubernetes_io_name in the metrics; remove one"
      ),
      ("[app, app]", #"names "app" twice; remove one"#), ("[a=b]", "is no name of a label"),
      ("app", "metrics.vmLabels must be a list"),
    ])
  func collisions(list: String, error: String) {
    let told = errors("metrics: {vmLabels: \(list)}")
    #expect(told.count == 1 && told.first?.contains(error) == true, "\(told)")
  }

  @Test("check-config says what never comes about with these back ends")
  func findings() throws {
    func findings(_ backends: String, _ rest: String) throws -> [String] {
      try Configuration.parse("backends: [\(backends)]\n\(rest)", file: "f").findings
    }
    let (qemu, cluster) = ("{qemu: {name: rack1, sockets: [/a]}}", "{kubevirt: {name: prod}}")
    let labels = rules("{labels: {app: db}}")
    #expect(try findings(cluster, labels) == [])
    #expect(
      try findings(qemu, labels) == [
        "rule a chooses by labels: it never matches with rack1, since only VMs of KubeVirt have labels"
      ])
    #expect(try findings("\(qemu), \(cluster)", labels).count == 1)
    #expect(try findings("\(qemu), \(cluster)", rules("{backend: prod, labels: {app: db}}")) == [])
    // A command line may name the cluster.
    #expect(try findings("", labels) == [])
    #expect(
      try findings(qemu, "metrics: {vmLabels: [app]}").first?.hasPrefix("metrics.vmLabels shows nothing")
        == true)
    #expect(try findings(cluster, "metrics: {vmLabels: [app]}") == [])

    func timeouts(_ match: String, _ action: String = "abort") -> String {
      "control: {rules: [{name: a, match: \(match), when: {completion_timeout: \(action), progress_timeout: \(action)}}]}"
    }
    #expect(
      try findings("\(qemu), \(cluster)", timeouts("{}")) == [
        "rule a only observes completion_timeout and progress_timeout with prod: KubeVirt enforces these time-outs itself"
      ])
    #expect(try findings("\(qemu), \(cluster)", timeouts("{backend: rack1}")) == [])
    #expect(try findings("\(qemu), \(cluster)", timeouts("{host: x}")) == [])
    #expect(try findings(cluster, timeouts("{}", "observe")) == [])
    #expect(try findings(qemu, timeouts("{}")) == [])
  }

  @Test("which rule would govern is told as far as the drover that runs tells labels")
  func governing() throws {
    let rules = GoverningRules(try Configuration.parse(Self.all, file: "f"))
    func line(_ labels: [String: String], told: Set<String>, _ scope: Scope = .namespace("shop")) -> String? {
      let view = sampleView(scope: scope, vm: "web") { $0.facts.labels = labels }
      return rules.lines([MigrationItem(view, epochOffset: sampleOffset, now: noon, labels: told)]).last
    }
    let both: Set<String> = ["app", "team/tier"]
    #expect(line(["app": "db", "team/tier": "gold", "x": "y"], told: both)?.contains("rule db: ") == true)
    #expect(line(["app": "cache", "team/tier": "gold"], told: both)?.contains("rule db: ") == true)
    #expect(line(["app": "web", "team/tier": "gold"], told: both)?.contains("rule rest: ") == true)
    #expect(line(["app": "db"], told: both)?.contains("rule rest: ") == true)
    #expect(
      line(["app": "db", "team/tier": "gold"], told: ["app"])?.hasSuffix(
        "rule db, or one after it: the drover that runs does not tell the VM's label team/tier") == true)
    #expect(line(["app": "web"], told: ["app"])?.contains("rule rest: ") == true)
    #expect(line([:], told: [])?.hasSuffix("labels app, team/tier") == true)
    #expect(line([:], told: both, .host("rack1"))?.contains("rule rest: ") == true)
  }

  @Test("answers tell the labels that the configuration names, and which of them a VM has not")
  func answers() throws {
    let view = sampleView(scope: .namespace("shop"), vm: "web") { $0.facts.labels = ["app": "db", "x": "y"] }
    func json(_ labels: Set<String>) throws -> String {
      String(
        decoding: try APICoding.encode(
          MigrationItem(view, epochOffset: sampleOffset, now: noon, labels: labels)), as: UTF8.self)
    }
    #expect(try !json([]).contains("abels"))
    let told = try json(["app", "tier"])
    #expect(told.contains(#""labels":{"app":"db"}"#) && told.contains(#""absentLabels":["tier"]"#), "\(told)")
    let item = try APICoding.decode(MigrationItem.self, from: Array(told.utf8))
    #expect(item.labels == ["app": "db"] && item.absentLabels == ["tier"])
  }
}
