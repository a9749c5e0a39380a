import DroverCore
import Journal
import Testing

@testable import DroverService

@Suite("Where the journal is, and how much it keeps")
struct JournalConfigurationTests {
  @Test(
    "sizes are read, and written back in their largest whole unit",
    arguments: [
      ("0B", 0, "0B"), ("512B", 512, "512B"), ("1024B", 1024, "1KiB"), ("1GiB", 1 << 30, "1GiB"),
      ("1536MiB", 1536 << 20, "1536MiB"), ("2048MiB", 2 << 30, "2GiB"), ("3TiB", 3 << 40, "3TiB"),
      ("16777215TiB", 16_777_215 << 40, "16777215TiB"),
    ] as [(String, UInt64, String)])
  func sizes(text: String, bytes: UInt64, shortest: String) throws {
    #expect(try ByteSize.parse(text) == Bytes(bytes))
    #expect(ByteSize.format(Bytes(bytes)) == shortest)
  }

  @Test(
    "sizes name what is wrong, and the remedy",
    arguments: [
      ("", "is empty"), ("5", "has no unit"), ("-1GiB", "is below 0"),
      ("1.5GiB", "has a fraction; use a smaller unit"),
      ("1 GiB", "has a space in it"), ("GiB", "is no size"), ("1XiB", "is no size"),
      ("1GB", "has a unit that could be decimal; write 1GiB for 1073741824 bytes each"),
      ("1G", "has a unit that could be decimal; write 1GiB for 1073741824 bytes each"),
      ("7mib", "has a unit that could be decimal; write 7MiB for 1048576 bytes each"),
      ("16777216TiB", "is too large"), ("99999999999999999999B", "is too large"), ("٣GiB", "is no size"),
    ])
  func badSizes(text: String, reason: String) {
    let error = #expect(throws: ByteSizeError.self) { try ByteSize.parse(text) }
    #expect(error?.reason == reason)
    #expect(error?.description.hasSuffix("write it such as 1GiB or 500MiB") == true)
  }

  @Test(
    "keys out of bounds are refused by line",
    arguments: [
      ("{maxSize: 1MiB}", "f:1:20: journal.maxSize must be from 16MiB to 1TiB, not 1MiB; such as 1GiB"),
      ("{maxSize: [1]}", "f:1:20: journal.maxSize must be a size, not a list; such as 1GiB"),
      ("{maxSize: 5}", #"f:1:20: journal.maxSize: "5" has no unit; write it such as 1GiB or 500MiB"#),
      ("{maxAge: 1m}", "f:1:19: journal.maxAge must be from 1h to 10y, not 1m; such as 90d"),
      (
        "{path: j.db}",
        #"f:1:17: journal.path: "j.db" is no absolute path of a file; give one such as /var/lib/drover/journal.db"#
      ),
      ("{age: 1d}", #"f:1:11: unknown key "age" in journal; allowed here: maxAge, maxSize, path"#),
    ])
  func badKeys(text: String, error: String) {
    let thrown = #expect(throws: ConfigurationError.self) {
      try Configuration.parse("journal: \(text)", file: "f")
    }
    #expect(thrown?.description == error)
  }

  @Test("what is shown as in force is a file that says the same")
  func effective() throws {
    let configuration = try Configuration.parse(
      "journal: {path: '/a b/j', maxAge: 36h, maxSize: 17MiB}", file: "f")
    let shown = EffectiveConfiguration(configuration).description
    #expect(shown.contains("journal:\n  path: \"/a b/j\"\n  maxAge: 36h\n  maxSize: 17MiB\n"))
    #expect(try Configuration.parse(shown, file: "effective") == configuration)
  }

  @Test("the flag goes before the file, and must be absolute")
  func flag() throws {
    let configuration = try Configuration.parse("journal: {path: /a}", file: "f")
    #expect(try configuration.adding(journalPath: "/b").journalPath == "/b")
    #expect(try configuration.adding(journalPath: nil).journalPath == "/a")
    for bad in ["", "b", "/b/"] {
      #expect(throws: ConfigurationError.self) { try configuration.adding(journalPath: bad) }
    }
  }

  @Test(
    "the place is what is said, else where the system keeps the state of services",
    arguments: [
      ("/x", ["STATE_DIRECTORY": "/s"], true, "/x"),
      ("", ["STATE_DIRECTORY": "/s:/t", "HOME": "/h"], true, "/s/journal.db"),
      ("", ["HOME": "/root"], true, "/var/lib/drover/journal.db"),
      ("", ["XDG_STATE_HOME": "/x", "HOME": "/h"], false, "/x/drover/journal.db"),
      ("", ["XDG_STATE_HOME": "", "HOME": "/h"], false, "/h/.local/state/drover/journal.db"),
      ("", ["XDG_STATE_HOME": "x", "HOME": "h"], false, nil), ("", [:], false, nil),
    ] as [(String, [String: String], Bool, String?)])
  func place(configured: String, environment: [String: String], isRoot: Bool, path: String?) {
    #expect(JournalPlace(configured: configured, environment: environment, isRoot: isRoot).path == path)
  }
}
