/// A piece of HTML; what is interpolated into it is escaped, unless it is HTML itself.
struct HTML: ExpressibleByStringInterpolation {
  private(set) var text: String

  init(stringLiteral value: String) { text = value }

  init(stringInterpolation: Interpolation) { text = stringInterpolation.text }

  private init(text: String) { self.text = text }

  static func join(_ pieces: some Sequence<HTML>) -> HTML {
    HTML(text: pieces.reduce(into: "") { $0 += $1.text })
  }

  struct Interpolation: StringInterpolationProtocol {
    fileprivate var text = ""

    init(literalCapacity: Int, interpolationCount: Int) {
      text.reserveCapacity(literalCapacity + 16 * interpolationCount)
    }

    mutating func appendLiteral(_ literal: String) { text += literal }

    mutating func appendInterpolation(_ html: HTML) { text += html.text }

    mutating func appendInterpolation(_ pieces: [HTML]) { for piece in pieces { text += piece.text } }

    mutating func appendInterpolation(_ number: Int) { text += "\(number)" }

    /// A text from outside; fit for an element's content and for a quoted attribute.
    mutating func appendInterpolation(_ untrusted: String) {
      for scalar in printable(untrusted).unicodeScalars {
        switch scalar {
        case "&": text += "&amp;"
        case "<": text += "&lt;"
        case ">": text += "&gt;"
        case "\"": text += "&quot;"
        case "'": text += "&#39;"
        default: text.unicodeScalars.append(scalar)
        }
      }
    }
  }
}
