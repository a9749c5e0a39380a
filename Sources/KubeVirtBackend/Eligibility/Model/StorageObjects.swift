internal import Kubernetes

/// A PersistentVolumeClaim.
struct Claim: KubernetesObject {
  let metadata: ObjectMeta
  let accessModes: [String]
  let storageClass: String
  /// The volume that it is bound to; empty where it is not.
  let volume: String

  private enum CodingKeys: String, CodingKey { case metadata, spec, status }
  private struct Spec: Decodable {
    var accessModes: [String]?
    var storageClassName: String?
    var volumeName: String?
  }
  private struct Status: Decodable { var accessModes: [String]? }

  init(name: String, namespace: String, accessModes: [String], volume: String) {
    metadata = ObjectMeta(name: name, namespace: namespace)
    self.accessModes = accessModes
    storageClass = ""
    self.volume = volume
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    metadata = try values.decode(ObjectMeta.self, forKey: .metadata)
    let spec = values.lenient(.spec, as: Spec.self)
    accessModes = values.lenient(.status, as: Status.self)?.accessModes ?? spec?.accessModes ?? []
    storageClass = spec?.storageClassName ?? ""
    volume = spec?.volumeName ?? ""
  }
}

/// A PersistentVolume.
struct PersistentVolume: KubernetesObject {
  let metadata: ObjectMeta
  /// The driver that makes it; empty where it is none of the interface for such.
  let driver: String
  /// What that driver calls it.
  let handle: String
  /// Where it can be used; nil for everywhere.
  let required: NodeSelector?

  private enum CodingKeys: String, CodingKey { case metadata, spec }

  private struct Spec: Decodable {
    struct CSI: Decodable {
      var driver: String?
      var volumeHandle: String?
    }
    struct Affinity: Decodable { var required: NodeSelector? }
    var csi: CSI?
    var required: NodeSelector?

    private enum CodingKeys: String, CodingKey { case csi, nodeAffinity }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      csi = values.lenient(.csi)
      guard values.contains(.nodeAffinity) else { return }
      do {
        required = try values.decodeIfPresent(Affinity.self, forKey: .nodeAffinity)?.required
      } catch {
        required = NodeSelector(terms: [])
      }
    }
  }

  init(name: String, driver: String, required: NodeSelector?) {
    metadata = ObjectMeta(name: name)
    self.driver = driver
    handle = ""
    self.required = required
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    metadata = try values.decode(ObjectMeta.self, forKey: .metadata)
    let spec = values.lenient(.spec, as: Spec.self)
    driver = spec?.csi?.driver ?? ""
    handle = spec?.csi?.volumeHandle ?? ""
    required = spec?.required
  }
}

/// A StorageClass.
struct StorageClass: KubernetesObject {
  let metadata: ObjectMeta
  let provisioner: String
  let parameters: [String: String]

  private enum CodingKeys: String, CodingKey { case metadata, provisioner, parameters }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    metadata = try values.decode(ObjectMeta.self, forKey: .metadata)
    provisioner = values.lenient(.provisioner) ?? ""
    parameters = values.lenient(.parameters) ?? [:]
  }
}

/// A volume of Longhorn.
struct LonghornVolume: KubernetesObject {
  let metadata: ObjectMeta
  /// Copies that it is to have; nil where it does not say.
  let replicas: Int?
  /// `healthy`, `degraded`, `faulted` or `unknown`.
  let robustness: String

  private enum CodingKeys: String, CodingKey { case metadata, spec, status }
  private struct Spec: Decodable { var numberOfReplicas: Int? }
  private struct Status: Decodable { var robustness: String? }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    metadata = try values.decode(ObjectMeta.self, forKey: .metadata)
    replicas = values.lenient(.spec, as: Spec.self)?.numberOfReplicas
    robustness = values.lenient(.status, as: Status.self)?.robustness ?? ""
  }
}

/// A NetworkAttachmentDefinition.
struct NetworkAttachment: KubernetesObject {
  let metadata: ObjectMeta

  /// Harvester's cluster network that carries it; nil where it is none of Harvester's.
  var clusterNetwork: String? {
    let key = "network.harvesterhci.io/clusternetwork"
    let name = metadata.labels[key] ?? metadata.annotations[key] ?? ""
    return name.isEmpty ? nil : name
  }
}
