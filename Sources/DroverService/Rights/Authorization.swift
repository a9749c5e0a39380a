internal import FoundationEssentials
public import MicroHTTP

/// Who has asked for something that they may do.
public struct Requester: Hashable, Sendable, CustomStringConvertible {
  /// Who, for the journal: `uid 1000 on the control socket`, `token alertmanager.token`, `user alice`,
  /// `certificate CN=alice`.
  public let description: String

  init(_ credentials: [Credential]) { description = credentials.map(\.words).joined(separator: " and ") }
}

/// What comes of asking whether a request may act.
public enum Authorization: Sendable {
  /// It may, for this one.
  case allowed(Requester)
  /// It may not, and is answered so.
  case refused(Response)
}

/// Why a request is refused.
public enum RightRefusal: String, CaseIterable, Sendable {
  /// A page in somebody's browser has sent it.
  case crossSite = "cross_site"
  /// It shows no credential.
  case noCredential = "no_credential"
  /// It shows a token or a password that is not right.
  case wrongCredential = "wrong_credential"
  /// Its credential lacks the right.
  case missingRight = "missing_right"
  /// The switch is not enabled.
  case switchDisabled = "switch_disabled"
  /// There are more than are let in.
  case tooMany = "too_many"
  /// A cluster that would have to say whose token it is says nothing.
  case reviewFailed = "review_failed"
}

/// The `Authorization` field of a request.
enum ShownSecret: Hashable, Sendable {
  case none
  case bearer(String)
  case basic(user: String, password: String)
  /// Of another scheme, or broken, or there are two.
  case unreadable

  init(_ headers: Headers) {
    let values = headers.values(of: "Authorization")
    guard let value = values.first else {
      self = .none
      return
    }
    let parts = value.split(separator: " ", maxSplits: 1).map(String.init)
    guard values.count == 1, parts.count == 2 else {
      self = .unreadable
      return
    }
    let text = parts[1].trimmingPrefix { $0 == " " }
    switch parts[0].lowercased() {
    case "bearer": self = .bearer(String(text))
    case "basic": self = Self.basic(String(text)) ?? .unreadable
    default: self = .unreadable
    }
  }

  private static func basic(_ text: String) -> ShownSecret? {
    guard let data = Data(base64Encoded: text),
      let pair = String(validating: Array(data), as: UTF8.self), let colon = pair.firstIndex(of: ":")
    else { return nil }
    return .basic(user: String(pair[..<colon]), password: String(pair[pair.index(after: colon)...]))
  }
}

extension Request {
  /// Whether a page in a browser may have sent it: every browser says so when a page acts.
  var isOfBrowser: Bool { headers["Origin"] != nil || headers["Sec-Fetch-Site"] != nil }

  /// Whether it only reads.
  var isReading: Bool { method == .get || method == .head }

  var isOnSocket: Bool { if case .unix = peer { true } else { false } }
}
