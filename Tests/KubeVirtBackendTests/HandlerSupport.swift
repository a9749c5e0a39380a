import Foundation
import Testing

@testable import KubeVirtBackend

/// A file of the fixtures.
func fixture(_ name: String) throws -> Data {
  let directory = try #require(Bundle.module.url(forResource: "Fixtures", withExtension: nil))
  return try Data(contentsOf: directory.appending(path: name))
}

extension HandlerKey {
  /// The guest of the fixtures.
  static let demo = HandlerKey(namespace: "default", name: "demo", node: "harvester-node-0")
}

extension HandlerReading {
  /// Reads text, as of a time.
  init(_ text: String, serverTime: Int64 = 1_772_445_631_000) {
    let bytes = Array(text.utf8)
    self.init(text: bytes.span, serverTime: serverTime)
  }

  /// The samples of the only guest there is.
  var only: [HandlerSample] { samples.count == 1 ? samples.values.first ?? [] : [] }
}

extension HandlerSample {
  /// A sample of which nothing is known but its time.
  static func at(_ milliseconds: Int64) -> HandlerSample { HandlerSample(at: milliseconds) }
}
