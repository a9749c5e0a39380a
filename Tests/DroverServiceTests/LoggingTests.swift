import Foundation
import Glibc
import Logging
import Synchronization
import Testing

@testable import DroverService

/// Keeps what is written to it.
final class CollectingOutput: LogOutput {
  private let lines = Mutex<[String]>([])
  var written: [String] { lines.withLock { $0 } }
  func write(_ line: [UInt8]) { lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) } }
}

@Suite("Log lines")
struct LoggingTests {
  private func line(
    _ format: LogFormat = .logfmt, label: String = "drover", level: LogLevel = .debug,
    _ body: (inout Logger) -> Void
  ) -> String {
    let output = CollectingOutput()
    var logger = Logger(label: label) { label in
      DroverLogHandler(
        label: label, format: format, level: level, output: output, clock: { 1_795_453_200_123 })
    }
    body(&logger)
    return output.written.joined()
  }

  @Test("logfmt has time, level, message and sorted fields")
  func logfmt() {
    #expect(
      line {
        $0[metadataKey: "backend"] = "qemu"
        $0.warning("back end is down", metadata: ["error": "no such file", "attempt": "3"])
      } == "time=2026-11-23T17:00:00.123Z level=warn msg=\"back end is down\" attempt=3 backend=qemu "
        + "error=\"no such file\"\n")
  }

  @Test("JSON is one object")
  func json() {
    #expect(
      line(.json, label: "http") { $0.info("listening", metadata: ["address": "[::]:10950"]) }
        == #"{"time":"2026-11-23T17:00:00.123Z","level":"info","msg":"listening","component":"http","#
        + #""address":"[::]:10950"}"# + "\n")
  }

  @Test(
    "levels are the four of --log.level",
    arguments: [
      (Logger.Level.trace, "debug"), (.debug, "debug"), (.info, "info"), (.notice, "info"),
      (.warning, "warn"),
      (.error, "error"), (.critical, "error"),
    ])
  func levels(level: Logger.Level, word: String) {
    let text = line { logger in
      logger.logLevel = .trace
      logger.log(level: level, "x")
    }
    #expect(text.contains(" level=\(word) "))
  }

  @Test("what is below the level is not written", arguments: LogLevel.allCases)
  func filter(level: LogLevel) {
    let text = line(level: level) { logger in
      logger.debug("debug")
      logger.info("info")
      logger.warning("warn")
      logger.error("error")
    }
    let index = LogLevel.allCases.firstIndex(of: level) ?? 0
    #expect(text.split(separator: "\n").count == LogLevel.allCases.count - index)
  }

  @Test(
    "nothing in a value can begin a line, end a quote or move a terminal's cursor",
    arguments: [
      ("plain-1.2/3:4", "plain-1.2/3:4"), ("", #""""#), ("a b", #""a b""#), ("a=b", #""a=b""#),
      ("a\"b", #""a\"b""#),
      ("a\\b", #""a\\b""#), ("a\nlevel=error", #""a\nlevel=error""#), ("a\r\tb", #""a\r\tb""#),
      ("\u{1B}[2J\u{7}", #""\u001b[2J\u0007""#), ("\u{7F}\u{85}\u{9B}", #""\u007f\u0085\u009b""#),
      ("\u{2028}\u{202E}", #""\u2028\u202e""#), ("größe", #""größe""#), ("🐑", #""🐑""#),
      ("\u{E0001}", #""\udb40\udc01""#),
    ])
  func quoting(value: String, shown: String) throws {
    #expect(line { $0.info("m", metadata: ["k": "\(value)"]) }.hasSuffix(" k=\(shown)\n"))
    let json = line(.json) { $0.info("m", metadata: ["k": "\(value)"]) }
    #expect(json.filter(\.isNewline).count == 1)
    let object = try JSONDecoder().decode([String: String].self, from: Data(json.utf8))
    #expect(object["k"] == value)
  }

  @Test("bytes that are no UTF-8 become the replacement character")
  func invalidText() {
    let text = String(decoding: [0x61, 0xFF, 0x0A, 0x62] as [UInt8], as: UTF8.self)
    #expect(line { $0.info("\(text)") }.hasSuffix("msg=\"a\u{FFFD}\\nb\"\n"))
  }

  @Test("keys are made safe, and do not repeat those of the line")
  func keys() {
    let text = line { $0.info("m", metadata: ["a b=\n": "1", "level": "2", "msg": "3", "": "4"]) }
    #expect(text == "time=2026-11-23T17:00:00.123Z level=info msg=m _=4 a_b__=1 level_=2 msg_=3\n")
  }

  @Test("a long line is cut, stays one line and stays JSON", arguments: LogFormat.allCases)
  func long(format: LogFormat) throws {
    let huge = String(repeating: "ü\u{1}", count: 10_000)
    let bare = String(repeating: "x", count: 10_000)
    var fields: Logger.Metadata = ["bare": "\(bare)"]
    for number in 0..<100 { fields["f\(number)"] = "\(huge)" }
    let text = line(format) { $0.info("\(huge)", metadata: fields) }
    #expect(text.utf8.count <= LogLine.longest)
    #expect(text.filter(\.isNewline).count == 1)
    #expect(text.hasSuffix("\n"))
    #expect(text.contains("truncated"))
    if format == .json {
      #expect(throws: Never.self) { try JSONDecoder().decode([String: String].self, from: Data(text.utf8)) }
    }
  }

  @Test("a long text is cut where it stands")
  func longTexts() {
    let text = line {
      $0.info(
        "\(String(repeating: "m ", count: 5000))",
        metadata: [
          "a": "\(String(repeating: "a", count: 5000))", "b": "\(String(repeating: "ü", count: 5000))",
        ])
    }
    #expect(text.contains(" msg=\"" + String(repeating: "m ", count: 1023) + "m…\" a="))
    #expect(text.contains(" a=" + String(repeating: "a", count: 1024) + "... "))
    #expect(text.hasSuffix(" truncated=true\n"))
    let short = line { $0.info("m", metadata: ["b": "\(String(repeating: "ü", count: 5000))"]) }
    #expect(short.hasSuffix("üü…\"\n"))
  }

  @Test(
    "a pipe that nobody reads drops lines instead of blocking, and says how many", .timeLimit(.minutes(1)))
  func fullPipe() throws {
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    defer { for end in ends { close(end) } }
    let output = DescriptorLogOutput(descriptor: ends[1], format: .logfmt, patience: 300)
    let line = Array((String(repeating: "x", count: 1023) + "\n").utf8)
    let took = ContinuousClock().measure { for _ in 0..<200 { output.write(line) } }
    // It waits once, and not for each of the more than a hundred lines that find no room.
    #expect(took < .seconds(10))

    #expect(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0)
    var received: [UInt8] = []
    func drain() {
      var chunk = [UInt8](repeating: 0, count: 4096)
      while true {
        let count = read(ends[0], &chunk, chunk.count)
        guard count > 0 else { return }
        received += chunk[..<count]
      }
    }
    drain()
    output.write(Array("back\n".utf8))
    drain()
    let lines = String(decoding: received, as: UTF8.self).split(separator: "\n")
    let whole = lines.filter { $0.utf8.count == 1023 }.count
    #expect(lines.last == "back")
    let note = " level=warn msg=\"log lines dropped: nobody read them\" count=\(200 - whole)"
    #expect(lines.dropLast().last?.hasSuffix(note) == true)
    #expect(whole + 2 == lines.count)
  }

  @Test("lines of many threads do not mix")
  func threads() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent(
      "drover-\(UUID().uuidString).log"
    ).path
    let descriptor = open(path, O_CREAT | O_RDWR | O_APPEND, 0o600)
    defer {
      close(descriptor)
      unlink(path)
    }
    let output = DescriptorLogOutput(descriptor: descriptor, format: .json)
    DispatchQueue.concurrentPerform(iterations: 8) { worker in
      let line = Array((String(repeating: "\(worker)", count: 500) + "\n").utf8)
      for _ in 0..<50 { output.write(line) }
    }
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 400)
    #expect(lines.allSatisfy { $0.count == 500 && Set($0).count == 1 })
  }
}
