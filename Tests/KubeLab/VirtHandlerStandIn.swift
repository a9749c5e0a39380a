import QEMURig

/// Real HTTPS endpoints, one for each node that has one, that serve `/metrics` as KubeVirt's virt-handler
/// does.
///
/// The numbers come from a model of a copy: passes over the guest's memory, sampled every ``setInterval(_:)``
/// into a ring of ten, each sample with its own time.
public final class VirtHandlerStandIn: Sendable {
  /// How an endpoint meets those who ask.
  public enum Mode: String, Sendable {
    /// It answers.
    case answer
    /// It takes the request and never answers.
    case hang
    /// It takes the connection and says nothing, not even for TLS.
    case deaf
    /// It says 503 to everybody.
    case busy
    /// Nothing listens.
    case refuse
  }

  /// Who has signed an endpoint's certificate.
  public enum Certificate: String, Sendable {
    /// The authority of ``authority``.
    case server
    /// Another one of the same name.
    case foreign
  }

  /// What has been asked of an endpoint.
  public struct Counts: Hashable, Sendable {
    /// Requests that were read.
    public let requests: Int
    /// Those answered with 200.
    public let answered: Int
    /// Those answered with 503.
    public let busy: Int
    /// Connections that were taken.
    public let connections: Int
    /// The most requests at a time.
    public let atOnce: Int
  }

  /// Numbers as virt-handler tells them; what is nil is left out.
  public struct Numbers: Hashable, Sendable {
    /// Bytes to copy, those sent so far, those still to send; bytes dirtied and sent each second.
    public var total, processed, remaining, dirtyRate, rate: Double?

    /// Any numbers, absurd ones too.
    public init(
      total: Double? = nil, processed: Double? = nil, remaining: Double? = nil, dirtyRate: Double? = nil,
      rate: Double? = nil
    ) {
      (self.total, self.processed, self.remaining) = (total, processed, remaining)
      (self.dirtyRate, self.rate) = (dirtyRate, rate)
    }
  }

  /// Names a copy: the guest and the node that it leaves.
  public struct CopyName: Hashable, Sendable {
    let node: String
    let namespace: String
    let name: String

    /// The copy of a guest that leaves `node`.
    public init(node: String, namespace: String, name: String) {
      (self.node, self.namespace, self.name) = (node, namespace, name)
    }

    var members: [String: JSONValue] {
      ["node": .string(node), "namespace": .string(namespace), "name": .string(name)]
    }
  }

  /// The certificate of the authority, in PEM, as KubeVirt puts it into the ConfigMap `kubevirt-ca`.
  ///
  /// The endpoints' certificates hold the names `virt-handler`, `virt-handler.<namespace>`, `….svc` and
  /// `….svc.cluster.local`, and no address: as KubeVirt's do.
  public let authority: String
  private let helper: Helper

  private init(helper: Helper, authority: String) {
    self.helper = helper
    self.authority = authority
  }

  /// Starts without endpoints.
  public static func start() async throws -> VirtHandlerStandIn {
    let helper = try Helper("virt_handler.py")
    let authority = try await helper.perform("start")
    return VirtHandlerStandIn(helper: helper, authority: authority.string ?? "")
  }

  /// Ends all endpoints.
  public func stop() async { await helper.end() }

  /// Ends all endpoints and forgets their nodes.
  func clear() async throws { try await helper.perform("clear") }

  // MARK: Endpoints

  /// Listens on port 8443 of a loopback address, such as 127.0.0.2, for a node.
  ///
  /// - Parameters:
  ///   - version: The version of KubeVirt whose names the metrics have, such as `1.6`.
  ///   - namespace: KubeVirt's, for the certificate.
  public func addNode(
    _ node: String, address: String, version: String, namespace: String = "kubevirt"
  ) async throws {
    try await helper.perform(
      "node",
      [
        "node": .string(node), "address": .string(address), "names": .string(version),
        "namespace": .string(namespace),
      ])
  }

  /// Changes how a node's endpoint meets those who ask; connections that are open are closed.
  public func setMode(_ mode: Mode, of node: String) async throws {
    try await helper.perform("mode", ["node": .string(node), "mode": .string(mode.rawValue)])
  }

  /// Lets each answer take so long.
  public func setDelay(_ delay: Duration, of node: String) async throws {
    try await set("delay", .double(delay / .seconds(1)), of: node)
  }

  /// Sets the clock that samples are stamped with ahead, or back.
  public func setClockSkew(_ skew: Duration, of node: String) async throws {
    try await set("clock_skew", .double(skew / .seconds(1)), of: node)
  }

  /// Changes whose certificate new connections see.
  public func setCertificate(_ certificate: Certificate, of node: String) async throws {
    try await set("certificate", .string(certificate.rawValue), of: node)
  }

  /// Serves this text, well formed or not, in the place of all metrics; nil for the metrics again.
  public func setText(_ text: String?, of node: String) async throws {
    try await set("only", text.map(JSONValue.string) ?? .null, of: node)
  }

