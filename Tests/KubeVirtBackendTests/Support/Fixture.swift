import Foundation
import Testing

@testable import Kubernetes

/// Objects as a cluster sends them, as files.
enum Fixture {
  /// The names of all that are JSON.
  static var names: [String] {
    let urls = Bundle.module.urls(forResourcesWithExtension: "json", subdirectory: "Fixtures") ?? []
    return urls.compactMap(\.lastPathComponent).sorted()
  }

  static func data(_ name: String) throws -> Data {
    let url = try #require(Bundle.module.url(forResource: name, withExtension: nil, subdirectory: "Fixtures"))
    return try Data(contentsOf: url)
  }

  static func json(_ name: String) throws -> JSON { try JSONDecoder().decode(JSON.self, from: data(name)) }

  static func object<Object: Decodable>(_ name: String, as type: Object.Type = Object.self) throws -> Object {
    try Array(data(name)).withUnsafeBufferPointer { try LazyDecoder.decode(type, from: $0) }
  }
}
