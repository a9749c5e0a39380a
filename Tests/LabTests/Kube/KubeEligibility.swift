import DroverService
import Foundation
import KubeLab
import QEMURig
import Testing

extension LabTests {
  @Suite("KubeVirt: why a VM cannot be migrated, and where to it can")
  struct KubeEligibility {
    /// Each reason of the documentation's list, with a VM that has it.
    static let cases: [(vm: String, reason: String, isEnforced: Bool)] = [
      ("cdrom", "cdrom", false), ("container", "container_disk", false), ("rwo", "access_mode", true),
      ("single", "single_replica", false), ("pci", "host_device", true), ("vgpu", "gpu", true),
      ("selector", "node_selector", true), ("rule", "single_node_rule", true),
      ("network", "cluster_network", true), ("pinned", "cpu_manager", true),
      ("model", "cpu_model", true), ("large", "no_resources", true),
    ]

    /// Without a right: the VM that it takes the certainty from, and whether that leaves open if it can be
    /// migrated.
    static let rights: [(resource: Resource, vm: String, isOpen: Bool)] = [
      (.persistentVolumeClaims, "rwo", true), (.persistentVolumes, "single", true),
      (.storageClasses, "unbound", false), (.volumes, "single", false),
      (.networkAttachments, "network", true), (.csiNodes, "fine", true), (.volumeAttachments, "fine", true),
      (.pods, "fine", true), (.nodes, "selector", true), (.kubeVirts, "unset", true),
    ]

    @Test(
      "every reason is told by `drover explain`, and without the right to what tells it the reason is unknown"
    )
    func reasons() async throws {
      try await Cluster.with { cluster in
        try await Self.fill(cluster)
        var kubeconfigs = [try cluster.server.kubeconfig(User.admin)]
        for right in Self.rights {
          kubeconfigs.append(try await Self.kubeconfig(cluster, without: right.resource))
        }
        kubeconfigs.append(try await Self.kubeconfig(cluster, without: .vms))
        kubeconfigs.append(try await Self.kubeconfig(cluster, without: .vmis))
        try await LabDaemon.with(kubeconfigs: kubeconfigs) { daemon in
          try await Self.all(daemon)
          try await Self.exported(daemon)
          for (index, right) in Self.rights.enumerated() {
            let what = "\(right.vm) without \(right.resource.plural)"
            let item = try await daemon.explain("kubevirt-\(index + 2)/default/\(right.vm)").item(what)
            let unknown = item.obstacles.filter(\.isUnknown)
            #expect(!unknown.isEmpty, "\(what): \(item.obstacles)")
            #expect(unknown.contains { $0.remedy.contains(right.resource.plural) }, "\(what): \(unknown)")
            #expect((item.isMigratable == nil) == right.isOpen, "\(what): \(item.obstacles)")
          }
          let last = Self.rights.count + 2
          let notes = try await daemon.explain("kubevirt-\(last)/default/fine").item(
            "without virtualmachines"
          ).notes
          #expect(notes.contains { $0.contains("template") && $0.contains("is not known") })
          let refused = try await daemon.explain("kubevirt-\(last + 1)/default/fine")
          #expect(
            refused.code == 1 && refused.errors.contains("virtualmachineinstances"), "\(refused.errors)")
        }
      }
    }

    /// What somebody with all rights is told.
    private static func all(_ daemon: LabDaemon) async throws {
      let fine = try await daemon.explain("kubevirt/default/fine")
      let item = try fine.item("fine")
      #expect(fine.code == 0 && item.obstacles.isEmpty && item.isMigratable == true, "\(item.obstacles)")
      #expect(item.targets.filter(\.isPossible).map(\.node) == ["n2", "n3"])
      for (vm, reason, isEnforced) in cases {
        let answer = try await daemon.explain("kubevirt/default/\(vm)")
        let item = try answer.item(vm)
        #expect(item.obstacles.map(\.reason) == [reason], "\(vm): \(item.obstacles)")
        #expect(
          item.obstacles.first?.isEnforced == isEnforced && item.obstacles.first?.remedy.isEmpty == false)
        #expect(answer.code == (isEnforced ? 3 : 0), "\(vm)")
      }
      let several = try await daemon.explain("kubevirt/default/several").item("several")
      #expect(Set(several.obstacles.map(\.reason)) == ["host_device", "node_selector", "access_mode"])
      let changed = try await daemon.explain("kubevirt/default/changed").item("changed")
      #expect(changed.notes.contains { $0.contains("CPU model Haswell-noTSX, runs with host-model") })

