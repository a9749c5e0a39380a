/// A condition of an object's status.
struct Condition: Decodable, Hashable, Sendable {
  let type: String
  /// `True`, `False` or `Unknown`; empty where it is malformed.
  let status: String
  let reason: String
  let message: String
  let lastTransition: String?
  let lastHeartbeat: String?

  private enum CodingKeys: String, CodingKey {
    case type, status, reason, message, lastTransitionTime, lastHeartbeatTime
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    type = try values.decode(String.self, forKey: .type)
    status = values.lenient(.status) ?? ""
    reason = values.lenient(.reason) ?? ""
    message = values.lenient(.message) ?? ""
    lastTransition = values.lenient(.lastTransitionTime)
    lastHeartbeat = values.lenient(.lastHeartbeatTime)
  }

  var isTrue: Bool { status == "True" }
  var isFalse: Bool { status == "False" }
}

extension [Condition] {
  subscript(type: String) -> Condition? { first { $0.type == type } }

  func isTrue(_ type: String) -> Bool { self[type]?.isTrue ?? false }
}
