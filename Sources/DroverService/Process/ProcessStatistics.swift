internal import DroverCore
internal import Exposition
internal import Glibc
internal import Posix
internal import Synchronization

/// Reads the values of the `process_*` families that Prometheus' clients export.
///
/// It is most of what a small scrape takes: where the kernel tells a number by a call, no text is asked for.
extension ProcessStatistics {
  /// Reads the statistics of this process; a handful of short calls, which do not block.
  static func current(_ offset: EpochOffset) -> ProcessStatistics {
    var statistics = ProcessStatistics(
      statm: contents("/proc/self/statm"), netstat: contents("/proc/self/net/netstat"),
      pageSize: sysconf(Int32(_SC_PAGESIZE)))
    statistics.cpuSeconds = processorSeconds
    statistics.openDescriptors = openDescriptorCount
    statistics.maximumDescriptors = limit(RLIMIT_NOFILE)
    statistics.maximumVirtualMemory = limit(RLIMIT_AS).map { Bytes($0) }
    statistics.startUnixSeconds = ownStart.map { Double(offset.unixMilliseconds($0)) / 1000 }
    return statistics
  }

  init(statm: [UInt8], netstat: [UInt8], pageSize: Int) {
    self.init()
    let counters = KernelCounters(bytes: netstat)
    networkReceived = counters["InOctets", of: "IpExt:"].map { Bytes($0) }
    networkSent = counters["OutOctets", of: "IpExt:"].map { Bytes($0) }
    // proc(5): all of it and the resident part, in pages.
    let pages = Self.words(statm).prefix(2).map {
      Self.number($0).map { Bytes($0 &* UInt64(max(0, pageSize))) }
    }
    guard pages.count == 2 else { return }
    virtualMemory = pages[0]
    residentMemory = pages[1]
  }

  /// When a process started, by its `/proc/PID/stat`: on the clock that moments come from, whatever the wall clock does.
  static func start(stat: [UInt8], ticksPerSecond: Int) -> Moment? {
    // The command in brackets may hold spaces and brackets: the fields begin behind the last one.
    guard let bracket = stat.lastIndex(of: UInt8(ascii: ")")), ticksPerSecond > 0 else { return nil }
    let fields = words(stat[(bracket + 1)...])
    // proc(5) counts from 1; the state, which is the first here, is its field 3.
    let field = 22 - 3
    guard fields.count > field, let ticks = number(fields[field]) else { return nil }
    return Int64(exactly: (Double(ticks) * 1000 / Double(ticksPerSecond)).rounded(.down)).map(
      Moment.init(milliseconds:))
  }

  private static let knownStart = Mutex<Moment?>(nil)

  /// Read once; again where no file could be opened.
  private static var ownStart: Moment? {
    knownStart.withLock { known in
      known = known ?? start(stat: contents("/proc/self/stat"), ticksPerSecond: sysconf(Int32(_SC_CLK_TCK)))
      return known
    }
  }

  private static var processorSeconds: Double? {
    var time = timespec()
    guard clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return nil }
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// The soft limit; the largest number where there is none.
  private static func limit(_ resource: __rlimit_resource) -> UInt64? {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0 else { return nil }
    return UInt64(limit.rlim_cur)
  }

  private static var openDescriptorCount: UInt64? {
    var status = stat()
    // Linux counts them itself since 6.2, and says 0 before.
    if stat("/proc/self/fd", &status) == 0, status.st_size > 0 { return UInt64(status.st_size) }
    return countDescriptors()
  }

  static func countDescriptors() -> UInt64? {
    guard let directory = opendir("/proc/self/fd") else { return nil }
    defer { closedir(directory) }
    var count: UInt64 = 0
    while readdir(directory) != nil { count += 1 }
    // ".", "..", and the descriptor that reads this.
    return count >= 3 ? count - 3 : nil
  }

  private static func words(_ line: some Collection<UInt8>) -> [some Collection<UInt8>] {
    line.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }
  }

  private static func number(_ word: some Collection<UInt8>) -> UInt64? {
    UInt64(String(decoding: word, as: UTF8.self))
  }

  private static func contents(_ path: String) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    while true {
      var (count, failure) = (0, Int32(0))
      bytes += [UInt8](unsafeUninitializedCapacity: 8 << 10) { chunk, length in
        count = read(descriptor, chunk.baseAddress, chunk.count)
        failure = errno
        length = max(0, count)
      }
      if count < 0, failure == EINTR { continue }
      guard count > 0 else { return bytes }
    }
  }
}
