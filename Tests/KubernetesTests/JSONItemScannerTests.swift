import Foundation
import Testing

@testable import Kubernetes

@Suite struct JSONItemScannerTests {
  struct Scanned: Equatable {
    var items: [String] = []
    var rest = ""
  }

  func scan(_ text: String, pieces: [Int] = [Int.max], scanner: JSONItemScanner = JSONItemScanner()) throws
    -> Scanned
  {
    var scanner = scanner
    var scanned = Scanned()
    var bytes = Array(text.utf8)[...]
    var sizes = pieces[...]
    while !bytes.isEmpty {
      let size = sizes.popFirst() ?? 1
      try scanner.scan(Array(bytes.prefix(size))) {
        scanned.items.append(String(decoding: $0, as: UTF8.self))
      }
      bytes = bytes.dropFirst(size)
    }
    scanned.rest = String(decoding: try scanner.finish(), as: UTF8.self)
    return scanned
  }

  static let items = [
    #"{}"#, #"{"a":1}"#, #"{"items":[{"items":[]}],"b":"]}"}"#, #"{"s":"\"\\\\\"{[\\"}"#,
    "{ \"emoji\" : \"🐄 ünï\\ud83d\\udc04\" ,\n\t\"n\": [ [ ] , { } , -1.5e3 , null ] }",
    #"{"k\"{":{"}":["]"]}}"#,
  ]

  static let bodies = [
    #"{"kind":"L","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[ITEMS]}"#,
    #"{"items":[ITEMS],"metadata":{"continue":"c","a":["]"]},"kind":"L"}"#,
    " {\n  \"a\" : true ,\n  \"items\" : [ ITEMS ] ,\n  \"s\" : \"\\\\\" , \"metadata\" : { \"x\" : \"}\\\"\" }\n}\n ",
  ]

  @Test(arguments: bodies) func eachItemAndTheRestAreFound(body: String) throws {
    let text = body.replacingOccurrences(of: "ITEMS", with: Self.items.joined(separator: " ,\n "))
    let scanned = try scan(text)
    #expect(scanned.items == Self.items)
    let rest = try JSONSerialization.jsonObject(with: Data(scanned.rest.utf8)) as? [String: Any]
    #expect((rest?["items"] as? [Any])?.isEmpty == true)
    #expect(rest?["metadata"] != nil)
  }

  @Test(arguments: bodies) func itMakesNoDifferenceWhereTheBodyIsCut(body: String) throws {
    let text = body.replacingOccurrences(of: "ITEMS", with: Self.items.joined(separator: ","))
    let whole = try scan(text)
    #expect(try scan(text, pieces: []) == whole)
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<300 {
      let pieces = (0..<text.utf8.count).map { _ in Int.random(in: 1...40, using: &generator) }
      #expect(try scan(text, pieces: pieces) == whole, "pieces of \(pieces)")
    }
  }

  @Test func aListMayBeEmptyOrNullOrMissing() throws {
    #expect(try scan(#"{"items":[],"metadata":{}}"#).items.isEmpty)
    #expect(try scan(#"{"items": [ ] }"#).rest == #"{"items": [ ] }"#)
    #expect(try scan(#"{"metadata":{},"items":null}"#).items.isEmpty)
    #expect(try scan("{}").rest == "{}")
  }

