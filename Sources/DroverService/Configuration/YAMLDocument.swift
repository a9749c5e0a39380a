internal import Yams

/// One YAML document as a tree with lines and columns.
///
/// The parser ends at the first duplicate key and tells only where it first stands. So that both places are told, and
/// everything else that is wrong too, that first key is renamed to one that nobody can have typed, and the text parsed
/// again.
struct YAMLDocument {
  /// The tree; nil for a document without content.
  let root: Node?
  /// Keys that had to be renamed, by the place they stand at.
  let renamed: [Place: String]

  /// A line and column, from 1.
  struct Place: Hashable {
    let line: Int
    let column: Int

    init(line: Int, column: Int = 1) {
      self.line = line
      self.column = column
    }

    init(_ mark: Mark?) {
      line = mark?.line ?? 1
      column = mark?.column ?? 1
    }
  }

  /// A syntax error, with its place where that is known.
  struct Failure: Error {
    let place: Place?
    let text: String
  }

  /// More than this many aliases could be multiplied into a tree that takes for ever to read.
  static let mostAliases = 16
  private static let mostDuplicates = 20

  init(parsing text: String) throws(Failure) {
    try Self.refuseManyAliases(text)
    var scalars = Array(text.unicodeScalars)
    var renamed: [Place: String] = [:]
    while true {
      var current = String.UnicodeScalarView()
      current.append(contentsOf: scalars)
      do {
        root = try Yams.compose(yaml: String(current), .default, .default, .utf8)
        self.renamed = renamed
        return
      } catch let YamlError.duplicatedKeysInMapping(names, context) {
        let place = Place(context.mark)
        let name = names.first ?? ""
        guard renamed.count < Self.mostDuplicates, renamed[place] == nil,
          let index = Self.index(ofKey: name, at: place, in: scalars)
        else { throw Failure(place: place, text: "the key \"\(name)\" stands twice in the same mapping") }
        renamed[place] = name
        scalars[index] = Unicode.Scalar(UInt32(0xE000 + renamed.count)) ?? "\u{E000}"
      } catch let error as YamlError {
        throw Self.failure(error, text)
      } catch {
        throw Failure(place: nil, text: "\(error)")
      }
    }
  }

  /// The key as it was typed.
  func name(ofKey node: Node) -> String? {
    guard let scalar = node.scalar else { return nil }
    return renamed[Place(scalar.mark)] ?? scalar.string
  }

  /// Where the first letter of a key stands; nil where it is written in an unusual way.
  private static func index(ofKey name: String, at place: Place, in scalars: [Unicode.Scalar]) -> Int? {
    var line = 1
    var start = 0
    while line < place.line {
      guard let end = scalars[start...].firstIndex(of: "\n") else { return nil }
      start = end + 1
      line += 1
    }
    var index = start + place.column - 1
    guard scalars.indices.contains(index) else { return nil }
    if scalars[index] == "\"" || scalars[index] == "'" { index += 1 }
    guard scalars.indices.contains(index), scalars[index] == name.unicodeScalars.first else { return nil }
    return index
  }

  private static func refuseManyAliases(_ text: String) throws(Failure) {
    var count = 0
    var previous: UInt8 = UInt8(ascii: "\n")
    var line = 1
    var isComment = false
    for byte in text.utf8 {
      if byte == UInt8(ascii: "\n") {
        line += 1
        isComment = false
      }
      if byte == UInt8(ascii: "#"), isBlank(previous) { isComment = true }
      if byte == UInt8(ascii: "*"), !isComment, isBlank(previous) || "[{,:-?".utf8.contains(previous) {
        count += 1
      }
      guard count <= mostAliases else {
        throw Failure(
          place: Place(line: line),
          text: "more than \(mostAliases) aliases (*name); write the values out, and put patterns in quotes")
      }
      previous = byte
    }
  }

  private static func isBlank(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D
  }

  private static func failure(_ error: YamlError, _ text: String) -> Failure {
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _):
      return Failure(place: Place(mark), text: "not valid YAML: \(problem)\(hint(for: mark, in: text))")
    case .composer(_, let problem, let mark, _):
      let words =
        problem.contains("another document")
        ? "a second document begins; a configuration is one document" : "not valid YAML: \(problem)"
      return Failure(place: Place(mark), text: words)
    case .reader(let problem, let offset, _, _):
      let before = text.prefix(max(0, offset ?? 0))
      let line = before.reduce(1) { $1.isNewline ? $0 + 1 : $0 }
      return Failure(place: Place(line: line), text: "not valid YAML: \(problem)")
    default:
      return Failure(place: nil, text: "not valid YAML: \(error)")
    }
  }

  private static func hint(for mark: Mark, in text: String) -> String {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.indices.contains(mark.line - 1) else { return "" }
    let indentation = lines[mark.line - 1].prefix { $0 == " " || $0 == "\t" }
    return indentation.contains("\t") ? "; indent with spaces, not with tabs" : ""
  }
}
