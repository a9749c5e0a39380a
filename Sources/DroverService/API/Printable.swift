/// Whether a terminal or a log shows a character as it is, and nothing else happens.
///
/// Control characters, line and paragraph separators, and the marks that turn the writing direction can move the cursor or
/// make a text look like another one.
func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
  guard scalar.value >= 0x7F else { return scalar.value >= 0x20 }
  return switch scalar.properties.generalCategory {
  case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned, .privateUse: false
  default: true
  }
}

/// A text from outside with `�` in place of everything that is not simply shown.
func printable(_ text: String) -> String {
  guard !text.unicodeScalars.allSatisfy(isPrintable) else { return text }
  return String(String.UnicodeScalarView(text.unicodeScalars.map { isPrintable($0) ? $0 : "\u{FFFD}" }))
}
