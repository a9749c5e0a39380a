import MicroHTTP
import Testing

@testable import DroverService

@Suite("Who has which rights")
struct AccessRulesTests {
  private let all = Set(Right.allCases)

  private func certificate(
    _ name: String?, _ names: [String] = [], isVerified: Bool = true
  ) throws -> Credential {
    try #require(
      Credential(
        PeerCertificate(
          subject: "CN=\(name ?? ""),O=x", commonName: name, names: names, isVerified: isVerified)))
  }

  @Test("on the socket root and drover's own user have all, and another only what is granted")
  func uids() {
    let rules = AccessRules(rules: [AccessRule(.uid(7), [.abort])], ownUID: 1000)
    #expect(rules.rights(of: .uid(0)) == all)
    #expect(rules.rights(of: .uid(1000)) == all)
    #expect(rules.rights(of: .uid(7)) == [.abort])
    #expect(rules.rights(of: .uid(8)) == [])
  }

  @Test("a subject is meant by its own kind and name alone")
  func kinds() throws {
    let rules = AccessRules(
      rules: [
        AccessRule(.tokenFile("/a"), [.alerts]), AccessRule(.user("alice"), [.drain]),
        AccessRule(.certificate("bob"), [.migrate]),
      ], ownUID: 1)
    #expect(rules.rights(of: .token(file: "/a")) == [.alerts])
    #expect(rules.rights(of: .token(file: "/b")) == [])
    #expect(rules.rights(of: .user("alice")) == [.drain])
    #expect(rules.rights(of: .user("bob")) == [])
    #expect(rules.rights(of: .user("/a")) == [])
    #expect(rules.rights(of: try certificate("bob")) == [.migrate])
    #expect(rules.rights(of: try certificate("alice")) == [])
    #expect(rules.rights(of: try certificate("x", ["bob"])) == [.migrate])
    #expect(rules.rights(of: try certificate(nil, ["bob.test"])) == [])
  }

  @Test("a certificate that nobody verified is no credential")
  func unverified() {
    #expect(
      Credential(PeerCertificate(subject: "CN=bob", commonName: "bob", names: [], isVerified: false)) == nil)
  }

  @Test("rights of several credentials add up, and who bore them is named")
  func several() {
    let rules = AccessRules(
      rules: [
        AccessRule(.uid(7), [.abort]), AccessRule(.tokenFile("/x/a.token"), [.drain]),
        AccessRule(.tokenFile("/x/b.token"), [.abort, .drain]),
      ], ownUID: 1)
    let shown: [Credential] = [.uid(7), .token(file: "/x/a.token")]
    #expect(rules.rights(of: shown) == [.abort, .drain])
    #expect(
      Requester(rules.bearers(of: [.abort, .drain], among: shown)).description
        == "uid 7 on the control socket and token a.token")
    #expect(
      Requester(rules.bearers(of: [.drain, .abort], among: shown + [.token(file: "/x/b.token")])).description
        == "token b.token")
    #expect(Requester([.user("a\u{1B}b")]).description == "user a\u{FFFD}b")
    #expect(Requester([.certificate(subject: "CN=bob", names: ["bob"])]).description == "certificate CN=bob")
  }
}
