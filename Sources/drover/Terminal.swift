import DroverService
import Glibc

/// The terminal that standard output may be.
enum Terminal {
  static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

  /// Lines of the terminal; nil where there is none.
  static var height: Int? { size.map { Int($0.ws_row) } }

  static var width: Int? { size.map { Int($0.ws_col) } }

  private static var size: winsize? {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return nil }
    return size
  }
}

extension TerminalStyle {
  static var standardOutput: TerminalStyle {
    TerminalStyle(
      isTerminal: Terminal.isTerminal, width: Terminal.width, environment: Environment.current.variables)
  }
}

/// A table that is drawn over itself on a terminal, and one after the other elsewhere.
enum LiveScreen {
  static func draw(_ text: String) {
    // Home, the text with the rest of each line cleared, then the rest of the screen.
    let bytes = Terminal.isTerminal
      ? "\u{1B}[H" + text.replacing("\n", with: "\u{1B}[K\n") + "\u{1B}[J"
      : text
    write(Array(bytes.utf8))
  }

  static func clear() { if Terminal.isTerminal { write(Array("\u{1B}[2J".utf8)) } }
}
