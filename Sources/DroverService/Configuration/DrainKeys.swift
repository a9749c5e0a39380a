internal import Yams

/// How drains go about it; the keys of `control.drain`.
public struct DrainConfiguration: Hashable, Sendable {
  /// Migrations out of a node at a time.
  public internal(set) var parallel = 2
  /// How often a VM whose migration fails is tried.
  public internal(set) var attempts = 3

  /// The documented defaults.
  public init() {}
}

extension ConfigurationReader {
  mutating func drain(_ node: Node?) -> DrainConfiguration {
    let keys = mapping(
      node?.mapping?["drain"], "control.drain", keys: ["parallel", "attempts"],
      remedies: ["timeouts": "they are those of timeouts;"])
    var result = DrainConfiguration()
    result.parallel =
      integer(keys["parallel"], "control.drain.parallel", in: 1...100, example: 2) ?? result.parallel
    result.attempts =
      integer(keys["attempts"], "control.drain.attempts", in: 1...100, example: 3) ?? result.attempts
    return result
  }
}
