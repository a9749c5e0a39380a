import Foundation
import Glibc
import Testing

@testable import InetDiag

@Suite("Processes")
struct ProcessTableTests {
  @Test("the sockets of this process are those that fstat knows")
  func ownSockets() throws {
    let descriptor = try Descriptor(stream(AF_INET))
    var status = stat()
    #expect(fstat(descriptor.number, &status) == 0)
    let inodes = try #require(ProcessTable().socketInodes(ofProcess: getpid()))
    #expect(inodes.contains(UInt64(status.st_ino)))
  }

  @Test("descriptors that are no sockets are left out, and so is a link that makes no sense")
  func otherDescriptors() throws {
    let table = try FakeTable()
    try table.add(7, name: "libvirtd", parent: 1)
    let links = [
      "0": "/dev/null", "3": "socket:[123]", "4": "pipe:[5]", "5": "anon_inode:[eventpoll]",
      "6": "socket:[18446744073709551615]", "7": "socket:[]", "8": "socket:[-1]", "9": "socket:[12",
      "10": "/tmp/" + String(repeating: "x", count: 200) + "/socket:[9]",
    ]
    try table.open(links, process: 7)
    #expect(table.table.socketInodes(ofProcess: 7) == [123, .max])
  }

  @Test("descriptors that may be listed but not read are not taken for none")
  func unreadable() throws {
    let fake = try FakeTable()
    try fake.open(["3": "socket:[123]"], process: 7)
    try fake.addFile("7/fd/4")
    #expect(fake.table.socketInodes(ofProcess: 7) == nil)
  }

  @Test("a process that is gone has no sockets that could be known")
  func gone() throws {
    #expect(ProcessTable().socketInodes(ofProcess: .max) == nil)
    #expect(try FakeTable().table.socketInodes(ofProcess: 1) == nil)
    #expect(ProcessTable(root: "/nonexistent").children(named: "ssh", ofProcessesNamed: ["libvirtd"]) == [])
  }

  @Test("the ssh of a libvirt daemon is found, and no other ssh")
  func children() throws {
    let fake = try FakeTable()
    try fake.add(1, name: "systemd", parent: 0)
    try fake.add(100, name: "libvirtd", parent: 1)
    try fake.add(200, name: "virtqemud", parent: 1)
    try fake.add(300, name: "bash", parent: 1)
    try fake.add(201, name: "ssh", parent: 200)
    try fake.add(101, name: "ssh", parent: 100)
    try fake.add(102, name: "sshd", parent: 100)
    try fake.add(103, name: "qemu", parent: 100)
    try fake.add(301, name: "ssh", parent: 300)
    try fake.add(400, name: "ssh", parent: 399)
    func children(of names: Set<String>) -> [Int32] {
      fake.table.children(named: "ssh", ofProcessesNamed: names)
    }
    #expect(children(of: ["libvirtd", "virtqemud"]) == [101, 201])
    #expect(children(of: ["libvirtd"]) == [101])
    #expect(children(of: ["virtxend"]) == [])
    #expect(children(of: []) == [])
  }

  @Test(
    "names with parentheses, spaces and line ends mislead nobody",
    arguments: ["a) b", "((", ") S 1 (x", "a\nb", "ssh) S 100 1", " "])
  func oddNames(name: String) throws {
    let fake = try FakeTable()
    try fake.add(100, name: name, parent: 1)
    try fake.add(101, name: "ssh", parent: 100)
    try fake.add(102, name: name, parent: 100)
    #expect(fake.table.children(named: "ssh", ofProcessesNamed: [name]) == [101])
    #expect(fake.table.children(named: "ssh", ofProcessesNamed: ["libvirtd"]) == [])
    #expect(fake.table.children(named: name, ofProcessesNamed: [name]) == [102])
  }

  @Test("the parent stands behind the last parenthesis")
  func parent() {
    func read(_ text: String) -> Int32? { ProcessTable.parent(inStat: Array(text.utf8)) }
    #expect(read("77 (ssh) S 12 77 77 0") == 12)
    #expect(read("77 (a) b) R 12 1") == 12)
    #expect(read("77 () S 0 (1) Z 34 9") == 34)
    for text in [
      "", "77 (ssh", "77 (ssh)", "77 (ssh) S", "77 (ssh) S x", "77 (ssh) S -1 2", "77 (ssh) S 0 0",
    ] {
      #expect(read(text) == nil)
    }
  }

  @Test("a name of more than 15 bytes is what the kernel keeps of it")
  func longName() throws {
    let fake = try FakeTable()
    try fake.add(100, name: "a-very-long-dae", parent: 1)
    try fake.add(101, name: "ssh", parent: 100)
    #expect(fake.table.children(named: "ssh", ofProcessesNamed: ["a-very-long-daemon"]) == [101])
  }

  @Test("this process is a child of its parent in the real table too")
  func real() throws {
    func name(_ process: Int32) throws -> String {
      String(try String(contentsOfFile: "/proc/\(process)/comm", encoding: .utf8).dropLast())
    }
    let children = ProcessTable().children(named: try name(getpid()), ofProcessesNamed: [try name(getppid())])
    #expect(children.contains(getpid()))
  }
}

/// A directory that looks like `/proc`.
private final class FakeTable {
  private let root: URL

  var table: ProcessTable { ProcessTable(root: root.path) }

  init() throws {
    root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    for other in ["self", "net", "1x", "-1"] { try make(other) }
    try Data("2.0 1.0\n".utf8).write(to: root.appendingPathComponent("uptime"))
  }

  deinit { try? FileManager.default.removeItem(at: root) }

  func add(_ process: Int32, name: String, parent: Int32) throws {
    let directory = try make("\(process)")
    try Data("\(name)\n".utf8).write(to: directory.appendingPathComponent("comm"))
    try Data("\(process) (\(name)) S \(parent) 1 1 0 -1\n".utf8).write(
      to: directory.appendingPathComponent("stat"))
  }

  func open(_ links: [String: String], process: Int32) throws {
    for (number, target) in links {
      try FileManager.default.createSymbolicLink(
        atPath: try make("\(process)/fd").appendingPathComponent(number).path, withDestinationPath: target)
    }
  }

  func addFile(_ name: String) throws { try Data().write(to: root.appendingPathComponent(name)) }

  @discardableResult
  private func make(_ name: String) throws -> URL {
    let directory = root.appendingPathComponent(name)
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    return directory
  }
}
