/// One number that was measured, and what it ought to be.
struct Figure: Codable, Sendable {
  var name: String
  var value: Double
  var unit: String
  var atLeast: Double?
  var atMost: Double?

  init(_ name: String, _ value: Double, _ unit: String = "", atLeast: Double? = nil, atMost: Double? = nil) {
    self.name = name
    self.value = value
    self.unit = unit
    self.atLeast = atLeast
    self.atMost = atMost
  }

  var hasGoal: Bool { atLeast != nil || atMost != nil }

  /// A number that is none misses every goal.
  var isMissed: Bool {
    if let atLeast, !(value >= atLeast) { return true }
    if let atMost, !(value <= atMost) { return true }
    return false
  }
}

/// A measurement that can be asked for by name.
struct Benchmark: Sendable {
  let name: String
  let summary: String
  let run: @Sendable () async throws -> [Figure]

  init(_ name: String, _ summary: String, run: @escaping @Sendable () async throws -> [Figure]) {
    self.name = name
    self.summary = summary
    self.run = run
  }

  /// What is measured where nothing is named.
  static let usual = [render, scrape, memory, start, idle, resident, preflight, costs]
  /// What can be named: `libvirt` needs root and minutes to start its guests, `kube` an API server.
  static let all = usual + [libvirt, kube]
}

/// Why a benchmark could not measure what it says it measures.
struct BenchError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
