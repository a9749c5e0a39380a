import Testing

@testable import Kubernetes

@Suite struct JSONOmissionsTests {
  private func cut(_ text: String, _ omissions: JSONOmissions) -> String? {
    Array(text.utf8).withUnsafeBufferPointer { omissions.cut($0) }.map { String(decoding: $0, as: UTF8.self) }
  }

  @Test(arguments: [
    (#"{"x":1,"a":2,"b":3}"#, #"{"a":2,"b":3}"#), (#"{"a":2,"x":1,"b":3}"#, #"{"a":2,"b":3}"#),
    (#"{"a":2,"b":3,"x":1}"#, #"{"a":2,"b":3}"#), (#"{"x":1}"#, "{}"), (#"{"x":1,"y":2}"#, "{}"),
    (#"{"x":1,"y":2,"a":3,"x":4,"y":5}"#, #"{"a":3}"#),
    (#"{"x":1,"a":3,"y":[{"x":"}]"}],"b":{"x":1},"x":-1e5}"#, #"{"a":3,"b":{"x":1}}"#),
    ("{ \"a\" : 1 ,\n \"x\" : true ,\n \"b\" : 2 }", "{ \"a\" : 1  ,\n \"b\" : 2 }"),
    ("{ \"x\" : null , \"a\" : 1 , \"y\" : 2 }", "{  \"a\" : 1  }"),
  ])
  func leavesOutWhereverAMemberIs(text: String, left: String) {
    #expect(cut(text, ["x", "y"]) == left)
  }

  @Test func leavesOutDeepDown() {
    let text = #"{"m":{"managed":[1,2],"name":"a"},"s":{"d":{"c":{},"e":1,"f":"\"}"},"managed":1}}"#
    let left = #"{"m":{"name":"a"},"s":{"d":{"e":1},"managed":1}}"#
    #expect(cut(text, ["m.managed", "s.d.c", "s.d.f"]) == left)
  }

  @Test func leavesOutBelowAMember() {
    let omissions: JSONOmissions = ["m.x"]
    #expect(
      cut(#"{"type":"ADDED","object":{"m":{"x":1}}}"#, omissions.within("object"))
        == #"{"type":"ADDED","object":{"m":{}}}"#)
  }

  @Test func aPathThatLeadsThroughSomethingElseLeavesItThere() {
    #expect(cut(#"{"m":[{"x":1}],"n":"x","y":0}"#, ["m.x", "n.x", "y"]) == #"{"m":[{"x":1}],"n":"x"}"#)
  }

  @Test(arguments: [
    "", "{", "[]", "{}", #"{"a":1}"#, #"{"x":1"#, #"{"x":"#, #"{"x"#, #"{"x":1,"#, #"{"x":[1}"#, #"{"x":"\"#,
    #"{"x" 1}"#, #"{"a":,"x":1}"#, #"{"a":{"b":1,"x":1}"#,
  ])
  func touchesNothingWhereThereIsNothingToLeaveOutOrTheTextIsBroken(text: String) {
    #expect(cut(text, ["x"]) == nil)
  }
}
