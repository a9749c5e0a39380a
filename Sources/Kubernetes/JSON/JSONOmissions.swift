/// Members of an object that nobody reads.
///
/// They are cut out of its JSON before that is decoded: finding where a value ends takes a tenth of what decoding it
/// does, and they make up most of an object.
public struct JSONOmissions: Sendable, ExpressibleByArrayLiteral {
  private struct Member {
    let name: [UInt8]
    /// Of its own members those to leave out; nil where it is left out as a whole.
    var inner: JSONOmissions?
  }

  private var members: [Member] = []

  /// Leaves out what these paths lead to; the names in a path are separated by dots.
  public init(arrayLiteral paths: String...) {
    for path in paths { insert(path.split(separator: ".")[...]) }
  }

  /// Leaves out the same below the member `name`.
  public func within(_ name: String) -> JSONOmissions {
    var outer = JSONOmissions()
    outer.members = [Member(name: Array(name.utf8), inner: self)]
    return outer
  }

  private mutating func insert(_ path: ArraySlice<Substring>) {
    guard let first = path.first else { return }
    let name = Array(first.utf8)
    let index = members.firstIndex { $0.name == name } ?? members.endIndex
    if index == members.endIndex {
      members.append(Member(name: name, inner: path.count == 1 ? nil : JSONOmissions()))
    }
    members[index].inner?.insert(path.dropFirst())
  }

  /// The text of an object without what is left out; nil where it has nothing of that, or is not what it should be.
  ///
  /// What is cut out is not looked at: whether it is JSON stays unknown.
  func cut(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
    var cutting = Cutting(text: text)
    guard cutting.takeObject(self), !cutting.kept.isEmpty else { return nil }
    return cutting.finish()
  }

  private func member(_ name: UnsafeBufferPointer<UInt8>) -> Member? {
    members.first { $0.name.count == name.count && $0.name.elementsEqual(name) }
  }

  /// One walk through a text.
  private struct Cutting {
    let text: UnsafeBufferPointer<UInt8>
    var index = 0
    /// What is kept so far, up to `done`.
    var kept: [UInt8] = []
    var done = 0

    init(text: UnsafeBufferPointer<UInt8>) { self.text = text }

    mutating func finish() -> [UInt8] {
      kept += text[done...]
      return kept
    }

    private mutating func cut(from start: Int, to end: Int) {
      if kept.isEmpty { kept.reserveCapacity(text.count) }
      kept += text[done..<start]
      done = end
    }

    /// Goes through an object; returns whether it is one, as far as was looked.
    mutating func takeObject(_ omissions: JSONOmissions) -> Bool {
      guard take(0x7B) else { return false }
      if take(0x7D) { return true }
      /// The comma before the present member, where one before it is kept.
      var comma: Int?
      var hasKept = false
      while true {
        skipSpace()
        let start = index
        guard let name = takeString(), take(0x3A) else { return false }
        let member = omissions.member(name)
        skipSpace()
        if let member, member.inner == nil {
          guard skipValue() else { return false }
          let end = index
          let goesOn = take(0x2C)
          cut(from: hasKept ? comma ?? start : start, to: goesOn && !hasKept ? index : end)
          if goesOn {
            comma = hasKept ? index - 1 : nil
            continue
          }
          return take(0x7D)
        }
        hasKept = true
        if let inner = member?.inner, index < text.count, text[index] == 0x7B {
          guard takeObject(inner) else { return false }
        } else {
          guard skipValue() else { return false }
        }
        skipSpace()
        comma = index
        if take(0x2C) { continue }
        return take(0x7D)
      }
    }

    private mutating func skipSpace() {
      while index < text.count, text[index].isJSONSpace { index += 1 }
    }

    /// Takes a mark, and white space before it.
    private mutating func take(_ mark: UInt8) -> Bool {
      skipSpace()
      guard index < text.count, text[index] == mark else { return false }
      index += 1
      return true
    }

    /// Takes a string; what is between its quotation marks.
    private mutating func takeString() -> UnsafeBufferPointer<UInt8>? {
      guard take(0x22) else { return nil }
      let start = index
      while index < text.count {
        switch text[index] {
        case 0x22:
          index += 1
          return UnsafeBufferPointer(rebasing: text[start..<(index - 1)])
        case 0x5C: index += 2
        default: index += 1
        }
      }
      return nil
    }

    private mutating func skipValue() -> Bool {
      guard index < text.count else { return false }
      switch text[index] {
      case 0x22: return takeString() != nil
      case 0x7B, 0x5B:
        var nesting = JSONNesting()
        guard let end = nesting.end(in: text, from: index) else { return false }
        index = end
        return true
      default:
        let start = index
        while index < text.count, text[index] != 0x2C, text[index] != 0x7D, !text[index].isJSONSpace {
          index += 1
        }
        return index > start
      }
    }
  }
}
