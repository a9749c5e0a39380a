internal import Kubernetes

/// A condition of an object's status.
struct Condition: Decodable, Hashable, Sendable {
  let type: String
  /// `True`, `False` or `Unknown`; empty where it is malformed.
  let status: String
  let reason: String
  let message: String
  let lastTransition: String?
  let lastHeartbeat: String?

  init(from decoder: any Decoder) throws {
    let fields = try JSONFields(decoder)
    guard let condition = Condition(fields) else {
      throw DecodingError.dataCorrupted(
        DecodingError.Context(codingPath: decoder.codingPath, debugDescription: "a condition without type"))
    }
    self = condition
  }

  /// nil for one without a type.
  init?(_ fields: JSONFields) {
    guard let type = fields.text("type") else { return nil }
    self.type = type
    status = fields.text("status") ?? ""
    reason = fields.text("reason") ?? ""
    message = fields.text("message") ?? ""
    lastTransition = fields.text("lastTransitionTime")
    lastHeartbeat = fields.text("lastHeartbeatTime")
  }

  var isTrue: Bool { status == "True" }
  var isFalse: Bool { status == "False" }
}

extension [Condition] {
  subscript(type: String) -> Condition? { first { $0.type == type } }

  func isTrue(_ type: String) -> Bool { self[type]?.isTrue ?? false }
}
