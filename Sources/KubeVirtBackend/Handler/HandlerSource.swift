/// One virt-handler.
struct HandlerTarget: Hashable, Sendable {
  /// The node that it serves.
  var node: String
  /// The namespace of its pod.
  var namespace: String
  /// The name of its pod.
  var pod: String
  /// The address of its pod, IPv4 or IPv6.
  var address: String
}

/// Someone who can be asked for virt-handler's numbers.
protocol HandlerSource: Sendable {
  /// Whether each node is asked by itself, or one server for all of them.
  var grouping: HandlerSchedule.Grouping { get }

  /// Asks once.
  ///
  /// - Parameter targets: Those of one ``HandlerSchedule/Turn``: exactly one, where each node is asked by itself.
  func read(_ targets: [HandlerTarget]) async throws(HandlerError) -> HandlerReading
}

extension HandlerSource {
  /// The one target of a question to a node.
  func single(_ targets: [HandlerTarget]) throws(HandlerError) -> HandlerTarget {
    guard let target = targets.first, targets.count == 1 else {
      throw HandlerError(
        .settings, call: "asking virt-handler", message: "asked about \(targets.count) nodes at once",
        remedy: "ask about one")
    }
    return target
  }
}
