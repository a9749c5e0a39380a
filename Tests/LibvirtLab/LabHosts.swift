import FoundationEssentials
import Glibc
import QEMURig
import Synchronization

/// Two libvirt hosts on this machine, with two wires between them; needs root.
///
/// All of it is done by `Tests/Lab/lab.sh`, see the README there. Each lab has a directory, and goes down
/// with this process at the latest, also when that is killed.
public final class LabHosts: Sendable {
  /// A host.
  public enum Host: String, CaseIterable, Sendable { case a, b }

  /// A wire between the hosts.
  public enum Wire: String, CaseIterable, Sendable {
    /// Carries the libvirt connection between the hosts.
    case ctl
    /// Carries the data of migrations that ask for it.
    case mig
  }

  /// How the hosts find out that the other one is gone.
  public struct Keepalive: Hashable, Sendable {
    /// Seconds of silence after which a host asks; -1 for no keepalive at all.
    public let interval: Int
    /// How often it asks before it gives up.
    public let count: Int

    /// A keepalive that gives up `interval * (count + 1)` seconds after the last that it heard.
    public init(interval: Int, count: Int) {
      self.interval = interval
      self.count = count
    }

    /// libvirt's own: 30 s.
    public static let usual = Keepalive(interval: 5, count: 5)
    /// For tests that wait for it: 3 s.
    public static let fast = Keepalive(interval: 1, count: 2)
    /// None.
    public static let disabled = Keepalive(interval: -1, count: 0)
  }

  private static let made = Atomic(0)

  /// Where the lab keeps everything.
  public let directory: String
  private let initProcesses: [Host: Int32]

  private init(directory: String, initProcesses: [Host: Int32]) {
    self.directory = directory
    self.initProcesses = initProcesses
  }

  // MARK: Up and down

  /// Brings a lab up, lends it to `body`, and takes it down whatever happened.
  ///
  /// - Throws: What `body` throws, or ``LabError``.
  public static func with<R: Sendable>(
    keepalive: Keepalive = .usual, _ body: (LabHosts) async throws -> R
  ) async throws -> R {
    let lab = try await up(keepalive: keepalive)
    let result: Result<R, any Error>
    do { result = .success(try await body(lab)) } catch { result = .failure(error) }
    do {
      try await lab.down()
    } catch {
      // What went wrong first tells more.
      if case .success = result { throw error }
    }
    return try result.get()
  }

  /// Brings a lab up, in a new directory unless one is given; whatever a crashed lab left there goes first.
  public static func up(
    keepalive: Keepalive = .usual, directory: String = newDirectory()
  ) async throws -> LabHosts {
    do {
      try await run(
        ["up", "--keepalive", "\(keepalive.interval)/\(keepalive.count)", "--owner", "\(getpid())"],
        in: directory)
      return LabHosts(
        directory: directory,
        initProcesses: [.a: try await initProcess(.a, directory), .b: try await initProcess(.b, directory)])
    } catch {
      try? await down(directory)
      throw error
    }
  }

  /// Ends both hosts with everything on them; does nothing when they are down.
  public func down() async throws { try await Self.down(directory) }

  /// A directory no lab has, short enough for the sockets in it.
  public static func newDirectory() -> String {
    let parent = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
    let number = made.wrappingAdd(1, ordering: .relaxed).newValue
    return "\(parent)/drover-lab-\(getuid())-\(getpid())-\(number)"
  }

  private static func initProcess(_ host: Host, _ directory: String) async throws -> Int32 {
    let command = ["pid", host.rawValue]
    let answer = try await run(command, in: directory)
    guard let pid = Int32(answer) else {
      throw LabError(command: command, status: nil, standardError: "no process id: \(answer)")
    }
    return pid
  }

  /// Also in a cancelled task.
  private static func down(_ directory: String) async throws {
    let run = try ScriptRun(["down"], directory: directory)
    _ = try outcome(of: run, await run.waitForEnd())
  }

  // MARK: Where things are

  /// The address of a host's libvirt, from outside the hosts; no cut touches it.
  public func uri(_ host: Host) -> String { "qemu+unix:///system?socket=\(socket(host))" }

  /// The Unix socket of a host's libvirt.
  public func socket(_ host: Host) -> String {
    "\(directory)/\(host.rawValue)/run/libvirt/libvirt-sock"
  }

  /// The process 1 of a host, as it is called outside.
  public func initProcess(_ host: Host) -> Int32 { initProcesses[host] ?? 0 }

  /// A host's network namespace, for `setns`.
  public func networkNamespacePath(_ host: Host) -> String { "/proc/\(initProcess(host))/ns/net" }

  /// A host's `/etc/libvirt`, with its `qemu.conf`.
  public func etcDirectory(_ host: Host) -> String { "\(directory)/\(host.rawValue)/etc" }

  /// A host's `/run`, with the pid files of its QEMUs in `libvirt/qemu`.
  public func runDirectory(_ host: Host) -> String { "\(directory)/\(host.rawValue)/run" }

  /// A host's address on a wire.
  public func address(_ host: Host, on wire: Wire) -> String {
    let network = wire == .ctl ? "192.0.2" : "198.51.100"
    return "\(network).\(host == .a ? 1 : 2)"
  }

  // MARK: Commands

  /// Runs virsh on a host.
  ///
  /// - Returns: What it wrote, without white space around.
  @discardableResult
  public func virsh(_ host: Host, _ arguments: [String]) async throws -> String {
    try await run(["virsh", host.rawValue] + arguments)
  }

  /// Runs a program in a host's namespaces.
  ///
  /// - Returns: What it wrote, without white space around.
  @discardableResult
  public func execute(_ host: Host, _ words: [String]) async throws -> String {
    try await run(["exec", host.rawValue] + words)
  }

  @discardableResult
  func run(_ words: [String]) async throws -> String { try await Self.run(words, in: directory) }

  @discardableResult
  private static func run(_ words: [String], in directory: String) async throws -> String {
    try Task.checkCancellation()
    let run = try ScriptRun(words, directory: directory)
    return try outcome(of: run, await run.waitForEndOrKill())
  }

  private static func outcome(of run: ScriptRun, _ end: ScriptRun.End) throws -> String {
    guard end.hasSucceeded else {
      throw LabError(command: run.words, status: end.status, standardError: end.standardError)
    }
    return end.output
  }
}
