/// Columns that a text takes on a terminal.
func displayWidth(_ text: String) -> Int { text.unicodeScalars.reduce(0) { $0 + displayWidth($1) } }

private func displayWidth(_ scalar: Unicode.Scalar) -> Int {
  guard scalar.value >= 0x300 else { return 1 }
  switch scalar.properties.generalCategory {
  case .nonspacingMark, .enclosingMark: return 0
  default: break
  }
  if scalar.properties.isEmojiPresentation { return 2 }
  // East Asian Width "wide" and "fullwidth".
  return switch scalar.value {
  case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F,
    0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x20000...0x3FFFD:
    2
  default: 1
  }
}

/// A text that takes at most `width` columns: what is too long loses its middle.
func shortened(_ text: String, to width: Int, ellipsis: String) -> String {
  guard displayWidth(text) > width else { return text }
  let room = width - displayWidth(ellipsis)
  guard room > 0 else { return head(text, width) }
  return head(text, (room + 1) / 2) + ellipsis + tail(text, room / 2)
}

/// The beginning of a text that fits into `width` columns.
func head(_ text: some StringProtocol, _ width: Int) -> String {
  var used = 0
  return String(
    text.prefix { character in
      used += displayWidth(String(character))
      return used <= width
    })
}

private func tail(_ text: String, _ width: Int) -> String {
  String(head(String(text.reversed()), width).reversed())
}

/// A text filled up with blanks to `width` columns.
func padded(_ text: String, to width: Int, alignRight: Bool = false) -> String {
  let blanks = String(repeating: " ", count: max(0, width - displayWidth(text)))
  return alignRight ? blanks + text : text + blanks
}
