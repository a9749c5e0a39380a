public import DroverCore

extension Configuration {
  /// QEMU monitors on this machine.
  public struct QEMU: Hashable, Sendable {
    /// The name that its series carry.
    public internal(set) var name = BackendName(rawValue: "")
    /// Paths of QMP sockets; `*` and `?` stand for parts of a name.
    public internal(set) var sockets: [String]
    /// Whether QEMU's migration events are switched on in the guests that are watched.
    public internal(set) var events = false
    /// The host's name in labels; empty for this machine's own.
    public internal(set) var host = ""
    /// Time-outs of its migrations.
    public internal(set) var timeouts: BudgetSettings
  }

  /// A libvirt host.
  public struct Libvirt: Hashable, Sendable {
    /// The name that its series carry.
    public internal(set) var name = BackendName(rawValue: "")
    /// Any URI that libvirt takes.
    public internal(set) var uri: String
    /// The URI over which migrations are started and ended; empty for `uri`.
    public internal(set) var controlURI = ""
    /// Hosts that migrations may be sent to.
    public internal(set) var peers: [Peer] = []
    /// The host's name in labels; empty for the one that its daemon tells.
    public internal(set) var host = ""
    /// Whether the dirty rates of VMs that do not migrate are measured: needs a connection that may write.
    public internal(set) var dirtyRate = false
    /// Time-outs of its migrations.
    public internal(set) var timeouts: BudgetSettings
    /// The keepalive between its daemon and others; nil for what the host's `qemu.conf` says.
    public internal(set) var keepalive: KeepaliveSettings?

    /// A host that migrations may be sent to.
    public struct Peer: Hashable, Sendable {
      /// What it is called here.
      public internal(set) var name: String
      /// Its libvirt, as the source's daemon reaches it.
      public internal(set) var uri: String
      /// Where the data goes; empty for what the target's libvirt says.
      public internal(set) var migrateURI = ""
      /// Its libvirt, as Drover reaches it; empty for `uri`.
      public internal(set) var checkURI = ""
    }
  }

  /// A cluster with KubeVirt.
  public struct KubeVirt: Hashable, Sendable {
    /// The name that its series carry.
    public internal(set) var name = BackendName(rawValue: "")
    /// Which cluster.
    public internal(set) var cluster = Cluster()
    /// The namespaces that are watched; empty for all.
    public internal(set) var namespaces: [String] = []
    /// Where the counters of running migrations come from.
    public internal(set) var virtHandler = VirtHandler.direct
    /// The Prometheus that is asked for them; nil where none is.
    public internal(set) var prometheus: Prometheus?
    /// The documented time-outs, which those that KubeVirt enforces are shown beside.
    public internal(set) var timeouts: BudgetSettings
    /// The keepalive of libvirt in the launchers; nil for libvirt's own figures.
    public internal(set) var keepalive: KeepaliveSettings?

    /// The Lease by which several Drovers agree who acts; nil where this one is alone.
    public internal(set) var lease: Lease?

    /// A Lease.
    public struct Lease: Hashable, Sendable {
      /// Its namespace.
      public internal(set) var namespace = ""
      /// Its name.
      public internal(set) var name = "drover"
    }

    /// How a cluster is reached.
    public struct Cluster: Hashable, Sendable {
      /// A kubeconfig; empty for the service account of the pod that Drover runs in.
      public internal(set) var kubeconfig = ""
      /// A context of it; empty for its current one.
      public internal(set) var context = ""
    }

    /// Where the counters of running migrations come from.
    public enum VirtHandler: String, CaseIterable, Sendable {
      /// virt-handler's own metrics, at the address of its pod.
      case direct
      /// What a Prometheus has already scraped of them.
      case prometheus
      /// The same as `direct`, through the API server.
      case apiserverProxy = "apiserver-proxy"
      /// Nowhere.
      case none
    }

    /// A Prometheus that is asked.
    public struct Prometheus: Hashable, Sendable {
      /// Its address, with the path before `/api/v1` if there is one.
      public internal(set) var url = ""
      /// A file with a bearer token; empty for none.
      public internal(set) var tokenFile = ""
      /// A file with the authorities that its certificate may be of; empty for the system's.
      public internal(set) var caFile = ""
    }
  }
}
