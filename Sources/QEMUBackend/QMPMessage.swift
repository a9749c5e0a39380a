internal import FoundationEssentials

/// A line that is not what QMP says.
struct QMPProtocolError: Error, Equatable {
  let text: String
}

/// The outside of a line: what it is and whom it answers.
enum QMPLine: Equatable {
  case greeting(version: String)
  case event(QMPEvent)
  case answer(id: String?)
  case refusal(id: String?, text: String)

  init(_ bytes: [UInt8]) throws(QMPProtocolError) {
    let head: Head = try decode(bytes)
    if let version = head.version {
      self = .greeting(version: version)
    } else if let event = head.event {
      self = .event(event)
    } else if let refusal = head.refusal {
      self = .refusal(id: head.id, text: refusal)
    } else if head.hasReturn {
      self = .answer(id: head.id)
    } else {
      throw QMPProtocolError(text: "neither greeting, event nor answer")
    }
  }

  private struct Head: Decodable {
    var version: String?
    var event: QMPEvent?
    var id: String?
    var refusal: String?
    var hasReturn: Bool

    init(from decoder: any Decoder) throws {
      let fields = try decoder.container(keyedBy: Key.self)
      hasReturn = fields.contains("return")
      id = try? fields.decode(String.self, forKey: "id")
      if fields.contains("QMP") {
        let qemu = try? fields.nested("QMP").nested("version").nested("qemu")
        let parts = ["major", "minor", "micro"].map { qemu?.count(Key($0)) }
        version = parts.contains(nil) ? "" : parts.compactMap { $0.map(String.init) }.joined(separator: ".")
      }
      if fields.contains("error") {
        refusal = (try? fields.nested("error").decode(String.self, forKey: "desc")) ?? ""
      }
      if let name = try fields.decodeIfPresent(String.self, forKey: "event") {
        let data = try? fields.nested("data")
        event = QMPEvent(
          name: name, status: try? data?.decode(String.self, forKey: "status"),
          reason: try? data?.decode(String.self, forKey: "reason"))
      }
    }
  }
}

/// Something that QEMU told unasked.
struct QMPEvent: Equatable {
  var name: String
  /// The migration's status, with `MIGRATION`.
  var status: String?
  /// Why the guest went down, with `SHUTDOWN`.
  var reason: String?
}

/// What a command returned.
struct QMPReturn<Value: Decodable>: Decodable {
  let value: Value

  init(from decoder: any Decoder) throws {
    value = try decoder.container(keyedBy: Key.self).decode(Value.self, forKey: "return")
  }

  static func value(of bytes: [UInt8]) throws(QMPProtocolError) -> Value {
    let answer: QMPReturn<Value> = try decode(bytes)
    return answer.value
  }
}

/// Answer to `query-migrate`.
struct MigrateAnswer: Decodable, Hashable, Sendable {
  var status: String?
  var totalTime: Duration?
  var downtime: Duration?
  var expectedDowntime: Duration?
  var errorText: String?
  var throttlePercent: UInt64?
  @Apart var memory: StreamAnswer?
  @Apart var disk: StreamAnswer?
  /// QEMU listens, or has listened, for a guest that arrives.
  var listens = false
  var blockedReasons: [String] = []

  init() {}

  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    status = try fields.decodeIfPresent(String.self, forKey: "status")?.prefix(bytes: 64)
    totalTime = fields.milliseconds("total-time")
    downtime = fields.milliseconds("downtime")
    expectedDowntime = fields.milliseconds("expected-downtime")
    errorText = (try? fields.decode(String.self, forKey: "error-desc"))?.prefix(bytes: 1024)
    throttlePercent = fields.count("cpu-throttle-percentage")
    memory = try fields.decodeIfPresent(StreamAnswer.self, forKey: "ram")
    disk = try fields.decodeIfPresent(StreamAnswer.self, forKey: "disk")
    listens = fields.contains("socket-address")
    blockedReasons = (try? fields.decode([String].self, forKey: "blocked-reasons")) ?? []
  }
}

