import CurlClient
import Foundation
import Testing

@testable import Kubernetes

@Suite struct ResourceTests {
  let vm = Resource(group: "kubevirt.io", plural: "virtualmachines")

  @Test func pathsFollowTheScopeAndTheName() {
    #expect(vm.all.path == "/apis/kubevirt.io/v1/virtualmachines")
    #expect(vm.within("a").path == "/apis/kubevirt.io/v1/namespaces/a/virtualmachines")
    #expect(vm.within(nil) == vm.all)
    #expect(vm.within("") == vm.all)
    #expect(vm.named("b", in: "a").path == "/apis/kubevirt.io/v1/namespaces/a/virtualmachines/b")
    #expect(vm.named("b", in: "a").subresource("evacuate/cancel").path.hasSuffix("/b/evacuate/cancel"))
    #expect(Resource.nodes.named("n", in: "a").path == "/api/v1/nodes/n")
  }

  @Test func whatWouldChangeThePathIsEncoded() {
    #expect(
      vm.named("../x?y#z", in: "a/b").path
        == "/apis/kubevirt.io/v1/namespaces/a%2Fb/virtualmachines/..%2Fx%3Fy%23z")
    #expect(
      ResourcePath.podProxy("p", in: "n", scheme: "https", port: 8443, path: "/metrics").path
        == "/api/v1/namespaces/n/pods/https%3Ap%3A8443/proxy/metrics")
  }

  @Test func theWordsNameTheRight() {
    #expect(vm.named("b", in: "a").subresource("migrate").right == "virtualmachines/migrate")
    #expect(ResourcePath.podProxy("p", in: "n", scheme: "http", port: 1, path: "x").right == "pods/proxy")
    #expect(vm.all.description == "virtualmachines.kubevirt.io in all namespaces")
    #expect(Resource.nodes.named("n").description == "nodes 'n'")
  }

  @Test func aPatchIsWrittenInItsForm() throws {
    let patch = Patch.json([
      .test(Patch.pointer(["metadata", "labels", "a/b~c"]), "x"), .add("/p", 1), .replace("/q", true),
      .remove("/r"),
    ])
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    #expect(
      String(decoding: try encoder.encode(patch.body), as: UTF8.self)
        == #"[{"op":"test","path":"/metadata/labels/a~1b~0c","value":"x"},{"op":"add","path":"/p","value":1},"#
        + #"{"op":"replace","path":"/q","value":true},{"op":"remove","path":"/r"}]"#)
    #expect(patch.contentType == "application/json-patch+json")
    let merge = Patch.merge(["spec": ["a": nil, "b": [1.5]]])
    #expect(
      String(decoding: try encoder.encode(merge.body), as: UTF8.self) == #"{"spec":{"a":null,"b":[1.5]}}"#)
    #expect(merge.contentType == "application/merge-patch+json")
  }

  @Test func anyJSONComesBackAsItWas() throws {
    let value: JSONValue = ["a": nil, "b": true, "c": -3, "d": 1.5, "e": "x", "f": [1, [], ["g": false]]]
    #expect(try JSONDecoder().decode(JSONValue.self, from: JSONEncoder().encode(value)) == value)
  }
}

@Suite struct HTTPDateTests {
  @Test(arguments: [
    ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
    ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199), ("Fri, 01 Mar 2024 00:00:00 GMT", 1_709_251_200),
    ("Wed, 31 Dec 2025 12:00:00 GMT", 1_767_182_400),
  ])
  func aDateIsRead(text: String, seconds: Double) {
    #expect(HTTPDate.unixMilliseconds(text).map { Double($0) / 1000 } == seconds)
  }

  @Test(arguments: [
    "", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET",
    "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT",
  ])
  func whatIsNoDateIsNone(text: String) { #expect(HTTPDate.unixMilliseconds(text) == nil) }
}
