import DroverService
import Glibc

/// The terminal that standard output may be.
enum Terminal {
  static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

  /// Whether a text can be drawn over the one before.
  static var canDraw: Bool {
    isTerminal && !["", "dumb"].contains(Environment.current.variables["TERM", default: ""])
  }

  /// Lines of the terminal; nil where there is none.
  static var height: Int? { size.map { Int($0.ws_row) } }

  static var width: Int? { size.map { Int($0.ws_col) } }

  private static var size: winsize? {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
      return nil
    }
    return size
  }
}

extension TerminalStyle {
  static var standardOutput: TerminalStyle {
    TerminalStyle(
      isTerminal: Terminal.isTerminal, width: Terminal.width, environment: Environment.current.variables)
  }
}

/// A text that is drawn over the one before on a terminal's second screen; elsewhere each comes after the one before.
enum LiveScreen {
  /// Takes the second screen, so that what the user had on the first comes back.
  static func begin() throws { if Terminal.canDraw { try write("\u{1B}[?1049h\u{1B}[?25l") } }

  /// Draws what fits.
  static func draw(_ text: String) throws {
    guard Terminal.canDraw else { return try write(text) }
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    if lines.last == "" { lines.removeLast() }
    let height = Terminal.height ?? lines.count
    // Each line is cleared before it is written: after a full one the cursor stands on its last character. Without
    // wrapping, and without a line end after the last line, nothing ever scrolls.
    let drawn = lines.prefix(height).map { "\u{1B}[K\($0)" }.joined(separator: "\n")
    try write("\u{1B}[?7l\u{1B}[H\(drawn)\(lines.count < height ? "\n\u{1B}[J" : "")\u{1B}[?7h")
  }

  /// Gives the screen back.
  static func end() { if Terminal.canDraw { try? write("\u{1B}[?25h\u{1B}[?1049l") } }
}