  /// Adds lines at the end of the metrics.
  public func setExtraText(_ text: String, of node: String) async throws {
    try await set("extra", .string(text), of: node)
  }

  private func set(_ key: String, _ value: JSONValue, of node: String) async throws {
    try await helper.perform("set", ["node": .string(node), key: value])
  }

  /// What has been asked of a node's endpoint so far.
  public func counts(of node: String) async throws -> Counts {
    let answer = try await helper.perform("counts", ["node": .string(node)])
    func count(_ key: String) -> Int { Int(answer[key]?.int ?? 0) }
    return Counts(
      requests: count("requests"), answered: count("ok"), busy: count("busy"),
      connections: count("connections"),
      atOnce: count("atOnce"))
  }

  /// Asks a node's endpoint once, as anybody would who trusts the authority; it counts as any request does.
  ///
  /// - Returns: The status and the body.
  public func scrape(_ node: String) async throws -> (status: Int, text: String) {
    let answer = try await helper.perform("scrape", ["node": .string(node)])
    return (Int(answer["status"]?.int ?? 0), answer["text"]?.string ?? "")
  }

  /// How often all copies are sampled: 5 s, until this shortens it.
  public func setInterval(_ interval: Duration) async throws {
    try await helper.perform("interval", ["seconds": .double(interval / .seconds(1))])
  }

  // MARK: Copies

  /// Begins a copy: from the next sample on, its numbers are served.
  ///
  /// - Parameters:
  ///   - total: Bytes to copy.
  ///   - rate: Bytes sent each second.
  ///   - dirtyRate: Bytes dirtied each second; from `rate` on it does not converge.
  ///   - workingSet: Where the dirtied bytes lie, so that no later pass is longer; all of them without.
  ///   - isPolled: Whether samples are taken from the model; otherwise there are just those of
  ///     ``put(_:of:at:)``.
  public func begin(
    _ copy: CopyName, total: Int, rate: Int, dirtyRate: Int, workingSet: Int? = nil, isPolled: Bool = true
  ) async throws {
    var request = copy.members
    request["total"] = .int(Int64(total))
    request["rate"] = .int(Int64(rate))
    request["dirtyRate"] = .int(Int64(dirtyRate))
    request["workingSet"] = workingSet.map { .int(Int64($0)) }
    request["polled"] = .bool(isPolled)
    try await helper.perform("copy", request)
  }

  /// Changes how fast a copy sends and is dirtied.
  public func change(_ copy: CopyName, rate: Int? = nil, dirtyRate: Int? = nil) async throws {
    var request = copy.members
    request["rate"] = rate.map { .int(Int64($0)) }
    request["dirtyRate"] = dirtyRate.map { .int(Int64($0)) }
    try await helper.perform("change", request)
  }

  /// Stops the bytes, as a dead wire does; samples go on.
  ///
  /// - Parameter toldRate: The rate that is told meanwhile.
  public func freeze(_ copy: CopyName, toldRate: Int = 0) async throws {
    try await helper.perform(
      "change", copy.members.merging(["frozen": true, "frozenRate": .int(Int64(toldRate))]) { $1 })
  }

  /// Lets the bytes go on from where they stopped.
  public func thaw(_ copy: CopyName) async throws {
    try await helper.perform("change", copy.members.merging(["frozen": false]) { $1 })
  }

  /// Stops the samples, or lets them go on; those that are in the ring are served as before.
  public func setPolled(_ isPolled: Bool, _ copy: CopyName) async throws {
    try await helper.perform("change", copy.members.merging(["polled": .bool(isPolled)]) { $1 })
  }

  /// Adds a sample.
  ///
  /// - Parameter at: Its time in seconds since 1970; now without.
  public func put(_ numbers: Numbers, of copy: CopyName, at: Double? = nil) async throws {
    var values: [String: JSONValue] = [:]
    for (key, value) in [
      ("total", numbers.total), ("processed", numbers.processed), ("remaining", numbers.remaining),
      ("dirtyRate", numbers.dirtyRate), ("rate", numbers.rate),
    ] { values[key] = value.map { $0.isFinite ? .double($0) : .string("\($0)") } }
    var request = copy.members
    request["values"] = .object(values)
    request["at"] = at.map(JSONValue.double)
    try await helper.perform("sample", request)
  }

  /// What the model of a copy says now, whether a sample has been taken or not.
  public func numbers(of copy: CopyName) async throws -> Numbers {
    let answer = try await helper.perform("state", copy.members)
    func number(_ key: String) -> Double? { answer[key]?.int.map(Double.init) }
    return Numbers(
      total: number("total"), processed: number("processed"), remaining: number("remaining"),
      dirtyRate: number("dirtyRate"), rate: number("rate"))
  }

  /// Ends a copy: what the ring still holds is served once more.
  public func finish(_ copy: CopyName) async throws { try await helper.perform("finish", copy.members) }

  /// Ends a copy as a restarted virt-handler does: nothing of it is served any more.
  public func forget(_ copy: CopyName) async throws { try await helper.perform("forget", copy.members) }
}
