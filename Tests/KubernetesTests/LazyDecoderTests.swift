import Foundation
import Testing

@testable import Kubernetes

/// Decodes as an object of the API is decoded.
func decoded<Value: Decodable>(_ text: String, as type: Value.Type = Value.self) throws -> Value {
  try Array(text.utf8).withUnsafeBufferPointer { try LazyDecoder.decode(type, from: $0) }
}

@Suite struct LazyDecoderTests {
  @Test(arguments: [
    #"{"a": [1, -2.5, 1e3, true, false, null, "x"], "b": {"c": {}, "d": []}}"#, "\n { } \t", "[]",
    "[[ ], [ {} ]]",
    #"{"a\"b": "\u00e9\ud83d\ude00\n\\", "": "", "é": "é"}"#, #""text""#, "7", "null", "true",
    #"{"s": "}]{[,:\\\"", "t": ["]", "}"]}"#,
    "{" + (0..<100).map { #""k\#($0)": \#($0)"# }.joined(separator: ",") + "}",
  ])
  func readsWhatFoundationReads(text: String) throws {
    let same = try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8))
    #expect(try decoded(text, as: JSONValue.self) == same)
  }

  @Test(arguments: [
    "", " ", "{", "}", "[", "{]", "[}", #"{"a"}"#, #"{"a":}"#, #"{"a" 1}"#, #"{"a":1,}"#, "[1,]",
    #"{"a":1 "b":2}"#,
    #"{a:1}"#, #"{"a":1}}"#, #"{"a":1} x"#, #""open"#, #""\"#, #""\x""#, "nul", "+1", "01", "01x", "--1", "-",
    "1.", ".5", "1E", "1e+", "-a", #""a""b""#, "1.2.3",
    "NaN",
    "inf", "0x10", "1e999", #"{"a":[1}"#,
  ])
  func refusesWhatIsNoJSON(text: String) {
    #expect(throws: DecodingError.self) { try decoded(text, as: JSONValue.self) }
  }

  @Test func whatIsTooDeepIsRefused() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    _ = try decoded(nested(201), as: JSONValue.self)
    for depth in [202, 100_000] {
      #expect(throws: DecodingError.self) { try decoded(nested(depth), as: JSONValue.self) }
    }
    let object = String(repeating: #"{"a":"#, count: 1000) + "1" + String(repeating: "}", count: 1000)
    #expect(throws: DecodingError.self) { try decoded(object, as: JSONValue.self) }
  }

  @Test func aTextThatIsNotUTF8IsNoText() {
    let bytes: [UInt8] = [0x22, 0xC3, 0x28, 0x22]
    #expect(throws: DecodingError.self) {
      try bytes.withUnsafeBufferPointer { try LazyDecoder.decode(String.self, from: $0) }
    }
  }

  @Test func wholeNumbersAreWhole() throws {
    #expect(try decoded("18446744073709551615", as: UInt64.self) == .max)
    #expect(try decoded("-9223372036854775808", as: Int64.self) == .min)
    #expect(try decoded("2.0", as: Int.self) == 2 && decoded("2e3", as: Int.self) == 2000)
    for text in ["2.5", "18446744073709551616", "-1", "\"1\"", "true"] {
      #expect(throws: DecodingError.self) { try decoded(text, as: UInt64.self) }
    }
    #expect(throws: DecodingError.self) { try decoded("256", as: UInt8.self) }
  }

  @Test func ofTwoMembersOfOneNameTheLastCounts() throws {
    #expect(try decoded(#"{"a": 1, "a": 2}"#, as: [String: Int].self) == ["a": 2])
    #expect(try decoded(#"{"a": "x", "\u0061": "y"}"#, as: Fields.self).text == "y")
  }

  @Test func theEndOfAStringIsFoundWhereverItIs() throws {
    for before in 0..<18 {
      for near in ["!", "#", "[", "]", "\u{A2}", "\u{DC}", ""] {
        let text = String(repeating: "x", count: before) + near
        #expect(try decoded(#"{"a": "\#(text)", "b": "}"}"#, as: Fields.self).text == text)
        #expect(try decoded(#"{"a": "\#(text)\"", "b": "}"}"#, as: Fields.self).text == text + "\"")
      }
    }
  }

  @Test func whatNobodyAsksForIsNotLookedAt() throws {
    #expect(try decoded(#"{"other": {nothing [] of "JSON"}, "a": "x"}"#, as: Fields.self).text == "x")
  }

  @Test func anErrorSaysWhere() {
    struct Outer: Decodable {
      struct Inner: Decodable { var name: String }
      var list: [Inner]
    }
    let problems = [
      #"{"list": [{"name": "a"}, {"name": 1}]}"#: "no String at .list[1].name",
      #"{"list": [{}]}"#: "no name at .list[0]",
      #"{"list": [{"name": null}]}"#: "null in place of String at .list[0].name",
      #"{"list": {}}"#: "no JSON array at .list",
    ]
    for (text, problem) in problems {
      do {
        _ = try decoded(text, as: Outer.self)
        Issue.record("\(text) was read")
      } catch { #expect(decodingProblem(error) == problem) }
    }
  }

  /// What ``JSONFields`` tells of the members `a`.
  private struct Fields: Decodable {
    let text: String?
    let textOrNumber: String?
    let flag: Bool?
    let count: UInt64?
    let texts: [String: String]?
    let length: Int?
    let objects: Int
    let isThere: Bool
    let isGiven: Bool

    init(from decoder: any Decoder) throws {
      let fields = try JSONFields(decoder)
      text = fields.text("a")
      textOrNumber = fields.textOrNumber("a")
      flag = fields.flag("a")
      count = fields.count("a")
      texts = fields.texts("a")
      length = fields.length("a")
      objects = fields.list("a").count
      isThere = fields.contains("a")
      isGiven = fields.isGiven("a")
    }
  }

  @Test func aFieldThatIsNotOfItsKindIsAbsent() throws {
    let nothing = try decoded(#"{"b": 1}"#, as: Fields.self)
    #expect(!nothing.isThere && !nothing.isGiven && nothing.text == nil && nothing.objects == 0)
    let null = try decoded(#"{"a": null}"#, as: Fields.self)
    #expect(
      null.isThere && !null.isGiven && null.textOrNumber == nil && null.flag == nil && null.length == nil)
    let number = try decoded(#"{"a": 1.50}"#, as: Fields.self)
    #expect(number.isGiven && number.text == nil && number.textOrNumber == "1.50" && number.count == nil)
    #expect(try decoded(#"{"a": 7}"#, as: Fields.self).count == 7)
    #expect(try decoded(#"{"a": true}"#, as: Fields.self).flag == true)
    #expect(try decoded(#"{"a": {"k": "v"}}"#, as: Fields.self).texts == ["k": "v"])
    #expect(try decoded(#"{"a": {"k": 1}}"#, as: Fields.self).texts == nil)
    let list = try decoded(#"{"a": [{}, 1, {"x": []}]}"#, as: Fields.self)
    #expect(list.length == 3 && list.objects == 2 && list.texts == nil)
  }

  @Test func fieldsNeedTheDecoderOfObjects() {
    #expect(throws: DecodingError.self) {
      try JSONDecoder().decode(ObjectMeta.self, from: Data(#"{"name": "a", "uid": "u"}"#.utf8))
    }
  }
}
