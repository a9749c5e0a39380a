/// The configured name of a back end; the label `backend`.
public struct BackendName: RawRepresentable, Hashable, Comparable, Sendable {
  /// The name as configured.
  public let rawValue: String

  /// Wraps a configured name.
  public init(rawValue: String) { self.rawValue = rawValue }

  /// Names in the order of their characters.
  public static func < (a: BackendName, b: BackendName) -> Bool { a.rawValue < b.rawValue }
}

/// Where a VM's name is unique within its back end.
public enum Scope: Hashable, Sendable {
  /// A Kubernetes namespace; the label `namespace`.
  case namespace(String)
  /// A host; the label `host`.
  case host(String)

  /// The namespace's or host's name.
  public var name: String {
    switch self {
    case .namespace(let name), .host(let name): name
    }
  }
}

/// Names one virtual machine.
public struct VMRef: Hashable, Sendable {
  /// The back end that knows it.
  public let backend: BackendName
  /// Its namespace or host.
  public let scope: Scope
  /// The domain's or VMI's name; for a nameless QEMU the file name of its socket.
  public let name: String

  /// Names a VM.
  public init(backend: BackendName, scope: Scope, name: String) {
    self.backend = backend
    self.scope = scope
    self.name = name
  }
}

/// What stays the same for a virtual machine on both ends of its migration.
public struct DomainKey: Hashable, Sendable {
  /// The domain's UUID, or a hash where it has none.
  public let text: String
  /// Whether both ends show the same key; false for a hash of this end's socket.
  public let isShared: Bool

  /// A domain's UUID; nil for the all-zero one that QEMU reports when it was given none.
  public init?(uuid: String) {
    let lower = uuid.lowercased()
    guard !lower.isEmpty, lower.utf8.allSatisfy(MigrationID.isAllowed),
      lower.utf8.contains(where: { $0 != UInt8(ascii: "0") && $0 != UInt8(ascii: "-") })
    else { return nil }
    text = lower
    isShared = true
  }

  /// The key of a domain without a UUID: a hash of its back end and socket path.
  public init(backend: BackendName, socketPath: String) {
    text = "q" + hexadecimal(fnv1a([backend.rawValue, socketPath]))
    isShared = false
  }
}

/// Identifies one migration for ever; only `[A-Za-z0-9-]`.
public struct MigrationID: Hashable, Sendable, CustomStringConvertible {
  /// The identifier; the label `migration`.
  public let description: String

  /// An identifier that the system itself gives, such as a VMIM's uid; nil where it has other characters.
  public init?(_ text: String) {
    guard !text.isEmpty, text.utf8.count <= 128, text.utf8.allSatisfy(Self.isAllowed) else { return nil }
    description = text
  }

  /// The identifier of a job of a domain: `<key>-<start of the job in Unix milliseconds>`.
  public init(domain: DomainKey, startedUnixMilliseconds: Int64) {
    description = "\(domain.text)-\(max(0, startedUnixMilliseconds))"
  }

  /// The start of one job that is looked at anew comes out different by no more than this.
  static let sameStart = Duration.seconds(2)

  /// How far apart two jobs of one domain began; nil where they are of two domains, or no jobs but objects.
  func startDifference(from other: MigrationID) -> Duration? {
    guard let (domain, start) = parts, let (otherDomain, otherStart) = other.parts, domain == otherDomain
    else { return nil }
    let (difference, isTooLarge) = start.subtractingReportingOverflow(otherStart)
    return isTooLarge ? nil : .milliseconds(Int64(clamping: difference.magnitude))
  }

  /// Whether both name one job: alike, or of one domain and begun at the same moment as far as that can be told.
  func isSameJob(as other: MigrationID) -> Bool {
    self == other || startDifference(from: other).map { $0 <= Self.sameStart } ?? false
  }

  /// The domain and the start in Unix milliseconds; nil for the uid of an object.
  private var parts: (domain: Substring, start: Int64)? {
    guard let dash = description.lastIndex(of: "-") else { return nil }
    let digits = description[description.index(after: dash)...]
    // The last part of a UUID has twelve hexadecimal digits, a time of this age thirteen decimal ones.
    guard digits.utf8.count >= 13, let start = Int64(digits) else { return nil }
    return (description[..<dash], start)
  }

  static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
      true
    default: false
    }
  }
}

/// FNV-1a over the parts with a zero byte behind each, so that no two lists of parts run together.
private func fnv1a(_ parts: [String]) -> UInt64 {
  var hash: UInt64 = 0xcbf2_9ce4_8422_2325
  for part in parts {
    for byte in part.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    hash = hash &* 0x100_0000_01b3
  }
  return hash
}

private func hexadecimal(_ value: UInt64) -> String {
  let digits = String(value, radix: 16)
  return String(repeating: "0", count: 16 - digits.count) + digits
}
