/// The question to a Prometheus for everything that it has of some nodes.
///
/// A range selector as an instant query brings the raw samples under their own times, which `query_range` would replace
/// by those of its steps.
enum PrometheusQuery {
  /// Longer ones ask about all nodes: the servers on the way may refuse long addresses.
  private static let longestMatcher = 2000

  /// The expression.
  ///
  /// - Parameters:
  ///   - window: How far it looks back.
  ///   - guestDirtyRates: Whether the dirty rates of guests that do not migrate are asked for, too.
  static func expression(nodes: some Sequence<String>, window: Duration, guestDirtyRates: Bool) -> String {
    var names =
      "kubevirt_vmi_migration_data_.*|kubevirt_migrate_vmi_.*"
      + "|kubevirt_vmi_migration_(dirty_memory|memory_transfer|disk_transfer)_rate_bytes"
    if guestDirtyRates { names += "|kubevirt_vmi_dirty_rate_bytes_per_second" }
    let matcher = Set(nodes).sorted().map(literal).joined(separator: "|")
    let node = matcher.isEmpty || matcher.utf8.count > longestMatcher ? "" : ",node=~\"\(matcher)\""
    let seconds = max(1, window.components.seconds)
    return "{__name__=~\"\(names)\"\(node)}[\(seconds)s]"
  }

  /// The path of the query, below the server's own.
  static func path(_ expression: String, deadline: Duration) -> String {
    "/api/v1/query?query=\(expression.percentEncoded)&timeout=\(max(1, deadline.components.seconds))s"
  }

  /// A name as a regular expression for itself, in a string of PromQL.
  private static func literal(_ name: String) -> String {
    var text = ""
    for scalar in name.unicodeScalars {
      switch scalar {
      case "a"..."z", "A"..."Z", "0"..."9", "-", "_": text.unicodeScalars.append(scalar)
      // In a class a dot stands for itself, without a backslash that PromQL would want doubled.
      case ".": text += "[.]"
      default: text += "."
      }
    }
    return text
  }
}
