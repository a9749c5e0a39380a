/// What a terminal, or what stands in for one, can show.
public struct TerminalStyle: Hashable, Sendable {
  /// Columns that a line may have; nil where nothing limits it, as in a file.
  public var width: Int?
  /// Whether block characters are shown; else ASCII.
  public var isUnicode: Bool
  /// Whether colours are shown.
  public var isColoured: Bool

  /// Describes a terminal.
  public init(width: Int? = nil, isUnicode: Bool = true, isColoured: Bool = false) {
    self.width = width
    self.isUnicode = isUnicode
    self.isColoured = isColoured
  }

  /// What the environment says: colours only on a terminal and without `NO_COLOR`, blocks only where the locale is UTF-8.
  public init(isTerminal: Bool, width: Int?, environment: [String: String]) {
    self.width = isTerminal ? width.map { max(40, $0) } : nil
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].compactMap { environment[$0] }.first { !$0.isEmpty } ?? ""
    let encoding = locale.lowercased()
    isUnicode = encoding.contains("utf-8") || encoding.contains("utf8")
    isColoured = isTerminal && environment["NO_COLOR", default: ""].isEmpty && environment["TERM"] != "dumb"
  }

  enum Colour: String {
    case none = ""
    case red = "31"
    case yellow = "33"
    case green = "32"
    case dim = "2"
    case bold = "1"
  }

  func paint(_ text: String, _ colour: Colour) -> String {
    isColoured && colour != .none && !text.isEmpty ? "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m" : text
  }

  /// A bar of `width` columns; `ratio` is clamped to 0 to 1 and rounded down, so that only the whole fills it.
  func bar(_ ratio: Double, width: Int) -> String {
    let clamped = ratio.isFinite ? min(max(ratio, 0), 1) : 0
    let eighths = Int(clamped * Double(width * 8) + 1e-9)
    guard isUnicode else {
      return "[" + String(repeating: "#", count: eighths / 8)
        + String(repeating: ".", count: width - eighths / 8) + "]"
    }
    let parts = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"]
    let filled = eighths / 8
    let part = parts[eighths % 8]
    return String(repeating: "█", count: filled) + part
      + String(repeating: "░", count: width - filled - (part.isEmpty ? 0 : 1))
  }

  var ellipsis: String { isUnicode ? "…" : "..." }
}