      let table = try await daemon.run(["explain", "kubevirt/default/pci"])
      #expect(
        table.code == 3 && table.output.contains("cannot be migrated") && table.output.contains("remedy: "))
      // The same VM is known to many back ends here.
      let ambiguous = try await daemon.run(["explain", "fine"])
      #expect(
        ambiguous.code == 1 && ambiguous.errors.contains("kubevirt-2/default/fine"), "\(ambiguous.errors)")
      let none = try await daemon.run(["explain", "kubevirt/default/none"])
      #expect(none.code == 1 && none.errors.contains("default/fine"), "\(none.errors)")
      let backend = try await daemon.run(["explain", "other/default/fine"])
      #expect(backend.code == 1 && backend.errors.contains("kubevirt-2"), "\(backend.errors)")
    }

    /// What the survey of all VMs exports: the same as `drover explain` says of each.
    private static func exported(_ daemon: LabDaemon) async throws {
      func series(_ family: String, _ vm: String, _ value: Int, _ more: String = "") -> String {
        #"drover_vm_\#(family){backend="kubevirt",namespace="default",vm="\#(vm)"\#(more)} \#(value)"#
      }
      let end = ContinuousClock.now + .seconds(60)
      var lines: Set<Substring> = []
      func isShown(_ line: String) -> Bool { lines.contains(Substring(line)) }
      repeat {
        lines = Set(try await daemon.metrics().split(separator: "\n"))
      } while !isShown(series("migration_targets", "fine", 2)) && ContinuousClock.now < end
      #expect(isShown(series("migration_targets", "fine", 2)))
      #expect(isShown(series("migratable", "fine", 1)))
      for (vm, reason, isEnforced) in cases {
        #expect(isShown(series("migratable", vm, isEnforced ? 0 : 1)), "\(vm)")
        let isTold = isShown(series("not_migratable", vm, 1, #",reason="\#(reason)""#))
        #expect(isTold == isEnforced, "\(vm): \(reason)")
      }
      for reason in ["host_device", "node_selector", "access_mode"] {
        #expect(isShown(series("not_migratable", "several", 1, #",reason="\#(reason)""#)), "\(reason)")
      }
      #expect(isShown(series("migration_targets", "several", 0)))
    }

    @Test("a VM has nowhere to go once the last node that would take it is cordoned")
    func tooFew() async throws {
      try await Cluster.with { cluster in
        try await Self.fill(cluster)
        let kubeconfig = try cluster.server.kubeconfig(User.admin)
        try await LabDaemon.with(kubeconfigs: [kubeconfig]) { daemon in
          try await cluster.cordon("n2")
          var item = try await daemon.explain("kubevirt/default/fine").item("one cordoned")
          #expect(item.isMigratable == true && item.targets.filter(\.isPossible).map(\.node) == ["n3"])
          try await cluster.setNodeReady("n3", .unknown)
          item = try await daemon.explain("kubevirt/default/fine").item("none left")
          #expect(item.isMigratable == false && item.obstacles.map(\.reason) == ["no_target_node"])
          #expect(item.targets.first?.obstacles.map(\.text) == ["it is cordoned"])
        }
      }
    }

    private static func kubeconfig(_ cluster: Cluster, without resource: Resource) async throws -> String {
      let needed: [Resource] = [
        .vmis, .vmims, .vms, .nodes, .kubeVirts, .policies, .namespaces, .events, .replicas, .pods, .volumes,
        .persistentVolumeClaims, .persistentVolumes, .storageClasses, .csiNodes, .volumeAttachments,
        .networkAttachments,
      ]
      let name = "without-\(resource.plural)"
      try await cluster.addServiceAccount(name)
      let rules = needed.filter { $0 != resource }.flatMap { Cluster.Rule.read($0) }
      try await cluster.grant(name, rules, to: .serviceAccount(name, namespace: "drover"))
      return try cluster.server.kubeconfig(.token(try await cluster.token(of: name)), name: name)
    }
  }
}

