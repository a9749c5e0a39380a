internal import FoundationEssentials

/// How many pages the guest dirties in each of its 100 ticks a second.
public struct DirtyRate: Hashable, Sendable {
  /// Pages of 4 KiB per tick: 0, or a power of two up to 32,768.
  public let pagesPerTick: UInt32

  /// No dirtying at all.
  public static let idle = DirtyRate(pagesPerTick: 0)

  private init(pagesPerTick: UInt32) { self.pagesPerTick = pagesPerTick }

  /// The lowest rate the guest knows that is not below `mebibytes` per second, at most 12,800 MiB/s.
  ///
  /// The rates are 0.39 MiB/s times a power of two. What the virtual CPU cannot do in a tick is late.
  public init(atLeastMebibytesPerSecond mebibytes: Double) {
    var pages: UInt32 = 1
    while pages < 32768 && Double(pages) * 4096 * 100 < mebibytes * 1_048_576 { pages *= 2 }
    self.init(pagesPerTick: mebibytes > 0 ? pages : 0)
  }

  /// The rate in bytes per second.
  public var bytesPerSecond: Int { Int(pagesPerTick) * 4096 * 100 }

  /// The byte on the guest's serial line that sets this rate, and that its heartbeat then repeats.
  public var command: UInt8 {
    pagesPerTick == 0 ? UInt8(ascii: "0") : UInt8(ascii: "a") + UInt8(pagesPerTick.trailingZeroBitCount)
  }
}

/// The span of memory that the guest goes round in.
public struct WorkingSet: Hashable, Sendable {
  /// The size in MiB: a power of two up to 2,048.
  public let mebibytes: UInt32

  /// The smallest working set the guest knows that is not below `mebibytes`, at most 2,048.
  public init(atLeastMebibytes mebibytes: UInt32) {
    var size: UInt32 = 1
    while size < 2048 && size < mebibytes { size *= 2 }
    self.mebibytes = size
  }

  /// The byte on the guest's serial line that sets this size, and that its heartbeat then repeats.
  public var command: UInt8 { UInt8(ascii: "A") + UInt8(mebibytes.trailingZeroBitCount) }
}

/// A guest of one boot sector that dirties memory at a chosen rate and halts in between.
///
/// Its source is `Guest/dirtier.asm`. The rate and the working set can be changed while it runs; they lie
/// in guest memory, so they go along with a migration.
public struct DirtierGuest: Hashable, Sendable {
  /// The rate it starts with.
  public var rate: DirtyRate
  /// The working set it starts with.
  public var workingSet: WorkingSet

  /// A guest with start values.
  public init(rate: DirtyRate, workingSet: WorkingSet) {
    self.rate = rate
    self.workingSet = workingSet
  }

  /// The memory the guest needs, in MiB: the working set starts at 2 MiB.
  var requiredMebibytes: Int { Int(workingSet.mebibytes) + 2 }

  /// The boot sector with the start values filled in.
  var bootSector: [UInt8] {
    var sector = Self.assembled
    func patch(_ offset: Int, _ value: UInt32) {
      for byte in 0..<4 { sector[offset + byte] = UInt8(truncatingIfNeeded: value >> (8 * UInt32(byte))) }
    }
    patch(0x1f0, rate.pagesPerTick)
    patch(0x1f4, workingSet.mebibytes * 256)
    patch(0x1f8, UInt32(rate.command))
    return sector
  }

  /// Writes a floppy image of 1.44 MB, sparse after the boot sector.
  func writeFloppy(to path: String) throws(RigError) {
    let file = try Descriptor(creating: path)
    try file.write(bootSector)
    try file.truncate(to: 1_474_560)
  }

  /// `Guest/dirtier.asm`, assembled: 512 bytes.
  static let assembled: [UInt8] = Array(Data(base64Encoded: sectorInBase64) ?? Data())
}

private let sectorInBase64 = """
  +uoGfAAAMcCO2I7QvAB85JIMAiT+5pJmDwEWYH0PIMAMAQ8iwOoqfAgAZrgQAI7YjsCO0LwAfAAAuD59AABmowARAABmxwUC\
  EQAACABmxwUEEQAAAI7B6BBmowYRAAAPAR1mfQAAsBHmIOagsCDmIbAo5qGwBOYhsALmobAB5iHmobD+5iGw/+ahsDTmQ2a4\
  nC7mQIjg5kC/AAAgALsBAAAAvWQAAAD79Ga6/QPsqAF0R2a6+APsovh9AAAPtsg8MHQsg+lBg/kMchaD6SCD+RBzJrgBAAAA\
  0+Cj8H0AAOsYuAABAADT4KP0fQAA6wrHBfB9AAAAAAAATXUPvWQAAABmuvgDoPh9AADuixX0fQAAweIMgcIAACAAiw3wfQAA\
  44Y513IFvwAAIACJH0N1AUOBxwAQAADi6elq////ULAg5iBYz412AAAAAAAAAAAA//8AAACazwD//wAAAJLPABcASH0AAAcB\
  ABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\
  AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEAAA\
  MAAAAAAAVao=
  """
