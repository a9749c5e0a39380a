internal import DroverCore
internal import Kubernetes

typealias Obstacle = Eligibility.Obstacle

extension Obstacle {
  /// What would decide could not be read.
  static func unknown<Value>(
    _ question: String, _ thing: String, _ fact: Fact<Value>, isEnforced: Bool = true
  ) -> Obstacle {
    Obstacle(
      .unknown, "\(question) is not known: \(thing) \(fact.problem ?? "says nothing of it")",
      remedy: fact.remedy, isEnforced: isEnforced)
  }
}

/// The names of labels that decide where VMs go.
enum LabelPrefix {
  static let hostModel = "host-model-cpu.node.kubevirt.io/"
  static let hostModelFeature = "host-model-required-features.node.kubevirt.io/"
  static let model = "cpu-model.node.kubevirt.io/"
  static let migrationModel = "cpu-model-migration.node.kubevirt.io/"
  static let feature = "cpu-feature.node.kubevirt.io/"
  static let vendor = "cpu-vendor.node.kubevirt.io/"
  static let clusterNetwork = "network.harvesterhci.io/"
  static let cpuManager = "kubevirt.io/cpumanager"
  static let schedulable = "kubevirt.io/schedulable"
  static let hostname = "kubernetes.io/hostname"
  static let architecture = "kubernetes.io/arch"

  /// What KubeVirt itself writes into a launcher's node selector.
  private static let ofKubeVirt = [
    model, migrationModel, feature, vendor, "hyperv.node.kubevirt.io/", "cpu-timer.node.kubevirt.io/",
    "scheduling.node.kubevirt.io/", "machine-type.node.kubevirt.io/", "kubevirt.io/", "realtime",
    "sev.node.kubevirt.io/", "node.kubevirt.io/", "tdx.node.kubevirt.io/", architecture,
  ]
  private static let ofProcessor = [
    model, migrationModel, feature, vendor, "hyperv.node.kubevirt.io/", "cpu-timer.node.kubevirt.io/",
    "scheduling.node.kubevirt.io/",
  ]

  static func isKubeVirts(_ key: String) -> Bool { ofKubeVirt.contains { key.hasPrefix($0) } }
  static func isProcessor(_ key: String) -> Bool { ofProcessor.contains { key.hasPrefix($0) } }
}

/// A list of names for a sentence, cut short where there are too many.
func listed(_ names: some Sequence<String>, most: Int = 8) -> String {
  let all = Array(names)
  guard all.count > most else { return all.joined(separator: ", ") }
  return all.prefix(most).joined(separator: ", ") + " and \(all.count - most) more"
}

/// Patches of a VM's template and of the whole cluster, as somebody would type them.
struct Commands {
  let namespace: String
  let name: String
  /// The KubeVirt object's own name and namespace.
  let kubeVirt: (name: String, namespace: String)

  init(_ facts: EligibilityFacts) {
    namespace = facts.namespace
    name = facts.name
    let metadata = facts.cluster.value?.metadata
    kubeVirt = (metadata?.name ?? "kubevirt", metadata?.namespace ?? "kubevirt")
  }

  var edit: String { "kubectl edit vm \(name) -n \(namespace)" }
  var restart: String { "virtctl restart \(name) -n \(namespace)" }

  func setModel(_ model: String) -> String {
    "kubectl patch vm \(name) -n \(namespace) --type merge -p "
      + #"'{"spec":{"template":{"spec":{"domain":{"cpu":{"model":"\#(model)"}}}}}}'"#
  }

  func setClusterModel(_ model: String) -> String { Self.setClusterModel(model, of: kubeVirt) }

  static func setClusterModel(_ model: String, of kubeVirt: (name: String, namespace: String)) -> String {
    "kubectl patch kubevirts.kubevirt.io \(kubeVirt.name) -n \(kubeVirt.namespace) --type merge -p "
      + #"'{"spec":{"configuration":{"cpuModel":"\#(model)"}}}'"#
  }
}
