/// As much of a YAML document as it takes to send it to the right place; the server reads the rest.
struct YAMLDocument {
  let text: String
  let apiVersion: String
  let kind: String
  let namespace: String?

  /// The documents of a text, without those that hold nothing.
  static func split(_ text: String) -> [YAMLDocument] {
    var documents: [[Substring]] = [[]]
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line == "---" { documents.append([]) } else { documents[documents.count - 1].append(line) }
    }
    return documents.compactMap(YAMLDocument.init)
  }

  private init?(_ lines: [Substring]) {
    var (version, kind, namespace): (String?, String?, String?)
    var isInMetadata = false
    for line in lines {
      if let first = line.first, first != " ", first != "#" { isInMetadata = line.hasPrefix("metadata:") }
      version = version ?? Self.value("apiVersion:", line)
      kind = kind ?? Self.value("kind:", line)
      if isInMetadata { namespace = namespace ?? Self.value("  namespace:", line) }
    }
    guard let version, let kind else { return nil }
    self.text = lines.joined(separator: "\n") + "\n"
    self.apiVersion = version
    self.kind = kind
    self.namespace = namespace
  }

  private static func value(_ key: String, _ line: Substring) -> String? {
    guard line.hasPrefix(key) else { return nil }
    return String(line.dropFirst(key.count).filter { !" \"'".contains($0) })
  }
}