  @Test(arguments: [
    ("", 0), ("[]", 0), (#"{"items":[1]}"#, 10), (#"{"items":{}}"#, 9), (#"{"items":"x"}"#, 9),
    (#"{"items":[{} {}]}"#, 13), (#"{"items":[{},]}"#, 13), (#"{"items":[,{}]}"#, 10),
    (#"{"items":[]"a":1}"#, 11), (#"{"a" 1}"#, 5), (#"{"a":1,}"#, 7), (#"{"a":x}"#, 5), (#"{}{"#, 2),
    (#"{"items":[{}]"#, 13), (#"{"items":[{"a":"}]}"#, 19), (#"{"a":{"b":1}"#, 12),
  ])
  func malformedJSONIsAnErrorWithItsPlace(text: String, offset: Int) throws {
    for pieces in [[Int.max], []] {
      let error = #expect(throws: JSONScanError.self) { _ = try scan(text, pieces: pieces) }
      #expect(error?.offset == offset, "\(text): \(error?.description ?? "")")
    }
  }

  @Test func anItemThatIsTooLargeIsNamed() {
    let large =
      #"{"labels":{"name":"no"},"metadata":{"x":{"name":"no"},"name":"huge"},"spec":""#
      + String(repeating: "x", count: 200)
    let text = #"{"items":[{},"# + large + #""}]}"#
    for pieces in [[Int.max], []] {
      let error = #expect(throws: JSONScanError.self) {
        _ = try scan(text, pieces: pieces, scanner: JSONItemScanner(largestItem: 150))
      }
      #expect(error?.description.contains("item 2 ('huge') has more than 150 bytes") == true)
    }
  }

  @Test func aRestWithoutEndIsAnError() {
    let text = #"{"a":""# + String(repeating: "x", count: 200)
    let error = #expect(throws: JSONScanError.self) {
      _ = try scan(text, scanner: JSONItemScanner(largestRest: 100))
    }
    #expect(error?.description.contains("more than 100 bytes") == true)
  }
}

@Suite struct JSONLineScannerTests {
  func lines(_ text: String, pieces: Int, longest: Int = 1000) throws -> [String] {
    var scanner = JSONLineScanner(longestLine: longest)
    var lines: [String] = []
    let bytes = Array(text.utf8)
    for start in stride(from: 0, to: bytes.count, by: pieces) {
      try scanner.scan(Array(bytes[start..<min(bytes.count, start + pieces)])) {
        lines.append(String(decoding: $0, as: UTF8.self))
      }
    }
    scanner.finish { lines.append(String(decoding: $0, as: UTF8.self)) }
    return lines
  }

  @Test(arguments: [1, 2, 3, 5, 7, 1000]) func eachLineIsAnEventWhereverItIsCut(pieces: Int) throws {
    let text = "{\"a\":\"\\n\"}\n\n{\"b\":2}\r\n  \n{\"c\":\"ü\"}"
    #expect(try lines(text, pieces: pieces) == [#"{"a":"\n"}"#, "{\"b\":2}\r", #"{"c":"ü"}"#])
  }

  @Test(arguments: [1, 1000]) func aLineThatIsTooLongIsAnError(pieces: Int) {
    let text = event("ADDED", thing("long", version: 1, size: String(repeating: "1", count: 400)))
    let error = #expect(throws: JSONScanError.self) { _ = try lines(text, pieces: pieces, longest: 300) }
    #expect(error?.problem.contains("more than 300 bytes") == true)
    if pieces == 1 { #expect(error?.problem.contains("'long'") == true) }
  }
}

@Suite struct JSONNameTests {
  @Test(arguments: [
    (#"{"metadata":{"labels":{"name":"no"},"name":"yes"},"name":"no"}"#, "yes"),
    (#"{"name":"no","metadata" : { "name" : "yes" "#, "yes"),
    (#"{"type":"ADDED","object":{"metadata":{"name":"yes"#, nil),
    (#"{"type":"ADDED","object":{"metadata":{"name":"yes""#, "yes"),
    (#"{"spec":{"template":{"metadata":{"name":"no"}}}}"#, nil), (#"{"metadata":{"name":7}}"#, nil),
    ("", nil),
    (#"{"metadata":{},"spec":{"name":"no"}}"#, nil),
  ])
  func theNameIsFoundInWhatCannotBeDecoded(text: String, name: String?) {
    let bytes = Array(text.utf8)
    #expect(bytes.withUnsafeBufferPointer { JSONName.find(in: $0) } == name)
  }
}
