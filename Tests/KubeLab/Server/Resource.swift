/// A kind of object of the API server, and where it lies.
public struct Resource: Hashable, Sendable {
  /// The API group; empty for the core.
  public let group: String
  /// The version that the lab speaks.
  public let version: String
  /// The kind, as in `kind: Pod`.
  public let kind: String
  /// The name in paths, as in `pods`.
  public let plural: String
  /// Whether its objects lie in namespaces.
  public let isNamespaced: Bool

  /// A kind that is not among those below.
  public init(_ group: String, _ version: String, _ kind: String, _ plural: String, isNamespaced: Bool = true)
  {
    self.group = group
    self.version = version
    self.kind = kind
    self.plural = plural
    self.isNamespaced = isNamespaced
  }

  /// As in `apiVersion: kubevirt.io/v1`.
  public var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }

  /// The path of an object, or of all of them.
  public func path(_ name: String? = nil, in namespace: String? = nil, subresource: String? = nil) -> String {
    var path = group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)"
    if isNamespaced, let namespace { path += "/namespaces/\(namespace)" }
    path += "/\(plural)"
    if let name { path += "/\(name)" }
    if let subresource { path += "/\(subresource)" }
    return path
  }

  /// The key under which etcd holds an object of a custom resource.
  func etcdKey(_ name: String, in namespace: String?) -> String {
    "/registry/\(group)/\(plural)/" + (namespace.map { "\($0)/" } ?? "") + name
  }

  /// Guests that run.
  public static let vmis = Resource(
    "kubevirt.io", "v1", "VirtualMachineInstance", "virtualmachineinstances")
  /// Migrations.
  public static let vmims = Resource(
    "kubevirt.io", "v1", "VirtualMachineInstanceMigration", "virtualmachineinstancemigrations")
  /// Guests as their owners want them.
  public static let vms = Resource("kubevirt.io", "v1", "VirtualMachine", "virtualmachines")
  /// KubeVirt's own configuration and version.
  public static let kubeVirts = Resource("kubevirt.io", "v1", "KubeVirt", "kubevirts")
  /// KubeVirt's policies for migrations.
  public static let policies = Resource(
    "migrations.kubevirt.io", "v1alpha1", "MigrationPolicy", "migrationpolicies", isNamespaced: false)
  /// Harvester's settings.
  public static let settings = Resource(
    "harvesterhci.io", "v1beta1", "Setting", "settings", isNamespaced: false)
  /// Longhorn's volumes.
  public static let volumes = Resource("longhorn.io", "v1beta2", "Volume", "volumes")
  /// Their replicas.
  public static let replicas = Resource("longhorn.io", "v1beta2", "Replica", "replicas")
  /// Multus' networks.
  public static let networkAttachments = Resource(
    "k8s.cni.cncf.io", "v1", "NetworkAttachmentDefinition", "network-attachment-definitions")
  /// Nodes.
  public static let nodes = Resource("", "v1", "Node", "nodes", isNamespaced: false)
  /// Namespaces.
  public static let namespaces = Resource("", "v1", "Namespace", "namespaces", isNamespaced: false)
  /// Pods.
  public static let pods = Resource("", "v1", "Pod", "pods")
  /// Events of the core.
  public static let events = Resource("", "v1", "Event", "events")
  /// ConfigMaps.
  public static let configMaps = Resource("", "v1", "ConfigMap", "configmaps")
  /// Secrets.
  public static let secrets = Resource("", "v1", "Secret", "secrets")
  /// Services.
  public static let services = Resource("", "v1", "Service", "services")
  /// Service accounts.
  public static let serviceAccounts = Resource("", "v1", "ServiceAccount", "serviceaccounts")
  /// Quotas.
  public static let resourceQuotas = Resource("", "v1", "ResourceQuota", "resourcequotas")
  /// Claims of volumes.
  public static let persistentVolumeClaims = Resource(
    "", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
  /// Volumes that claims are bound to.
  public static let persistentVolumes = Resource(
    "", "v1", "PersistentVolume", "persistentvolumes", isNamespaced: false)
  /// The storage drivers of nodes.
  public static let csiNodes = Resource("storage.k8s.io", "v1", "CSINode", "csinodes", isNamespaced: false)
  /// Volumes that are attached to nodes.
  public static let volumeAttachments = Resource(
    "storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments", isNamespaced: false)
  /// StatefulSets.
  public static let statefulSets = Resource("apps", "v1", "StatefulSet", "statefulsets")
  /// Deployments.
  public static let deployments = Resource("apps", "v1", "Deployment", "deployments")
  /// DaemonSets.
  public static let daemonSets = Resource("apps", "v1", "DaemonSet", "daemonsets")
  /// Storage classes.
  public static let storageClasses = Resource(
    "storage.k8s.io", "v1", "StorageClass", "storageclasses", isNamespaced: false)
  /// Leases.
  public static let leases = Resource("coordination.k8s.io", "v1", "Lease", "leases")
  /// Rights everywhere.
  public static let clusterRoles = Resource(
    "rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", isNamespaced: false)
  /// Who has rights everywhere.
  public static let clusterRoleBindings = Resource(
    "rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", isNamespaced: false)
  /// Rights in a namespace.
  public static let roles = Resource("rbac.authorization.k8s.io", "v1", "Role", "roles")
  /// Who has rights in a namespace.
  public static let roleBindings = Resource(
    "rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
  /// Definitions of resources.
  public static let customResourceDefinitions = Resource(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", isNamespaced: false
  )

  /// All of the above.
  public static let all = [
    vmis, vmims, vms, kubeVirts, policies, settings, volumes, replicas, networkAttachments, nodes, namespaces,
    pods, events, configMaps, secrets, services, serviceAccounts, resourceQuotas, persistentVolumeClaims,
    persistentVolumes, csiNodes, volumeAttachments, statefulSets, deployments, daemonSets, storageClasses,
    leases, clusterRoles, clusterRoleBindings, roles,
    roleBindings, customResourceDefinitions,
  ]

  /// The one of an object that says `apiVersion` and `kind`.
  public static func of(apiVersion: String, kind: String) -> Resource? {
    all.first { $0.apiVersion == apiVersion && $0.kind == kind }
  }
}
