import Foundation
import Kubernetes
import Testing

@testable import KubeVirtBackend

@Suite("What the API server says of tokens")
struct TokenReviewTests {
  private func review(_ status: String) throws -> TokenReview {
    try JSONDecoder().decode(TokenReview.self, from: Data(#"{"status": \#(status)}"#.utf8))
  }

  @Test("somebody is known only where it says so, and for whom the token was made")
  func users() throws {
    let known = #""authenticated": true, "user": {"username": "bot", "groups": ["g"]}"#
    #expect(try review("{\(known)}").user(audience: "")?.username == "bot")
    #expect(try review(#"{\#(known), "audiences": ["drover"]}"#).user(audience: "drover") != nil)
    #expect(try review("{\(known)}").user(audience: "drover") == nil)
    #expect(try review(#"{\#(known), "audiences": ["other"]}"#).user(audience: "drover") == nil)
    for status in [
      "{}", #"{"authenticated": true}"#, #"{"authenticated": true, "user": {"username": ""}}"#,
      #"{"authenticated": false, "user": {"username": "bot"}}"#, #"{"error": "expired"}"#,
      #"{"user": {}, "error": "invalid bearer token"}"#, #"{"authenticated": true, "user": {}}"#,
    ] { #expect(try review(status).user(audience: "") == nil, "\(status)") }
  }

  @Test("a verb is granted only where it is allowed and not denied")
  func verbs() throws {
    func isAllowed(_ status: String) throws -> Bool {
      try JSONDecoder().decode(SubjectAccessReview.self, from: Data(#"{"status": \#(status)}"#.utf8))
        .isAllowed
    }
    #expect(try isAllowed(#"{"allowed": true}"#))
    #expect(try !isAllowed(#"{"allowed": false, "evaluationError": "x"}"#))
    #expect(try !isAllowed(#"{"allowed": true, "denied": true}"#))
  }

  @Test("the whole user is asked about, so that rights of groups count")
  func question() throws {
    let user = TokenReview.User(username: "bot", uid: "u", groups: ["g"], extra: ["k": ["v"]])
    #expect(
      SubjectAccessReview.question("abort", of: user) == [
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": [
          "user": "bot", "uid": "u", "groups": ["g"], "extra": ["k": ["v"]],
          "resourceAttributes": ["group": "drover.io", "resource": "migrations", "verb": "abort"],
        ],
      ])
  }
}
