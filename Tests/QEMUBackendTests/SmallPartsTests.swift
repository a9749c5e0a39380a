import DroverCore
import Glibc
import Testing

@testable import QEMUBackend

@Suite struct LineBufferTests {
  /// Feeds the pieces and returns the lines, nil where one was too long.
  private func lines(_ pieces: [String], limit: Int = 20) -> [String]? {
    var buffer = LineBuffer(limit: limit)
    var lines: [String] = []
    for piece in pieces {
      let bytes = Array(piece.utf8)
      let isWhole = bytes.withUnsafeBytes {
        buffer.take($0) {
          lines.append(String(decoding: $0, as: UTF8.self))
          return true
        }
      }
      #expect(buffer.kept <= limit)
      if !isWhole { return nil }
    }
    return lines
  }

  @Test("lines are put together from any pieces")
  func pieces() {
    #expect(lines(["a\r\nb\n\r\nc", "d\r", "\n"]) == ["a", "b", "cd"])
    #expect(lines(["abc"]) == [])
    #expect(lines(["12345678901234567890\n"]) == ["12345678901234567890"])
  }

  @Test("a line over the limit is refused, complete or not")
  func limit() {
    #expect(lines(["123456789012345678901\n"]) == nil)
    #expect(lines(["1234567890", "1234567890", "1"]) == nil)
  }
}

@Suite struct DeadlineQueueTests {
  @Test("entries come in the order of their moments, and none before its own")
  func order() {
    var queue = DeadlineQueue()
    let start = Moment(milliseconds: 10_000)
    var next: UInt64 = 1
    var expected: [Int64] = []
    for key in 0..<500 as Range<UInt64> {
      next = next &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      expected.append(Int64(next >> 55))
      queue.insert(key, at: start + .milliseconds(Int64(next >> 55)))
    }
    expected.sort()
    #expect(queue.first == start + .milliseconds(expected[0]))
    #expect(queue.take(at: start - .milliseconds(1)) == nil)
    var taken: [Int64] = []
    var keys: Set<UInt64> = []
    while let one = queue.take(at: start + .seconds(3600)) {
      taken.append((one.due - start).milliseconds)
      keys.insert(one.key)
    }
    #expect(taken == expected)
    #expect(keys.count == 500)
    #expect(queue.first == nil)
  }
}

@Suite struct HealthBoardTests {
  private let start = Moment(milliseconds: 10_000)

  private func socket(_ change: (inout SocketHealth) -> Void) -> SocketHealth {
    var health = SocketHealth(since: start)
    change(&health)
    return health
  }

