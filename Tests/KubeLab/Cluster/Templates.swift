import FoundationEssentials
import QEMURig

extension JSONValue {
  /// An object of `Tests/Lab/kube/objects`, as large and as full as real ones.
  static func template(_ name: String) throws -> JSONValue {
    let path = "\(Helper.directory)/objects/\(name).json"
    guard let value = JSONValue(utf8: Array(try Data(contentsOf: URL(filePath: path)))) else {
      throw KubeLabError("template \(name)", "no JSON")
    }
    return value
  }

  static func strings(_ values: [String: String]) -> JSONValue { .object(values.mapValues(JSONValue.string)) }

  /// Sets a condition; its transition time changes with its status only.
  mutating func setCondition(
    _ type: String, _ status: String, reason: String? = nil, message: String? = nil, at time: JSONValue
  ) {
    var conditions = self[path: "status", "conditions"]?.array ?? []
    let index = conditions.firstIndex { $0["type"] == .string(type) }
    var condition = index.map { conditions[$0] } ?? .object(["type": .string(type)])
    if condition["status"] != .string(status) { condition[path: "lastTransitionTime"] = time }
    condition[path: "status"] = .string(status)
    condition[path: "reason"] = reason.map(JSONValue.string)
    condition[path: "message"] = message.map(JSONValue.string)
    if let index { conditions[index] = condition } else { conditions.append(condition) }
    self[path: "status", "conditions"] = .array(conditions)
  }

  /// Takes a condition away.
  mutating func removeCondition(_ type: String) {
    guard let conditions = self[path: "status", "conditions"]?.array else { return }
    let left = conditions.filter { $0["type"] != .string(type) }
    self[path: "status", "conditions"] = left.isEmpty ? nil : .array(left)
  }
}
