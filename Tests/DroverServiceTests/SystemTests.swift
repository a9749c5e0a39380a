import DroverCore
import Exposition
import Glibc
import Testing

@testable import DroverService

@Suite("The wall clock's offset")
struct HeldOffsetTests {
  @Test(
    "is held over small corrections and follows steps",
    arguments: [
      ([0, 49, -49, 10], [0, 0, 0, 0]), ([0, 50], [0, 50]), ([0, -50], [0, -50]),
      ([0, 30, 60, 100], [0, 0, 60, 60]),
      ([0, 3_600_000, 0], [0, 3_600_000, 0]), ([.min, .max], [.min, .max]), ([.max, .min], [.max, .min]),
    ] as [([Int64], [Int64])])
  func follows(measured: [Int64], shown: [Int64]) {
    var held = HeldOffset()
    #expect(measured.map { held.update(EpochOffset(milliseconds: $0)).milliseconds } == shown)
  }

  @Test(
    "is read again where the thread was paused between the clocks; the shortest span counts",
    arguments: [
      ([0], 1000), ([1], 1001), ([80, 0], 1000), ([80, 80, 1], 1001), ([90, 80, 70, 60, 50, 0], 1050),
      ([50, 60, 70, 80, 90], 1050),
    ] as [([Int64], Int64)])
  func paused(pauses: [Int64], difference: Int64) {
    var (now, pauses) = (Int64(5), pauses[...])
    #expect(
      SystemTimepiece.difference(
        of: {
          now += pauses.popFirst() ?? 0
          return now + 1000
        }, to: { now }) == difference)
  }

  @Test("of this machine turns now into Unix time")
  func now() {
    let timepiece = SystemTimepiece()
    let offset = timepiece.epochOffset()
    let difference = offset.unixMilliseconds(timepiece.now()) - Int64(time(nil)) * 1000
    #expect((-100...2000).contains(difference))
    #expect(timepiece.now() <= timepiece.now())
    #expect(timepiece.epochOffset() == offset)
  }
}

@Suite("Process statistics")
struct ProcessStatisticsTests {
  private static let stat =
    "4242 (a) b (c) S 1 4242 4242 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 5 0 12345 104857600 2560 "
    + "18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0\n"
  private static let netstat = """
    TcpExt: SyncookiesSent InOctets
    TcpExt: 1 2
    IpExt: InNoRoutes InTruncatedPkts InOctets OutOctets
    IpExt: 0 0 5000 6000

    """

  private func statistics(statm: String = "25600 2560 900 1 0 300 0\n", netstat: String = netstat)
    -> ProcessStatistics
  {
    ProcessStatistics(statm: Array(statm.utf8), netstat: Array(netstat.utf8), pageSize: 4096)
  }

  private func start(stat: String = stat) -> Moment? {
    ProcessStatistics.start(stat: Array(stat.utf8), ticksPerSecond: 100)
  }

  @Test("are read from what the kernel writes, whatever the command is called")
  func reads() {
    let read = statistics()
    #expect(read.virtualMemory == 104_857_600)
    #expect(read.residentMemory?.count == 2560 * 4096)
    #expect(read.networkReceived == 5000)
    #expect(read.networkSent == 6000)
    #expect(start() == Moment(milliseconds: 123_450))
  }

  @Test(
    "the start is absent where the kernel does not tell it",
    arguments: [
      "", "1 (x) S", "1 (x)", ")", "no brackets", "1 (x) S a b c d e f g h i j k l m n o p q r s t u v w",
      "1 (x) S 1 1 1 0 -1 1 0 0 0 0 2 1 0 0 20 0 5 0 18446744073709551615 1 1",
    ])
  func noStart(stat: String) { #expect(start(stat: stat) == nil) }

  @Test(
    "the others are absent where the kernel does not tell them",
    arguments: [("", false, false), ("1\n", false, false), ("x 5\n", false, true), ("5 x\n", true, false)])
  func absent(statm: String, hasVirtual: Bool, hasResident: Bool) {
    let read = statistics(statm: statm, netstat: "IpExt: InOctets\nIpExt:\n")
    #expect((read.virtualMemory != nil) == hasVirtual)
    #expect((read.residentMemory != nil) == hasResident)
    #expect(read.networkReceived == nil)
  }

  @Test("the start follows a step of the wall clock")
  func step() throws {
    let before = try #require(ProcessStatistics.current(EpochOffset(milliseconds: 1000)).startUnixSeconds)
    let after = try #require(ProcessStatistics.current(EpochOffset(milliseconds: 61_000)).startUnixSeconds)
    #expect(abs(after - before - 60) < 0.001)
  }

  @Test("of this process make sense")
  func ownProcess() {
    let used = clock(CLOCK_PROCESS_CPUTIME_ID)
    let before = ProcessStatistics.current(SystemTimepiece().epochOffset())
    #expect((before.residentMemory ?? 0) > .mebibytes(1))
    #expect((before.virtualMemory ?? 0) >= (before.residentMemory ?? 0))
    #expect((before.openDescriptors ?? 0) >= 3)
    #expect(before.maximumDescriptors == limit(RLIMIT_NOFILE))
    #expect(before.maximumVirtualMemory?.count == limit(RLIMIT_AS))
    // Not longer ago than the system's start, and not after now.
    let now = Double(time(nil)) + 1
    let uptime = clock(CLOCK_BOOTTIME)
    #expect((now - uptime - 2...now).contains(before.startUnixSeconds ?? -1))
    #expect((used...clock(CLOCK_PROCESS_CPUTIME_ID)).contains(before.cpuSeconds ?? -1))
  }

  @Test("the descriptors that a kernel before 6.2 has counted are those that it says later")
  func descriptors() {
    // Other tests open some meanwhile, and close them.
    let counted = (0..<100).contains { _ in
      ProcessStatistics.current(EpochOffset(milliseconds: 0)).openDescriptors
        == ProcessStatistics.countDescriptors()
    }
    #expect(counted)
  }

  private func limit(_ resource: __rlimit_resource) -> UInt64 {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(resource.rawValue), &limit)
    return UInt64(limit.rlim_cur)
  }

  private func clock(_ clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
