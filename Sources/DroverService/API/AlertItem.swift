internal import DroverCore
internal import MigrationControl

/// The body of `POST /api/v1/alerts`: what Alertmanager's webhook sends, version 4; what is not needed is not read.
struct AlertPayload: Decodable {
  var version: String
  /// Alerts that were left out because there were too many.
  var truncatedAlerts: Int
  var alerts: [Alert]

  struct Alert: Decodable {
    var status: String
    var labels: [String: String]
    var startsAt: String
    var fingerprint: String

    enum CodingKeys: CodingKey { case status, labels, startsAt, fingerprint }

    init(from decoder: any Decoder) throws {
      let keys = try decoder.container(keyedBy: CodingKeys.self)
      status = try keys.decode(String.self, forKey: .status)
      labels = try keys.decodeIfPresent([String: String].self, forKey: .labels) ?? [:]
      startsAt = try keys.decodeIfPresent(String.self, forKey: .startsAt) ?? ""
      fingerprint = try keys.decodeIfPresent(String.self, forKey: .fingerprint) ?? ""
    }

    /// The alert as it is decided about.
    var wish: AlertWish {
      AlertWish(
        labels: labels, isFiring: status == "firing", startedAt: Self.unixMilliseconds(startsAt),
        fingerprint: fingerprint)
    }

    /// RFC 3339 with any offset: Go writes the zone that its machine is in.
    static func unixMilliseconds(_ text: String) -> Int64? {
      if let time = Timestamp(text) { return time.unixMilliseconds }
      let zone = text.suffix(6)
      guard zone.count == 6, let sign = zone.first, sign == "+" || sign == "-",
        let hours = Int64(zone.dropFirst().prefix(2)), let minutes = Int64(zone.suffix(2)),
        let time = Timestamp(text.dropLast(6) + "Z")
      else { return nil }
      let offset = (hours * 60 + minutes) * 60_000
      return time.unixMilliseconds - (sign == "+" ? offset : -offset)
    }
  }

  enum CodingKeys: CodingKey { case version, truncatedAlerts, alerts }

  init(from decoder: any Decoder) throws {
    let keys = try decoder.container(keyedBy: CodingKeys.self)
    version = try keys.decode(String.self, forKey: .version)
    truncatedAlerts = try keys.decodeIfPresent(Int.self, forKey: .truncatedAlerts) ?? 0
    alerts = try keys.decode([Alert].self, forKey: .alerts)
  }
}

/// What came of alerts that were sent together.
public struct AlertList: Codable, Hashable, Sendable {
  /// One for each, in their order.
  public var alerts: [AlertItem]
  /// Alerts that their sender left out.
  public var truncated: Int
}

/// What came of one alert.
public struct AlertItem: Codable, Hashable, Sendable {
  /// Its name.
  public var alert: String
  /// What its sender tells it by.
  public var fingerprint: String
  /// The migration that it names, as it was sent.
  public var migration: String
  /// `acted`, `shadowed`, `refused`, `held`, or `ignored` for one that asks for nothing.
  public var status: String
  /// Why it is not done, from the closed list.
  public var refusal: String?
  /// The same in words.
  public var text: String?
  /// The decision's number in the journal; absent where there is none.
  public var decision: Int64?
}

extension AlertItem {
  init(_ alert: AlertWish, _ result: AutomaticControl.AlertResult) {
    self.init(
      alert: String(alert.name.prefix(200)), fingerprint: String(alert.fingerprint.prefix(64)),
      migration: String(alert.migration.prefix(128)), status: result.status,
      refusal: result.refusal?.rawValue, text: result.text.isEmpty ? nil : result.text,
      decision: result.record?.rawValue)
  }
}

/// The answer to `POST /api/v1/decisions/reset-hold`.
public struct ResetItem: Codable, Hashable, Sendable {
  /// The holds that ended: `breaker`, `partition`; empty where there was none.
  public var ended: [String]
}
