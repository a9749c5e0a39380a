import Foundation
import Testing

@testable import ProgramSupport

/// The OpenAPI document of a running drover, and what an answer has that it does not say.
struct DocumentedAPI {
  private let document: [String: Any]

  init(of web: Web) async throws {
    let answer = try await web.get("/api/v1/openapi.json")
    document = try #require(try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any])
  }

  /// What is wrong with an answer to a GET; empty where nothing is.
  func faults(_ answer: Answer, of pattern: String) throws -> [String] {
    let path = ["paths", "/api/v1/" + pattern, "get", "responses", "\(answer.status)", "content"]
    guard let content = at(path) as? [String: Any] else { return ["status \(answer.status) is not told"] }
    let type = String(answer["Content-Type"].prefix { $0 != ";" })
    guard let form = content[type] as? [String: Any], let schema = form["schema"] as? [String: Any] else {
      return ["\(type) is not told"]
    }
    let value = try JSONSerialization.jsonObject(with: Data(answer.body), options: .fragmentsAllowed)
    return faults(value, schema, at: pattern)
  }

  private func at(_ path: [String]) -> Any? {
    path.reduce(document as Any?) { ($0 as? [String: Any])?[$1] }
  }

  private func faults(_ value: Any, _ schema: [String: Any], at place: String) -> [String] {
    if let name = schema["$ref"] as? String {
      let path = name.dropFirst(2).split(separator: "/").map(String.init)
      guard let meant = at(path) as? [String: Any] else { return ["\(place): \(name) is not there"] }
      return faults(value, meant, at: place)
    }
    if let choices = schema["anyOf"] as? [[String: Any]] {
      let all = choices.map { faults(value, $0, at: place) }
      return all.contains { $0.isEmpty } ? [] : all.first ?? []
    }
    switch schema["type"] as? String {
    case "object":
      guard let object = value as? [String: Any] else { return ["\(place) is no object"] }
      let known = schema["properties"] as? [String: [String: Any]] ?? [:]
      let missing = (schema["required"] as? [String] ?? []).filter { object[$0] == nil }
      return missing.map { "\(place).\($0) is missing" }
        + object.keys.filter { known[$0] == nil && !known.isEmpty }.map { "\(place).\($0) is not told" }
        + known.flatMap { name, schema in
          object[name].map { faults($0, schema, at: "\(place).\(name)") } ?? []
        }
    case "array":
      guard let array = value as? [Any], let items = schema["items"] as? [String: Any] else {
        return ["\(place) is no array"]
      }
      return array.flatMap { faults($0, items, at: "\(place)[]") }
    case "string": return value is String ? [] : ["\(place) is no text"]
    case "null": return value is NSNull ? [] : ["\(place) is not null"]
    case "boolean", "number", "integer": return value is NSNumber ? [] : ["\(place) is no number"]
    default: return []
    }
  }
}
