public import DroverCore

/// Which cluster is watched, and how.
public struct KubeVirtConfiguration: Sendable {
  /// The name of the back end.
  public var name: BackendName
  /// How the API server is reached.
  public var access: Access
  /// The namespaces that are watched; empty for all.
  public var namespaces: [String]
  /// Where the counters of running migrations come from.
  public var counters: Counters
  /// The keepalive of libvirt in the launchers; KubeVirt leaves it as libvirt has it.
  public var keepalive: KeepaliveSettings
  /// How often virt-handler is asked; nil for what is good for KubeVirt's version.
  public var handlerInterval: Duration?
  /// Where virt-handler listens.
  public var handlerPort: UInt16 = 8443
  /// This program's version, which the API server's log shows.
  public var agentVersion = "0"
  /// The documented figures, which the effective ones are shown beside.
  public var budget: BudgetSettings
  /// The Lease by which several Drovers agree who acts; nil where this one is alone.
  public var lease: Lease?

  /// A Lease, and who stands for it.
  public struct Lease: Hashable, Sendable {
    /// Its namespace.
    public var namespace: String
    /// Its name, and that of the ConfigMap beside it with what was claimed.
    public var name: String
    /// Who this process is: another for each process.
    public var identity: String

    /// Names a Lease.
    public init(namespace: String, name: String = "drover", identity: String) {
      self.namespace = namespace
      self.name = name
      self.identity = identity
    }
  }

  /// How the API server is reached.
  public enum Access: Hashable, Sendable {
    /// With the service account of the pod that this runs in.
    case inCluster
    /// With a kubeconfig; nil for the files that `KUBECONFIG` names or `~/.kube/config`, and for their current context.
    case kubeconfig(path: String?, context: String?)
  }

  /// Where the counters of running migrations come from: virt-handler is the only one that tells them.
  public enum Counters: Hashable, Sendable {
    /// Its own metrics, at the address of its pod.
    case direct
    /// The same through the API server.
    case apiServerProxy
    /// What a Prometheus has scraped of it already.
    case prometheus(PrometheusServer)
    /// Nowhere: no bytes, no verdicts.
    case none
  }

  /// A Prometheus that is asked.
  public struct PrometheusServer: Hashable, Sendable {
    /// Its address, with the path before `/api/v1` if there is one.
    public var url: String
    /// A file with a bearer token; empty for none.
    public var tokenFile: String
    /// A file with the authorities that its certificate may be of; empty for the system's.
    public var caFile: String

    /// Names a Prometheus.
    public init(url: String, tokenFile: String = "", caFile: String = "") {
      self.url = url
      self.tokenFile = tokenFile
      self.caFile = caFile
    }
  }

  /// Configures a back end.
  public init(
    name: BackendName, access: Access, namespaces: [String] = [], counters: Counters = .direct,
    keepalive: KeepaliveSettings = KeepaliveSettings(), budget: BudgetSettings = BudgetSettings()
  ) {
    self.name = name
    self.access = access
    self.namespaces = namespaces
    self.counters = counters
    self.keepalive = keepalive
    self.budget = budget
  }
}
