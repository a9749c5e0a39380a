import Testing

@testable import Kubernetes

@Suite struct ObjectMetaTests {
  @Test func anObjectKeepsItsNameWhenItsLabelsAreMalformed() throws {
    let text = #"{"name": "a", "uid": "u", "labels": 7}"#
    let meta = try decoded(text, as: ObjectMeta.self)
    #expect(meta.name == "a")
    #expect(meta.labels.isEmpty)
  }
}
