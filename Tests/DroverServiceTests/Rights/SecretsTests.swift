import Foundation
import MicroHTTP
import PeerTools
import Synchronization
import Testing

@testable import DroverService

@Suite("Tokens and passwords")
struct SecretsTests {
  private let scratch: Scratch
  init() throws { scratch = try Scratch() }

  private func follow(_ files: [String]) -> (TokenFiles, Lines) {
    let said = Lines()
    let tokens = TokenFiles { finding in
      switch finding {
      case .error(let words): said.add("error \(words)")
      case .warning(let words): said.add("warning \(words)")
      }
    }
    tokens.follow(files)
    return (tokens, said)
  }

  @Test("a token is told by its file, without the line end, and nothing is said of a good one")
  func token() throws {
    let (a, b) = (try scratch.write("a", "first\n"), try scratch.write("b", "second"))
    let (tokens, said) = follow([a, b])
    #expect(tokens.files(with: "first") == [a])
    #expect(tokens.files(with: "second") == [b])
    for wrong in ["", "firs", "first\n", "firstx", "FIRST"] { #expect(tokens.files(with: wrong) == []) }
    #expect(said.all == [])
  }

  @Test("a file is read again when it changes, also when it comes and goes")
  func change() throws {
    let file = try scratch.write("a", "first")
    let (tokens, said) = follow([file])
    try scratch.write("a", "other")
    #expect(tokens.files(with: "first") == [] && tokens.files(with: "other") == [file])
    try FileManager.default.removeItem(atPath: file)
    #expect(tokens.files(with: "other") == [])
    #expect(tokens.files(with: "other") == [])
    #expect(said.all.count == 1 && said.text.contains("error the token file \(file): cannot be read"))
    try scratch.write("a", "third")
    #expect(tokens.files(with: "third") == [file])
  }

  @Test(
    "a file that holds no token is worth nothing, and says which it is",
    arguments: [
      ("", "is empty"), (" \n", "is empty"), ("two words", "more than one word"), ("a\u{E9}", "ASCII"),
    ])
  func bad(text: String, words: String) throws {
    let file = try scratch.write("a", text)
    let (tokens, said) = follow([file])
    #expect(tokens.files(with: text) == [] && tokens.files(with: "") == [])
    #expect(said.all.count == 1 && said.text.contains(file) && said.text.contains(words), "\(said.text)")
  }

  @Test("a file that everybody can read counts, with a warning that does not hold the token")
  func worldReadable() throws {
    let file = try scratch.write("a", "treasure", mode: 0o644)
    let (tokens, said) = follow([file])
    #expect(tokens.files(with: "treasure") == [file])
    #expect(said.all.count == 1 && said.text.hasPrefix("warning the token file \(file): everybody"))
    #expect(!said.text.contains("treasure"))
    var dumped = ""
    dump(tokens, to: &dumped)
    #expect(!dumped.contains("treasure"))
  }

  @Test("files that are not followed any more hold no token")
  func unfollow() throws {
    let (a, b) = (try scratch.write("a", "first"), try scratch.write("b", "second"))
    let (tokens, _) = follow([a, b])
    tokens.follow([b])
    #expect(tokens.files(with: "first") == [] && tokens.files(with: "second") == [b])
  }

  @Test("a bcrypt hash is of its password alone, in each of its spellings", arguments: ["2a", "2b", "2y"])
  func bcrypt(prefix: String) throws {
    let hash = try #require(BcryptHash(secretHash.replacing("$2b$", with: "$\(prefix)$")))
    #expect(hash.cost == 4)
    #expect(hash.isHash(of: "secret"))
    for wrong in ["", "Secret", "secret\0", "secret\0x", "secret "] { #expect(!hash.isHash(of: wrong)) }
    #expect(!"\(hash)".contains("abcdef"))
  }

  @Test(
    "what is no bcrypt hash is none",
    arguments: [
      "", "secret", "$1$x$y", "$2b$03$" + String(repeating: "a", count: 53),
      "$2b$32$" + String(repeating: "a", count: 53), "$2b$10$" + String(repeating: "a", count: 52),
      "$2b$10$" + String(repeating: "!", count: 53), "$2x$10$" + String(repeating: "a", count: 53),
    ])
  func noBcrypt(text: String) { #expect(BcryptHash(text) == nil) }

  @Test("a right password is calculated once; wrong ones and unknown users each time, and as long")
  func cache() async throws {
    let users = ["alice": try #require(BcryptHash(secretHash)), "bob": try #require(BcryptHash(otherHash))]
    let check = PasswordCheck()
    #expect(check.known("alice", "secret", users) == .unknown)
    #expect(await check.isRight("alice", "secret", users) == true)
    #expect(check.known("alice", "secret", users) == .right)
    #expect(await check.isRight("alice", "secret", users) == true)
    #expect(check.calculations == 1)
    #expect(await check.isRight("alice", "other", users) == false)
    #expect(await check.isRight("nobody", "secret", users) == false)
    #expect(await check.isRight("bob", "secret", users) == false)
    #expect(check.calculations == 4)
    // A wrong one has not driven out what is known.
    #expect(check.known("alice", "secret", users) == .right)
    #expect(check.known("bob", "secret", users) == .unknown)
  }

  @Test("with another hash, or without the user, what was right is not any more")
  func changedUsers() async throws {
    let check = PasswordCheck()
    var users = ["alice": try #require(BcryptHash(secretHash))]
    #expect(await check.isRight("alice", "secret", users) == true)
    users["alice"] = BcryptHash(otherHash)
    #expect(check.known("alice", "secret", users) == .unknown)
    #expect(await check.isRight("alice", "secret", users) == false)
    #expect(await check.isRight("alice", "secret", [:]) == false)
  }

  @Test("the hash that stands for an unknown user is one, of any cost", arguments: [4, 10, 16])
  func dummy(cost: Int) throws { #expect(try #require(BcryptHash.dummy(cost: cost)).cost == cost) }

  @Test("no more than a few passwords wait for being checked")
  func flood() async throws {
    let users = ["alice": try #require(BcryptHash(secretHash.replacing("$04$", with: "$08$")))]
    let check = PasswordCheck()
    let answers = await withTaskGroup { group in
      for number in 0..<200 { group.addTask { await check.isRight("alice", "\(number)", users) } }
      return await group.reduce(into: [Bool?]()) { $0.append($1) }
    }
    #expect(answers.contains(nil) && answers.contains(false) && !answers.contains(true))
  }

  @Test(
    "the Authorization field",
    arguments: [
      ([], .none), (["Bearer abc"], .bearer("abc")), (["bearer  abc"], .bearer("abc")),
      (["Basic YWxpY2U6YTpi"], .basic(user: "alice", password: "a:b")), (["Basic YWxpY2U="], .unreadable),
      (["Basic %"], .unreadable), (["Digest x"], .unreadable), (["Bearer"], .unreadable),
      (["Bearer a", "Bearer b"], .unreadable),
    ] as [([String], ShownSecret)])
  func field(values: [String], expected: ShownSecret) {
    #expect(ShownSecret(Headers(values.map { .init("Authorization", $0) })) == expected)
  }

  @Test("digests are of this process, and where one part ends counts")
  func digests() {
    let digest = SecretDigest()
    #expect(digest([1, 2], [3]) == digest([1, 2], [3]))
    #expect(digest([1, 2], [3]) != digest([1], [2, 3]))
    #expect(digest([1]) != SecretDigest()([1]))
  }
}