  @Test("nothing is told before each socket's first attempt has ended")
  func firstAttempt() {
    var board = HealthBoard(backend: BackendName(rawValue: "qemu"))
    let good = socket { $0.answered(at: start) }
    #expect(board.due([good, SocketHealth(since: start)], scannedAt: start, at: start).isEmpty)
    #expect(board.due([good, good], scannedAt: start, at: start).map(\.isUp) == [true])
    // A guest that was just started changes nothing.
    #expect(
      board.due([good, SocketHealth(since: start)], scannedAt: start, at: start + .seconds(1)).map(\.isUp)
        == [true])
  }

  @Test("health is told once a second, and at once when it turns")
  func pace() {
    var board = HealthBoard(backend: BackendName(rawValue: "qemu"))
    let good = socket { $0.answered(at: start) }
    let bad = socket {
      $0.answered(at: start)
      $0.failed(.timeout, "timeout")
    }
    #expect(board.due([good], scannedAt: start, at: start).count == 1)
    #expect(board.due([good], scannedAt: start, at: start + .milliseconds(900)).isEmpty)
    #expect(board.due([bad], scannedAt: start, at: start + .milliseconds(901)).map(\.isUp) == [false])
    #expect(board.due([bad], scannedAt: start, at: start + .milliseconds(950)).isEmpty)
    #expect(board.due([good], scannedAt: start, at: start + .milliseconds(951)).map(\.isUp) == [true])
  }

  @Test("each error is told once")
  func errors() {
    var board = HealthBoard(backend: BackendName(rawValue: "qemu"))
    let bad = socket { $0.failed(.refused, "refused") }
    board.failed(.refused)
    board.failed(.socketOwned)
    #expect(board.due([bad], scannedAt: start, at: start).map(\.errorKind) == ["refused", "socket_owned"])
    #expect(board.due([bad], scannedAt: start, at: start + .seconds(1)).map(\.errorKind) == [nil])
  }

  @Test("why the back end is down is told until it is up again")
  func problem() {
    var board = HealthBoard(backend: BackendName(rawValue: "qemu"))
    var bad = socket { $0.failed(.timeout, "/b: no answer") }
    let other = socket { $0.failed(.permission, "/a: denied") }
    let told = board.due([bad, other], scannedAt: start, at: start).map(\.problem)
    #expect(told == ["/a: denied (and 1 more)"])
    bad.answered(at: start)
    #expect(board.due([bad], scannedAt: start, at: start).map(\.problem) == [nil])
  }

  @Test("a directory of sockets that cannot be read is said once, with its remedy, and forgotten when it can")
  func directories() {
    var directories = PatternDirectories()
    let problem =
      "access /run/guests: \(text(of: ENOENT)); create the directory, or name the one that the sockets are in"
    #expect(directories.looked(at: "/run/guests", ENOENT, start) == .unreadable(.connect, problem))
    #expect(directories.looked(at: "/run/guests", ENOENT, start) == nil)
    #expect(directories.unreadable.map(\.problem) == [problem])
    guard case .unreadable(.permission, let denied) = directories.looked(at: "/run/guests", EACCES, start)
    else {
      Issue.record("not told")
      return
    }
    #expect(denied.hasSuffix("let Drover's user read and search the directory, and those above it"))
    #expect(directories.looked(at: "/run/guests", 0, start) == .readable)
    #expect(directories.unreadable.isEmpty)
  }

  @Test("the last success is the oldest of all sockets, of one that never answered the moment it was seen")
  func lastSuccess() {
    var board = HealthBoard(backend: BackendName(rawValue: "qemu"))
    func last(_ sockets: [SocketHealth]) -> Moment? {
      board = HealthBoard(backend: BackendName(rawValue: "qemu"))
      return board.due(sockets, scannedAt: start + .seconds(9), at: start + .seconds(10)).first?.lastSuccess
    }
    let old = socket {
      $0.answered(at: start)
      $0.failed(.timeout, "timeout")
    }
    let new = socket { $0.answered(at: start + .seconds(5)) }
    let stale = socket {
      $0.answered(at: start - .seconds(5))
      $0.stale()
    }
    #expect(last([old, new, stale]) == start)
    #expect(last([new, stale]) == start + .seconds(5))
    #expect(last([new, socket { $0.failed(.timeout, "timeout") }]) == start)
    #expect(
      last([socket { $0.failed(.timeout, "timeout") }, socket { $0.failed(.refused, "refused") }]) == nil)
    #expect(last([]) == start + .seconds(9))
  }

  @Test("the version is told where all sockets share one")
  func version() {
    let old = socket {
      $0.version = "7.2.22"
      $0.answered(at: start)
    }
    let new = socket {
      $0.version = "9.1.0"
      $0.answered(at: start)
    }
    var board = HealthBoard(backend: BackendName(rawValue: "qemu"))
    #expect(board.due([old, old], scannedAt: start, at: start).first?.version == "7.2.22")
    #expect(board.due([old, new], scannedAt: start, at: start + .seconds(1)).first?.version == "")
  }
}

@Suite struct ConfigurationTests {
  private func check(_ sockets: [String]) -> String? {
    do throws(QEMUConfigurationError) {
      try QEMUConfiguration(name: BackendName(rawValue: "q"), sockets: sockets, host: "h").validate()
      return nil
    } catch {
      #expect(!error.reason.isEmpty && !error.remedy.isEmpty)
      return error.shortDescription
    }
  }

