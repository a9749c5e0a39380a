import Testing

@testable import Kubernetes

@Suite struct KnownObjectsTests {
  func key(_ name: String, _ uid: String? = nil, namespace: String = "ns") -> ObjectKey {
    ObjectKey(uid: uid ?? name, namespace: namespace, name: name)
  }

  @Test func whatAListDoesNotHoldIsGoneOnce() {
    var known = KnownObjects()
    known.begin()
    for name in ["a", "b", "c"] { known.see(key(name)) }
    #expect(known.takeUnseen().isEmpty)
    known.remove(key("c"))
    known.see(key("d"))
    known.begin()
    known.see(key("b"))
    #expect(Set(known.takeUnseen()) == [key("a"), key("d")])
    #expect(known.takeUnseen().isEmpty)
    #expect(known.count == 1)
  }

  @Test func anObjectOfTheSameNameIsAnother() {
    var known = KnownObjects()
    known.begin()
    known.see(key("a", "one"))
    known.begin()
    known.see(key("a", "two"))
    #expect(known.takeUnseen() == [key("a", "one")])
  }

  @Test func anObjectWithoutNamespaceKeepsItsName() {
    var known = KnownObjects()
    known.begin()
    known.see(key("node", "u", namespace: ""))
    known.begin()
    #expect(known.takeUnseen() == [key("node", "u", namespace: "")])
  }

  @Test(arguments: [
    "2dea556d-2650-457b-8bbb-6bd4d5a88c93", "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff", "2DEA556D-2650-457b-8bbb-6bd4d5a88c93", "short", "",
    "2dea556d+2650-457b-8bbb-6bd4d5a88c93", "2dea556d-2650-457b-8bbb-6bd4d5a88c9g",
  ])
  func aUidComesBackAsItWas(text: String) {
    #expect(ObjectUID(text).text == text)
    #expect(ObjectUID(text) == ObjectUID(text))
  }

  @Test func aUidTakesTwoNumbersAndNoText() {
    guard case .uuid(let high, let low) = ObjectUID("2dea556d-2650-457b-8bbb-6bd4d5a88c93") else {
      Issue.record("kept as text")
      return
    }
    #expect((high, low) == (0x2dea_556d_2650_457b, 0x8bbb_6bd4_d5a8_8c93))
  }
}
