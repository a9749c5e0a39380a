internal import DroverCore
internal import Kubernetes

/// Reads what decides where VMs can go in whole lists, one after the other: however many VMs there are, a survey takes
/// as many requests as there are pages.
struct SurveyReader: Sendable {
  private let source: any ObjectSource

  init(_ source: any ObjectSource) { self.source = source }

  /// What all VMs share.
  func facts() async -> SurveyFacts {
    var facts = SurveyFacts()
    let clusters: Fact<[ClusterRules]> = await all(Resource(group: "kubevirt.io", plural: "kubevirts").all)
    facts.cluster = clusters.map { $0.first.map { .known($0) } ?? .missing }
    facts.nodes = await all(Resource.nodes.all)
    facts.networks = await fold(
      Resource(group: "k8s.cni.cncf.io", plural: "network-attachment-definitions").all, into: [:]
    ) { (networks: inout [String: NetworkAttachment], network) in
      networks["\(network.metadata.namespace)/\(network.metadata.name)"] = network
    }
    // Where the kind does not exist, there is none of it.
    if case .absent = facts.networks { facts.networks = .known([:]) }
    facts.attachments = await attachments()
    await storage(into: &facts)
    facts.pods = await pods()
    return facts
  }

  /// Tells every VMI of the cluster, a page at a time.
  func guests(telling: ([Guest]) -> Void) async throws(KubernetesError) {
    try await source.pages(
      Resource(group: "kubevirt.io", plural: "virtualmachineinstances").all, telling: telling)
  }

  private func attachments() async -> Fact<AttachmentBook> {
    func storage(_ plural: String) -> ResourcePath {
      Resource(group: "storage.k8s.io", plural: plural, isNamespaced: false).all
    }
    let nodes: Fact<[CSINode]> = await all(storage("csinodes"))
    guard case .known(let csiNodes) = nodes else { return nodes.map { _ in .absent } }
    // Ten thousand attachments say nothing where no driver has a limit.
    guard csiNodes.contains(where: { $0.drivers.values.contains { $0 != nil } }) else {
      return .known(AttachmentBook(csiNodes, []))
    }
    let attachments: Fact<[VolumeAttachment]> = await all(storage("volumeattachments"))
    return attachments.map { .known(AttachmentBook(csiNodes, $0)) }
  }

  private func storage(into facts: inout SurveyFacts) async {
    var modes: Set<[String]> = []
    facts.claims = await fold(Resource(plural: "persistentvolumeclaims").all, into: [:]) {
      (claims: inout [String: SurveyFacts.ClaimRecord], claim: Claim) in
      claims["\(claim.metadata.namespace)/\(claim.metadata.name)"] = SurveyFacts.ClaimRecord(
        accessModes: modes.insert(claim.accessModes).memberAfterInsert, volume: claim.volume)
    }
    var drivers: Set<String> = []
    var selectors: Set<NodeSelector> = []
    facts.volumes = await fold(Resource(plural: "persistentvolumes", isNamespaced: false).all, into: [:]) {
      (volumes: inout [String: SurveyFacts.VolumeRecord], volume: PersistentVolume) in
      volumes[volume.metadata.name] = SurveyFacts.VolumeRecord(
        driver: drivers.insert(volume.driver).memberAfterInsert,
        required: volume.required.map { selectors.insert($0).memberAfterInsert })
    }
  }

  private func pods() async -> Fact<PodBook> {
    let book: Fact<PodBook> = await fold(Resource.pods.all, into: PodBook()) {
      (book: inout PodBook, pod: PlacementPod) in book.add(pod)
    }
    guard case .known(let first) = book, first.hasRules else { return book }
    return await fold(Resource.pods.all, into: first) {
      (book: inout PodBook, pod: PlacementPod) in book.meet(pod)
    }
  }

  private func all<Object: KubernetesObject>(_ path: ResourcePath) async -> Fact<[Object]> {
    await fold(path, into: []) { $0.append($1) }
  }

  private func fold<Object: KubernetesObject, Value: Sendable>(
    _ path: ResourcePath, into first: Value, _ add: (inout Value, Object) -> Void
  ) async -> Fact<Value> {
    var value = first
    do throws(KubernetesError) {
      try await source.pages(path) { (objects: [Object]) in
        for object in objects { add(&value, object) }
      }
      return .known(value)
    } catch {
      return Fact(error)
    }
  }
}
