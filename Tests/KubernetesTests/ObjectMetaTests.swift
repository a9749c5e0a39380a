import Foundation
import Kubernetes
import Testing

@Suite struct ObjectMetaTests {
  @Test func anObjectKeepsItsNameWhenItsLabelsAreMalformed() throws {
    let text = #"{"name": "a", "uid": "u", "labels": 7}"#
    let meta = try JSONDecoder().decode(ObjectMeta.self, from: Data(text.utf8))
    #expect(meta.name == "a")
    #expect(meta.labels.isEmpty)
  }
}
