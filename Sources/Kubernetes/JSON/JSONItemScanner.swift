/// Takes the body of a list apart while it arrives: each element of the top-level `items`, and the rest without them.
///
/// Keys may come in any order and with any white space. No more than one element is ever held.
public struct JSONItemScanner: Sendable {
  private enum Place {
    case start, firstKey, key, colon, value, string, nested, scalar, afterValue, nextKey, end
    case firstItem, item, afterItem, nextItem
  }

  /// The longest element accepted, in bytes.
  public let largestItem: Int
  /// The longest rest accepted, in bytes.
  public let largestRest: Int
  /// How many elements have begun so far.
  public private(set) var count = 0

  private var place = Place.start
  private var nesting = JSONNesting()
  private var isEscaped = false
  private var key: [UInt8] = []
  private var pending: [UInt8] = []
  private var rest: [UInt8] = []
  /// Bytes of all chunks before the present one.
  private var offset = 0

  /// Starts before the first byte of a body.
  public init(largestItem: Int = 8 << 20, largestRest: Int = 1 << 20) {
    self.largestItem = largestItem
    self.largestRest = largestRest
  }

  /// Reads on, and lends each element that ends in this chunk; the lent bytes are valid during the call only.
  ///
  /// After an error the scanner is of no more use.
  public mutating func scan(_ chunk: [UInt8], item: (UnsafeBufferPointer<UInt8>) -> Void)
    throws(JSONScanError)
  {
    try chunk.withUnsafeBufferPointer { bytes throws(JSONScanError) in try scan(bytes, item) }
    offset += chunk.count
  }

  /// Ends the body.
  ///
  /// - Returns: The body without the elements, as JSON; `items` is empty in it, or missing, or null.
  public func finish() throws(JSONScanError) -> [UInt8] {
    switch place {
    case .end: return rest
    case .start: throw JSONScanError("the body is empty", at: offset)
    case .item: throw JSONScanError("the body ends inside \(name(of: pending[...]))", at: offset)
    default: throw JSONScanError("the body ends too early", at: offset)
    }
  }

  private mutating func scan(
    _ bytes: UnsafeBufferPointer<UInt8>, _ item: (UnsafeBufferPointer<UInt8>) -> Void
  ) throws(JSONScanError) {
    var index = 0
    while index < bytes.count {
      if place == .item {
        index = try takeItem(bytes, from: index, item)
        continue
      }
      let start = index
      index = try takeOther(bytes, at: index)
      // What stands between elements belongs to neither.
      guard place != .afterItem, place != .nextItem, place != .item else { continue }
      try keep(UnsafeBufferPointer(rebasing: bytes[start..<index]))
    }
  }

  /// Takes what there is of an element.
  private mutating func takeItem(
    _ bytes: UnsafeBufferPointer<UInt8>, from start: Int, _ item: (UnsafeBufferPointer<UInt8>) -> Void
  ) throws(JSONScanError) -> Int {
    let end = nesting.end(in: bytes, from: start)
    let part = UnsafeBufferPointer(rebasing: bytes[start..<(end ?? bytes.count)])
    guard part.count <= largestItem - pending.count else {
      let known = pending + part.prefix(largestItem - pending.count)
      throw JSONScanError("\(name(of: known[...])) has more than \(largestItem) bytes", at: offset + start)
    }
    guard let end else {
      pending += part
      return bytes.count
    }
    if pending.isEmpty {
      item(part)
    } else {
      pending += part
      pending.withUnsafeBufferPointer(item)
      pending.removeAll(keepingCapacity: pending.capacity <= 1 << 20)
    }
    place = .afterItem
    return end
  }

  /// Takes one byte, or as much of a nested value as there is.
  private mutating func takeOther(_ bytes: UnsafeBufferPointer<UInt8>, at index: Int) throws(JSONScanError)
    -> Int
  {
    let byte = bytes[index]
    switch place {
    case .key: takeKey(byte)
    case .string: takeString(byte)
    case .nested:
      let end = nesting.end(in: bytes, from: index)
      if end != nil { place = .afterValue }
      return end ?? bytes.count
    case .scalar where byte == 0x2C || byte == 0x7D || byte.isJSONSpace:
      try takeMark(byte, at: index, .afterValue)
    case .scalar: break
    default: return try takeMark(byte, at: index, place) ? index : index + 1
    }
    return index + 1
  }

  private mutating func takeKey(_ byte: UInt8) {
    if byte == 0x22, !isEscaped {
      place = .colon
    } else {
      isEscaped = byte == 0x5C && !isEscaped
      if key.count < 8 { key.append(byte) }
    }
  }

  private mutating func takeString(_ byte: UInt8) {
    if byte == 0x22, !isEscaped { place = .afterValue }
    isEscaped = byte == 0x5C && !isEscaped
  }

  /// Takes a byte between values.
  ///
  /// - Returns: Whether the byte begins what is read as a whole, and is still to be taken.
  @discardableResult
  private mutating func takeMark(_ byte: UInt8, at index: Int, _ here: Place) throws(JSONScanError) -> Bool {
    place = here
    if byte.isJSONSpace { return false }
    switch (here, byte) {
    case (.start, 0x7B): place = .firstKey
    case (.firstKey, 0x7D), (.afterValue, 0x7D): place = .end
    case (.firstKey, 0x22), (.nextKey, 0x22):
      key.removeAll(keepingCapacity: true)
      isEscaped = false
      place = .key
    case (.colon, 0x3A): place = .value
    case (.value, _): return try beginValue(byte, at: index)
    case (.afterValue, 0x2C): place = .nextKey
    case (.firstItem, 0x7B), (.nextItem, 0x7B):
      place = .item
      count += 1
      return true
    case (.firstItem, 0x5D), (.afterItem, 0x5D):
      place = .afterValue
    case (.afterItem, 0x2C): place = .nextItem
    default: throw JSONScanError("unexpected \(byte.shown) \(Self.words(here))", at: offset + index)
    }
    return false
  }

  private mutating func beginValue(_ byte: UInt8, at index: Int) throws(JSONScanError) -> Bool {
    let isItems = key.elementsEqual("items".utf8)
    switch byte {
    case 0x5B where isItems: place = .firstItem
    case 0x7B where !isItems, 0x5B:
      place = .nested
      return true
    case 0x22 where !isItems:
      isEscaped = false
      place = .string
    // null is what some servers write for no elements.
    case 0x6E: place = .scalar
    case 0x74, 0x66, 0x2D,
      0x30...0x39 where !isItems:
      place = .scalar
    default:
      throw JSONScanError(
        "unexpected \(byte.shown) \(isItems ? "where the items begin" : "where a value begins")",
        at: offset + index)
    }
    return false
  }

  private mutating func keep(_ bytes: UnsafeBufferPointer<UInt8>) throws(JSONScanError) {
    guard bytes.count <= largestRest - rest.count else {
      throw JSONScanError("what stands beside the items has more than \(largestRest) bytes", at: offset)
    }
    rest += bytes
  }

  private func name(of item: ArraySlice<UInt8>) -> String {
    let name = item.withUnsafeBufferPointer { JSONName.find(in: $0) }
    return "item \(count)" + (name.map { " ('\($0)')" } ?? "")
  }

  private static func words(_ place: Place) -> String {
    switch place {
    case .start: "where the list begins"
    case .firstKey, .nextKey: "where a key begins"
    case .colon: "after a key"
    case .firstItem, .nextItem: "where an item begins"
    case .afterItem: "after an item"
    case .end: "after the list"
    default: "after a value"
    }
  }
}