// MARK: what is there

extension LabTests.KubeEligibility {
  /// Three nodes, of which `n1` has what the others lack, and on it a VM for each reason.
  private static func fill(_ cluster: Cluster) async throws {
    try await cluster.addKubeVirt(version: "1.6.0")
    let only = [
      "network.harvesterhci.io/vlan": "true", "kubevirt.io/cpumanager": "true", "zone": "one",
      "cpu-model.node.kubevirt.io/Special": "true",
    ]
    for node in ["n1", "n2", "n3"] {
      try await cluster.addNode(node, labels: node == "n1" ? only : [:], hasVirtHandler: false)
      try await cluster.api.create([
        "apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": ["name": .string(node)],
        "spec": [
          "drivers": [["name": "driver.longhorn.io", "nodeID": .string(node), "allocatable": ["count": 20]]]
        ],
      ])
    }
    try await cluster.api.create([
      "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": ["name": "once"],
      "provisioner": "driver.longhorn.io", "parameters": ["numberOfReplicas": "3"],
    ])
    for (name, network) in [("vlan100", "mgmt"), ("vlan200", "vlan")] {
      try await cluster.api.create([
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": [
          "name": .string(name), "namespace": "default",
          "labels": ["network.harvesterhci.io/clusternetwork": .string(network)],
        ], "spec": ["config": "{}"],
      ])
    }
    func add(
      _ name: String, mode: String = "ReadWriteMany", replicas: Int = 3, isBound: Bool = true,
      hasVM: Bool = false, _ edit: (inout JSONValue) -> Void = { _ in },
      pod: (inout JSONValue) -> Void = { _ in }
    ) async throws {
      let vm = try await cluster.addVMI(name, on: "n1", accessMode: mode, hasVM: hasVM, edit: edit)
      try await addDisk(cluster, "\(name)-root", mode: mode, replicas: replicas, isBound: isBound)
      let old = try await vm.activePod()
      var launcher = try await cluster.api.get(.pods, old, in: "default")
      try await cluster.api.delete(.pods, old, in: "default", graceSeconds: 0)
      // A pod cannot be changed: the one that fits takes its place.
      for key in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
        launcher[path: "metadata", key] = nil
      }
      launcher[path: "spec", "containers"] = [
        [
          "name": "compute", "image": "registry.example.test/virt-launcher:1.6.0",
          "resources": [
            "requests": ["cpu": "100m", "memory": "2Gi", "devices.kubevirt.io/kvm": "1"],
            "limits": ["devices.kubevirt.io/kvm": "1"],
          ],
        ]
      ]
      pod(&launcher)
      let made = try await cluster.api.create(launcher)
      try await vm.edit { $0[path: "status", "activePods"] = [made.uid: "n1"] }
    }
    func term(_ key: String, _ value: String) -> JSONValue {
      [
        "nodeSelectorTerms": [
          ["matchExpressions": [["key": .string(key), "operator": "In", "values": [.string(value)]]]]
        ]
      ]
    }
    let affinity = "requiredDuringSchedulingIgnoredDuringExecution"
    try await add("fine")
    try await add("cdrom") {
      $0[path: "spec", "domain", "devices", "disks"] = [
        ["name": "rootdisk", "cdrom": ["bus": "sata"]], ["name": "cloudinitdisk", "disk": ["bus": "virtio"]],
      ]
    }
    try await add("container") { vmi in
      let volumes = vmi[path: "spec", "volumes"]?.array ?? []
      vmi[path: "spec", "volumes"] = .array(
        volumes + [["name": "tools", "containerDisk": ["image": "registry.example.test/tools:1"]]])
    }
    try await add("rwo", mode: "ReadWriteOnce") { $0[path: "status", "volumeStatus"] = nil }
    try await add("single", replicas: 1)
    try await add("unbound", isBound: false)
    let device: JSONValue = [["name": "dev0", "deviceName": "example.com/device"]]
    try await add("pci") { $0[path: "spec", "domain", "devices", "hostDevices"] = device }
    try await add("vgpu") { $0[path: "spec", "domain", "devices", "gpus"] = device }
    try await add("selector") {
      $0[path: "spec", "nodeSelector"] = ["kubernetes.io/hostname": "n1"]
    } pod: {
      $0[path: "spec", "nodeSelector", "kubernetes.io/hostname"] = "n1"
    }
    try await add(
      "rule", pod: { $0[path: "spec", "affinity", "nodeAffinity", affinity] = term("zone", "one") })
    try await add("network") {
      $0[path: "spec", "networks"] = [["name": "default", "multus": ["networkName": "default/vlan200"]]]
    }
    try await add("pinned") { $0[path: "spec", "domain", "cpu", "dedicatedCpuPlacement"] = true }
    try await add("model") { $0[path: "spec", "domain", "cpu", "model"] = "Special" }
    try await add("unset") { $0[path: "spec", "domain", "cpu", "model"] = nil }
    try await add(
      "large", pod: { $0[path: "spec", "containers"] = large })
    try await add("several", mode: "ReadWriteOnce") {
      $0[path: "spec", "domain", "devices", "hostDevices"] = device
      $0[path: "spec", "nodeSelector"] = ["kubernetes.io/hostname": "n1"]
    } pod: {
      $0[path: "spec", "nodeSelector", "kubernetes.io/hostname"] = "n1"
    }
    try await add("changed", hasVM: true)
    try await cluster.edit(.vms, "changed", in: "default") {
      $0[path: "spec", "template", "spec", "domain", "cpu", "model"] = "Haswell-noTSX"
    }
  }

  /// More memory than any node has.
  private static var large: JSONValue {
    [
      [
        "name": "compute", "image": "registry.example.test/virt-launcher:1.6.0",
        "resources": ["requests": ["memory": "900Gi"]],
      ]
    ]
  }

  /// A claim, and unless it is not bound the volume behind it and Longhorn's.
  private static func addDisk(
    _ cluster: Cluster, _ name: String, mode: String, replicas: Int, isBound: Bool
  ) async throws {
    var claim: JSONValue = [
      "apiVersion": "v1", "kind": "PersistentVolumeClaim",
      "metadata": ["name": .string(name), "namespace": "default"],
      "spec": [
        "accessModes": [.string(mode)], "storageClassName": "once",
        "resources": ["requests": ["storage": "1Gi"]],
      ],
    ]
    guard isBound else {
      try await cluster.api.create(claim)
      return
    }
    claim[path: "spec", "volumeName"] = .string("pv-\(name)")
    try await cluster.api.create(claim)
    try await cluster.api.create([
      "apiVersion": "v1", "kind": "PersistentVolume", "metadata": ["name": .string("pv-\(name)")],
      "spec": [
        "capacity": ["storage": "1Gi"], "accessModes": [.string(mode)], "storageClassName": "once",
        "csi": ["driver": "driver.longhorn.io", "volumeHandle": .string("pvc-\(name)")],
      ],
    ])
    try await cluster.addVolume("pvc-\(name)", replicas: replicas)
  }
}