/// The objects `ram` and `disk` of `query-migrate`.
struct StreamAnswer: Decodable, Hashable, Sendable {
  var transferred: UInt64?
  var remaining: UInt64?
  var total: UInt64?
  var dirtyPagesPerSecond: UInt64?
  var pageSize: UInt64?
  var iterations: UInt64?
  var postcopyRequests: UInt64?

  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    // QEMU counts the multifd channels in `transferred` too; should one not, its parts still add up.
    let parts = ["precopy-bytes", "downtime-bytes", "postcopy-bytes", "multifd-bytes"]
      .compactMap { fields.count(Key($0)) }
      .reduce(into: UInt64(0)) { $0 = $0.addingReportingOverflow($1).overflow ? .max : $0 + $1 }
    transferred = fields.count("transferred").map { parts == .max ? $0 : max($0, parts) }
    remaining = fields.count("remaining")
    total = fields.count("total")
    dirtyPagesPerSecond = fields.count("dirty-pages-rate")
    pageSize = fields.count("page-size")
    iterations = fields.count("dirty-sync-count")
    postcopyRequests = fields.count("postcopy-requests")
  }
}

/// Answer to `query-status`.
struct StatusAnswer: Decodable {
  let status: String
}

/// Answer to `query-name`.
struct NameAnswer: Decodable {
  let name: String?
}

/// Answer to `query-uuid`.
struct UUIDAnswer: Decodable {
  let uuid: String

  private enum CodingKeys: String, CodingKey { case uuid = "UUID" }
}

/// Answer to `query-memory-size-summary`.
struct MemoryAnswer: Decodable {
  var bytes: UInt64?

  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    guard let base = fields.count("base-memory") else { return }
    let (sum, overflow) = base.addingReportingOverflow(fields.count("plugged-memory") ?? 0)
    bytes = overflow ? nil : sum
  }
}

/// Answer to `query-migrate-parameters`.
struct ParametersAnswer: Decodable, Hashable, Sendable {
  var downtimeLimit: Duration?
  var bandwidth: UInt64?
  var postcopyBandwidth: UInt64?

  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    downtimeLimit = fields.milliseconds("downtime-limit")
    bandwidth = fields.count("max-bandwidth")
    postcopyBandwidth = fields.count("max-postcopy-bandwidth")
  }
}

/// One device in the answer to `query-block`.
struct BlockAnswer: Decodable {
  /// Capacity of the medium, where there is one that can be written: those that block migration copies.
  var copiedCapacity: UInt64?

  init(from decoder: any Decoder) throws {
    let device = try decoder.container(keyedBy: Key.self)
    guard device.contains("inserted") else { return }
    let medium = try device.nested("inserted")
    guard (try? medium.decode(Bool.self, forKey: "ro")) == false else { return }
    copiedCapacity = try? medium.nested("image").count("virtual-size")
  }
}

/// Any key of an object.
private struct Key: CodingKey, ExpressibleByStringLiteral {
  let stringValue: String
  var intValue: Int? { nil }

  init(_ text: String) { stringValue = text }
  init(stringLiteral value: String) { stringValue = value }
  init?(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

extension KeyedDecodingContainer where K == Key {
  fileprivate func nested(_ key: Key) throws -> KeyedDecodingContainer<Key> {
    try nestedContainer(keyedBy: Key.self, forKey: key)
  }

  /// A count; nil where it is absent, negative, broken or too large: one absurd number spoils no other.
  fileprivate func count(_ key: Key) -> UInt64? {
    try? decode(UInt64.self, forKey: key)
  }

  /// A time in milliseconds; nil also beyond a hundred years, so that sums with moments stay in range.
  fileprivate func milliseconds(_ key: Key) -> Duration? {
    guard let value = count(key), value < 3_200_000_000_000 else { return nil }
    return .milliseconds(Int64(value))
  }
}

private func decode<Value: Decodable>(_ bytes: [UInt8]) throws(QMPProtocolError) -> Value {
  do {
    return try JSONDecoder().decode(Value.self, from: Data(bytes))
  } catch {
    throw QMPProtocolError(text: "not what QMP says: \(printable(bytes.prefix(60)))")
  }
}

extension String {
  /// As many whole characters as fit into so many bytes.
  func prefix(bytes limit: Int) -> String {
    guard utf8.count > limit else { return self }
    var end = utf8.index(startIndex, offsetBy: limit)
    while end.samePosition(in: unicodeScalars) == nil { end = utf8.index(before: end) }
    return String(self[..<end])
  }
}

private func printable(_ bytes: ArraySlice<UInt8>) -> String {
  String(decoding: bytes.map { (0x20...0x7e).contains($0) ? $0 : UInt8(ascii: ".") }, as: UTF8.self)
}