  @Test(
    "sockets of libvirt and Proxmox are refused, as paths and as globs",
    arguments: [
      "/var/lib/libvirt/qemu/domain-1-x/monitor.sock", "/var/lib/libvirt/qemu/*/monitor.sock",
      "/run/libvirt/qemu/x.sock", "/var/run/libvirt/*", "/run/qemu-server/100.qmp",
      "/var/run/qemu-server/*.qmp",
    ])
  func owned(path: String) { #expect(check(["/run/a.qmp", path]) == "socket_owned") }

  @Test("other paths are taken, what cannot work is refused")
  func others() {
    #expect(check(["/run/guests/*.qmp", "/run/qemu-server-2/a.qmp"]) == nil)
    #expect(check([]) == "no_sockets")
    #expect(check(["a.qmp"]) == "relative_path")
    #expect(check(["/" + String(repeating: "a", count: 107)]) == "path_too_long")
    #expect(check(["/" + String(repeating: "a", count: 106)]) == nil)
  }

  @Test("a symbolic link to another manager's directory is seen through")
  func symbolicLink() throws {
    let directory = TemporaryDirectory()
    let owned = directory.path + "/owned"
    try #require(mkdir(owned, 0o700) == 0)
    try #require(symlink(owned, directory.path + "/link") == 0)
    var configuration = QEMUConfiguration(
      name: BackendName(rawValue: "q"), sockets: [directory.path + "/link/*.qmp"], host: "h")
    configuration.owned = [(owned, "libvirt")]
    #expect(throws: QEMUConfigurationError.self) { try configuration.validate() }
  }

  @Test("a symbolic link to another manager's socket is seen through")
  func symbolicLinkToFile() throws {
    let directory = TemporaryDirectory()
    let owned = directory.path + "/owned"
    try #require(mkdir(owned, 0o700) == 0)
    let descriptor = open(owned + "/monitor.sock", O_CREAT | O_WRONLY, 0o600)
    try #require(descriptor >= 0)
    close(descriptor)
    try #require(symlink(owned + "/monitor.sock", directory.path + "/a.qmp") == 0)
    let refusal = QEMUConfiguration.refusal(
      ofSocket: directory.path + "/a.qmp", owned: [(owned, "libvirt")])
    #expect(refusal?.code == .socketOwned)
    #expect(
      QEMUConfiguration.refusal(ofSocket: directory.path + "/b.qmp", owned: [(owned, "libvirt")]) == nil)
  }

  @Test("one path is judged as in a whole configuration")
  func refusal() {
    #expect(QEMUConfiguration.refusal(ofSocket: "a.qmp")?.code == .relativePath)
    #expect(QEMUConfiguration.refusal(ofSocket: "/run/libvirt/*")?.code == .socketOwned)
    #expect(QEMUConfiguration.refusal(ofSocket: "/run/guests/*.qmp") == nil)
  }

  @Test("the fixed part of a pattern ends before its first wildcard")
  func fixedDirectory() {
    #expect(SocketPattern("/run/guests/*.qmp").fixedDirectory == "/run/guests")
    #expect(SocketPattern("/run/*/a[1].qmp").fixedDirectory == "/run")
    #expect(SocketPattern("/a.qmp").fixedDirectory == "/")
  }

  @Test("the descriptor lists only what can be told")
  func descriptor() {
    let backend = QEMUBackend(
      configuration: QEMUConfiguration(
        name: BackendName(rawValue: "q"), sockets: ["/run/a.qmp", "/run/*.qmp"], host: "host-a"),
      clock: SystemClock(), log: .quiet)
    #expect(backend.descriptor.type == "qemu")
    #expect(backend.descriptor.endpoint == "/run/a.qmp,/run/*.qmp")
    #expect(backend.descriptor.node == "host-a")
    #expect(backend.descriptor.causes.contains(.userAbort))
    #expect(backend.descriptor.causes.contains(.policyAbort))
    #expect(
      backend.descriptor.errorKinds == [
        "connect", "refused", "permission", "timeout", "protocol", "closed", "line_too_long", "socket_owned",
      ])
  }
}
