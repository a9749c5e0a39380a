import Foundation
import Testing

@testable import QEMURig

@Suite("DirtierGuest")
struct DirtierGuestTests {
  @Test("the source assembles to the sector that is carried")
  func assembles() throws {
    let source = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../Sources/QEMURig/Guest/dirtier.asm").standardizedFileURL.path
    let directory = try RigDirectory()
    try run("as", "--32", "-o", "\(directory.path)/g.o", source)
    try run(
      "ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-e", "_start",
      "-o", "\(directory.path)/g.bin", "\(directory.path)/g.o")
    let sector = try Data(contentsOf: URL(filePath: "\(directory.path)/g.bin"))
    #expect(DirtierGuest.assembled.count == 512)
    #expect([UInt8](sector) == DirtierGuest.assembled)
  }

  @Test("start values lie where the guest reads them")
  func patches() {
    let sector = DirtierGuest(
      rate: DirtyRate(atLeastMebibytesPerSecond: 50), workingSet: WorkingSet(atLeastMebibytes: 64)
    ).bootSector
    #expect(Array(sector[0x1f0..<0x1fc]) == [128, 0, 0, 0, 0, 0x40, 0, 0, UInt8(ascii: "h"), 0, 0, 0])
    #expect(sector.suffix(2) == [0x55, 0xaa])
  }

  @Test(
    "rates round up to what the guest knows",
    arguments: [(0, 0, "0"), (0.1, 1, "a"), (0.4, 2, "b"), (50, 128, "h"), (1e9, 32768, "p")])
  func rates(mebibytes: Double, pages: UInt32, command: Character) {
    let rate = DirtyRate(atLeastMebibytesPerSecond: mebibytes)
    #expect(rate.pagesPerTick == pages)
    #expect(rate.command == command.asciiValue)
  }

  @Test(
    "working sets round up to what the guest knows",
    arguments: [(0, 1, "A"), (48, 64, "G"), (9999, 2048, "L")])
  func workingSets(asked: UInt32, given: UInt32, command: Character) {
    let set = WorkingSet(atLeastMebibytes: asked)
    #expect(set.mebibytes == given)
    #expect(set.command == command.asciiValue)
  }

  @Test("the floppy image is sparse")
  func floppy() throws {
    let directory = try RigDirectory()
    let path = "\(directory.path)/g.img"
    try guest(rate: 1).software.writeFloppy(to: path)
    var info = stat()
    #expect(stat(path, &info) == 0)
    #expect(info.st_size == 1_474_560)
    #expect(info.st_blocks * 512 < 65536)
  }

  private func run(_ program: String, _ arguments: String...) throws {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [program] + arguments
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
  }
}
