internal import Kubernetes

/// A node with what decides whether a pod may be placed there.
struct PlacementNode: KubernetesObject {
  let base: Node
  /// What pods may use of it in all.
  let allocatable: Amounts

  private enum CodingKeys: String, CodingKey { case status }
  private struct Status: Decodable { var allocatable: [String: IntOrText]? }

  init(from decoder: any Decoder) throws {
    base = try Node(from: decoder)
    let values = try decoder.container(keyedBy: CodingKeys.self)
    allocatable = Amounts(values.lenient(.status, as: Status.self)?.allocatable)
  }

  var metadata: ObjectMeta { base.metadata }
  var name: String { metadata.name }
  var labels: [String: String] { metadata.labels }

  /// The rest of each label that begins so.
  func labels(after prefix: String) -> Set<String> {
    Set(labels.keys.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) })
  }
}

/// The limits of a node's storage drivers.
struct CSINode: KubernetesObject {
  let metadata: ObjectMeta
  /// Volumes that each driver may attach there; nil where it has no limit.
  let drivers: [String: Int?]

  private enum CodingKeys: String, CodingKey { case metadata, spec }

  private struct Spec: Decodable {
    struct Driver: Decodable {
      struct Allocatable: Decodable { var count: Int? }
      var name: String
      var allocatable: Allocatable?
    }
    var drivers: [Driver]

    private enum CodingKeys: String, CodingKey { case drivers }

    init(from decoder: any Decoder) throws {
      drivers = try decoder.container(keyedBy: CodingKeys.self).lenientList(.drivers)
    }
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    metadata = try values.decode(ObjectMeta.self, forKey: .metadata)
    let list = values.lenient(.spec, as: Spec.self)?.drivers ?? []
    drivers = Dictionary(list.map { ($0.name, $0.allocatable?.count) }) { $1 }
  }
}

/// A volume that is attached to a node, or is to be.
struct VolumeAttachment: KubernetesObject {
  let metadata: ObjectMeta
  let node: String
  let driver: String
  /// The persistent volume's name; empty for one that is inline.
  let volume: String

  private enum CodingKeys: String, CodingKey { case metadata, spec }

  private struct Spec: Decodable {
    struct Source: Decodable { var persistentVolumeName: String? }
    var nodeName: String?
    var attacher: String?
    var source: Source?
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    metadata = try values.decode(ObjectMeta.self, forKey: .metadata)
    let spec = values.lenient(.spec, as: Spec.self)
    node = spec?.nodeName ?? ""
    driver = spec?.attacher ?? ""
    volume = spec?.source?.persistentVolumeName ?? ""
  }
}
