import Exposition
import Foundation
import Logging
import MicroHTTP
import Testing

@testable import DroverService

@Suite("The OpenAPI document")
struct OpenAPITests {
  private struct Sample: Codable {
    struct Part: Codable { var name: String }
    var text: String
    var number: Double?
    var count: UInt64
    var isSo: Bool?
    var at: Timestamp
    var maybeAt: Timestamp?
    var parts: [Part]
    var part: Part?
    @OrNull var none: String?
    @LeftOutIfEmpty var words: [String]
  }

  @Test("says of a type what its members are, and which must be there")
  func schema() {
    let part = Schema.object(["name": .init(schema: .text, isRequired: true)])
    #expect(
      Schema.of(Sample.self)
        == .object([
          "text": .init(schema: .text, isRequired: true), "number": .init(schema: .number, isRequired: false),
          "count": .init(schema: .integer, isRequired: true),
          "isSo": .init(schema: .boolean, isRequired: false), "at": .init(schema: .time, isRequired: true),
          "maybeAt": .init(schema: .time, isRequired: false),
          "parts": .init(schema: .array(part), isRequired: true),
          "part": .init(schema: part, isRequired: false),
          "none": .init(schema: .orNull(.text), isRequired: true),
          "words": .init(schema: .array(.text), isRequired: false),
        ]))
  }

  @Test("leaves no type of an answer unsaid")
  func complete() {
    func isSaid(_ schema: Schema) -> Bool {
      switch schema {
      case .anything: false
      case .array(let element), .orNull(let element): isSaid(element)
      case .object(let members, _): members.values.allSatisfy { isSaid($0.schema) }
      default: true
      }
    }
    for operation in OpenAPIDocument.operations {
      for answer in operation.answers { #expect(isSaid(answer.schema), "\(answer.name)") }
      if let body = operation.body { #expect(isSaid(body.schema), "\(operation.id)") }
    }
  }

  @Test("tells every acting route that answers with what it takes")
  func acting() {
    let routes = OpenAPIDocument.operations.compactMap(\.acting)
    #expect(Set(routes).isSubset(of: ActingRoute.all))
    #expect(Set(OpenAPIDocument.operations.map(\.id)).count == OpenAPIDocument.operations.count)
  }
}

@Suite("The OpenAPI document and the router")
struct DocumentedRoutesTests {
  private func router() throws -> Router {
    let directory = NSTemporaryDirectory() + "drover-\(UUID().uuidString.prefix(8))"
    defer { try? FileManager.default.removeItem(atPath: directory) }
    var options = ServiceOptions(build: BuildInfo(version: "1"))
    options.listeners = [Listener(.unix(path: "\(directory)/s"), createsDirectory: true)]
    return try Service(options, configuration: Configuration(), log: Logger(label: "test")).router
  }

  @Test("know the same routes: one that is added is declared beside it, with what it takes and answers")
  func agree() throws {
    let answered = Set(
      try router().routes.map { "\($0.method) \($0.pattern)" }.filter { $0.contains("/api/v1/") })
    let documented = Set(OpenAPIDocument.operations.map { "\($0.method) \($0.pattern)" })
    #expect(answered.subtracting(documented) == [], "in the router and not in the document")
    #expect(documented.subtracting(answered) == [], "in the document and not in the router")
  }

  @Test("know the same queries: another one is refused, and told with those that are known")
  func queries() async throws {
    var router = try router()
    router.gate = nil
    for operation in OpenAPIDocument.operations {
      let path = operation.pattern.replacing(/\{[a-z]+\}/, with: "x")
      let answer = await router.respond(to: Request(operation.method, "\(path)?namspace=x"))
      #expect(answer.status == 400, "\(operation.id)")
      guard case .bytes(let bytes) = answer.body else {
        Issue.record("\(operation.id)")
        continue
      }
      let known = operation.query.map(\.name).sorted()
      let told = String(decoding: bytes, as: UTF8.self)
      let listed = try #require(told.firstMatch(of: /allowed behind the \?: ([^"]*)"/), "\(told)").1
      #expect(listed.split(separator: ", ").sorted() == (known.isEmpty ? ["nothing"] : known.map { $0[...] }))
    }
  }
}

@Suite("Routes that are known")
struct KnownRoutesTests {
  @Test("are named by a router as they were given to it")
  func names() {
    var router = Router()
    router.on(.get, "/a/{x}/b/{y}", .immediate { _ in .text("") })
    router.on(.delete, "/a/{z}/b/{y}", .immediate { _ in .text("") })
    router.on(.get, "/", .immediate { _ in .text("") })
    #expect(
      router.routes.map { "\($0.method) \($0.pattern)" } == [
        "GET /", "GET /a/{x}/b/{y}", "DELETE /a/{z}/b/{y}",
      ])
  }
}