// MARK: the program

extension LabDaemon {
  /// Lends `body` a daemon that knows a VM of its first back end, and shows all VMs.
  fileprivate static func with(kubeconfigs: [String], _ body: (LabDaemon) async throws -> Void) async throws {
    try await with(
      configuration: "metrics: {vms: all}", kubeconfigs.flatMap { ["--kubevirt.kubeconfig", $0] },
      isReady: { try await $0.lists("fine", isAmbiguous: kubeconfigs.count > 1) }, body)
  }

  /// Whether a VM is listed; by two back ends, so that its bare name is ambiguous, where there are several.
  private func lists(_ vm: String, isAmbiguous: Bool) async throws -> Bool {
    let answer = try await run(["explain", vm])
    return isAmbiguous
      ? ["kubevirt/", "kubevirt-2/"].allSatisfy { answer.errors.contains("\($0)default/\(vm)") }
      : answer.code != 1
  }

  /// `drover explain VM --output json`.
  fileprivate func explain(_ vm: String) async throws -> CommandAnswer {
    try await run(["explain", vm, "--output", "json"])
  }
}

extension CommandAnswer {
  /// The JSON that it printed.
  func item(_ what: String) throws -> EligibilityItem {
    do {
      return try APICoding.decode(EligibilityItem.self, from: Array(output.utf8))
    } catch {
      Issue.record("\(what): exit code \(code), \(errors)")
      throw error
    }
  }
}
