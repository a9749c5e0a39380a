/// Which objects were told, in little memory.
struct KnownObjects {
  private struct Entry {
    /// The namespace and the name, with a slash between them.
    var path: String
    /// The list in, or after, which it was seen last.
    var round: UInt32
  }

  private var entries: [ObjectUID: Entry] = [:]
  private var round: UInt32 = 0

  /// How many there are.
  var count: Int { entries.count }

  /// A list begins.
  mutating func begin() { round &+= 1 }

  /// The object is there.
  mutating func see(_ key: ObjectKey) {
    let uid = ObjectUID(key.uid)
    if let index = entries.index(forKey: uid) {
      entries.values[index].round = round
    } else {
      entries[uid] = Entry(path: "\(key.namespace)/\(key.name)", round: round)
    }
  }

  /// The object is gone.
  mutating func remove(_ key: ObjectKey) { entries[ObjectUID(key.uid)] = nil }

  /// The list is complete: forgets those that it did not hold, and names them.
  mutating func takeUnseen() -> [ObjectKey] {
    let unseen = entries.filter { $0.value.round != round }
    for uid in unseen.keys { entries[uid] = nil }
    return unseen.map { uid, entry in
      let parts = entry.path.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
      return ObjectKey(uid: uid.text, namespace: String(parts[0]), name: String(parts.last ?? ""))
    }
  }
}

/// A uid: as two numbers where it is written as a UUID in lower case, else as it is.
enum ObjectUID: Hashable {
  case uuid(UInt64, UInt64)
  case other(String)

  private static let hyphens = [8, 13, 18, 23]

  init(_ text: String) {
    self = Self.numbers(text).map { .uuid($0, $1) } ?? .other(text)
  }

  var text: String {
    switch self {
    case .other(let text): return text
    case .uuid(let high, let low):
      var text = ""
      for number in [high, low] {
        let digits = String(number, radix: 16)
        text += String(repeating: "0", count: 16 - digits.utf8.count) + digits
      }
      for position in Self.hyphens { text.insert("-", at: text.index(text.startIndex, offsetBy: position)) }
      return text
    }
  }

  private static func numbers(_ text: String) -> (UInt64, UInt64)? {
    guard text.utf8.count == 36 else { return nil }
    var numbers: (UInt64, UInt64) = (0, 0)
    for (position, byte) in text.utf8.enumerated() {
      if hyphens.contains(position) {
        guard byte == 0x2D else { return nil }
        continue
      }
      let digit: UInt8
      switch byte {
      case 0x30...0x39: digit = byte - 0x30
      case 0x61...0x66: digit = byte - 0x61 + 10
      default: return nil
      }
      if position < 18 {
        numbers.0 = numbers.0 << 4 | UInt64(digit)
      } else {
        numbers.1 = numbers.1 << 4 | UInt64(digit)
      }
    }
    return numbers
  }
}
