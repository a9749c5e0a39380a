import Testing

@testable import DroverService

@Suite("Bodies of requests that act")
struct StrictBodyTests {
  @Test(
    "a key that is not known is refused, and told with those that are: a misspelt wish is not taken for none")
  func unknownKeys() throws {
    let read = try ControlRoutes.AbortBody.read(Array(#"{"dryRun": true}"#.utf8))
    #expect(read.dryRun == true && read.andItsCause == nil)
    for text in [#"{"dryrun": true}"#, #"{"dryRun": true, "force": true}"#] {
      let error = #expect(throws: (any Error).self) {
        try ControlRoutes.AbortBody.read(Array(text.utf8))
      }
      #expect("\(error.map { "\($0)" } ?? "")".contains("allowed: dryRun, andItsCause, withoutJournal"))
    }
  }
}
