/// A part of a scrape, picked with `?collect[]=`.
public enum ScrapePart: String, CaseIterable, Sendable {
  /// Migrations one by one, and their totals.
  case migrations
  /// VMs.
  case vms
  /// Nodes and hosts.
  case nodes
  /// The exporter itself and its back ends.
  case exporter = "self"
}

extension Set<ScrapePart> {
  /// Everything.
  public static var all: Set<ScrapePart> { Set(ScrapePart.allCases) }

  /// The parts that the values of `collect[]` ask for; all where none is given.
  public init(collect values: [String]) throws(UnknownScrapePart) {
    self.init()
    for value in values {
      guard let part = ScrapePart(rawValue: value) else { throw UnknownScrapePart(value: value) }
      insert(part)
    }
    if isEmpty { self = .all }
  }
}

/// A value of `collect[]` that names no part.
public struct UnknownScrapePart: Error, Hashable, Sendable, CustomStringConvertible {
  /// The value as it was given.
  public let value: String

  /// The value, and the ones that there are.
  public var description: String {
    let allowed = ScrapePart.allCases.map(\.rawValue).joined(separator: ", ")
    return "collect[]=\(value): no such part; use one of \(allowed), or leave collect[] out for all"
  }

  /// Closed short form.
  public var shortDescription: String { "unknown_part" }
}
