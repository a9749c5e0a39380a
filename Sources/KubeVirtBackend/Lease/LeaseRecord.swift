internal import FoundationEssentials
internal import Kubernetes

/// A Lease of `coordination.k8s.io/v1`, as far as an election needs it.
struct LeaseRecord: Hashable, Sendable, Codable {
  struct Metadata: Hashable, Sendable, Codable {
    var name: String
    var namespace: String
    /// What must still be true when it is written; nil for one that is to be made.
    var resourceVersion: String?
  }

  struct Spec: Hashable, Sendable, Codable {
    var holderIdentity: String?
    var leaseDurationSeconds: Int?
    var acquireTime: String?
    var renewTime: String?
    var leaseTransitions: Int?
  }

  var apiVersion: String? = "coordination.k8s.io/v1"
  var kind: String? = "Lease"
  var metadata: Metadata
  var spec: Spec?

  static let leases = Resource(group: "coordination.k8s.io", plural: "leases")

  /// Who holds it; empty for nobody.
  var holder: String { spec?.holderIdentity ?? "" }

  /// A moment as the server takes it: exactly six digits of a second.
  static func microTime(unixMilliseconds: Int64) -> String {
    let date = Date(timeIntervalSince1970: Double(unixMilliseconds / 1000))
    let seconds = date.formatted(Date.ISO8601FormatStyle()).dropLast()
    let fraction = "\(unixMilliseconds % 1000)"
    return "\(seconds).\(String(repeating: "0", count: 3 - fraction.count))\(fraction)000Z"
  }
}
