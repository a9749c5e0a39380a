public import DroverCore

/// Which libvirt host is watched, and how.
public struct LibvirtConfiguration: Sendable {
  /// The name of the back end.
  public var name: BackendName
  /// Any URI that libvirt takes.
  public var uri: String
  /// The host's name in labels; empty for the one that its daemon tells.
  public var host: String
  /// Whether the dirty rates of VMs that do not migrate are measured: needs a connection that may write.
  public var dirtyRate: Bool
  /// The keepalive between the daemons; nil for what the host's `qemu.conf` says, where that can be read.
  public var keepalive: KeepaliveSettings?
  /// The time-outs that apply.
  public var budget: BudgetSettings
  /// Where the host's files and processes are: `/`, or a path that it is mounted at.
  ///
  /// `/proc/PID/root` shows the host of a process in other namespaces; its network is then that of its first process.
  public var root: String
  /// The URI over which migrations are started and ended, opened when that is to be done; empty for `uri`.
  public var controlURI = ""
  /// Hosts that migrations may be sent to.
  public var peers: [LibvirtPeer] = []
  /// How often a domain is asked while its migration runs.
  public var activeInterval = Duration.milliseconds(500)
  /// How often the host is asked what runs on it.
  public var idleInterval = Duration.seconds(2)
  /// How long an answer may take.
  public var callDeadline = Duration.seconds(2)
  /// How long opening a connection may take.
  public var openDeadline = Duration.seconds(30)
  /// How often dirty rates are measured, where they are.
  public var dirtyRateInterval = Duration.seconds(60)

  /// How long opening a connection for an order, and carrying it out, may take.
  var controlDeadline = Duration.seconds(5)
  /// How long a domain may take to tell its job before it is acted upon.
  var questionDeadline = Duration.seconds(1)
  /// How long a host may take to tell what bears upon a move.
  var surveyDeadline = Duration.seconds(4)
  /// How long a migration may take to begin.
  var startDeadline = Duration.seconds(20)
  /// For so long a migration that copies nothing yet may still be refused by its target.
  var preparing = Duration.seconds(2)

  var effectiveControlURI: String { controlURI.isEmpty ? uri : controlURI }

  var retry = RetrySchedule(first: .milliseconds(250), longest: .seconds(30))

  /// Configures a back end.
  public init(
    name: BackendName, uri: String, host: String = "", dirtyRate: Bool = false,
    keepalive: KeepaliveSettings? = nil, budget: BudgetSettings = BudgetSettings(), root: String = "/"
  ) {
    self.name = name
    self.uri = uri
    self.host = host
    self.dirtyRate = dirtyRate
    self.keepalive = keepalive
    self.budget = budget
    self.root = root
  }

  /// The host that a URI names; nil where it names none, and so this machine.
  public static func host(ofURI uri: String) -> String? {
    guard let rest = parts(ofURI: uri)?.rest else { return nil }
    let authority = rest.prefix { !"/?#".contains($0) }
    let host = authority.split(separator: "@", omittingEmptySubsequences: false).last ?? ""
    if host.first == "[" { return host.dropFirst().split(separator: "]").first.map(String.init) }
    let name = host.split(separator: ":", omittingEmptySubsequences: false).first ?? ""
    return name.isEmpty ? nil : String(name)
  }

  /// Whether a text looks like a URI: a scheme, `://`, and no blanks or control characters.
  public static func isURI(_ text: String) -> Bool {
    guard let scheme = parts(ofURI: text)?.scheme, !scheme.isEmpty else { return false }
    return text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F }
      && scheme.utf8.allSatisfy { byte in
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.".utf8.contains(byte)
      }
  }

  private static func parts(ofURI uri: String) -> (scheme: Substring, rest: Substring)? {
    guard let colon = uri.firstIndex(of: ":"), uri[colon...].hasPrefix("://") else { return nil }
    return (uri[..<colon], uri[colon...].dropFirst(3))
  }

  /// Whether the daemon is on this machine: only then are its connections this kernel's.
  var isLocal: Bool { Self.host(ofURI: uri) == nil }
}
