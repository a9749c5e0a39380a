internal import DroverCore
internal import Exposition
internal import Glibc
internal import Posix

/// Reads the values of the `process_*` families that Prometheus' clients export.
extension ProcessStatistics {
  /// Reads the statistics of this process; a handful of short reads from /proc, which do not block.
  static func current() -> ProcessStatistics {
    ProcessStatistics(
      stat: contents("/proc/self/stat"), systemStat: contents("/proc/stat"),
      limits: contents("/proc/self/limits"),
      netstat: contents("/proc/self/net/netstat"), openDescriptors: countDescriptors(),
      ticksPerSecond: sysconf(Int32(_SC_CLK_TCK)), pageSize: sysconf(Int32(_SC_PAGESIZE)))
  }

  init(
    stat: String, systemStat: String, limits: String, netstat: String, openDescriptors: UInt64?,
    ticksPerSecond: Int, pageSize: Int
  ) {
    self.init()
    self.openDescriptors = openDescriptors
    maximumDescriptors = Self.limit("Max open files", in: limits)
    maximumVirtualMemory = Self.limit("Max address space", in: limits).map { Bytes($0) }
    let counters = KernelCounters(text: netstat)
    networkReceived = counters["InOctets", of: "IpExt:"].map { Bytes($0) }
    networkSent = counters["OutOctets", of: "IpExt:"].map { Bytes($0) }

    // The command in brackets may hold spaces and brackets: the fields begin behind the last one.
    guard let bracket = stat.utf8.lastIndex(of: UInt8(ascii: ")")), ticksPerSecond > 0 else { return }
    let fields = Self.words(stat.utf8[stat.utf8.index(after: bracket)...])
    // proc(5) counts from 1 and the state is its field 3.
    func field(_ number: Int) -> UInt64? { fields.count > number - 3 ? Self.number(fields[number - 3]) : nil }
    let ticks = Double(ticksPerSecond)
    if let user = field(14), let system = field(15) { cpuSeconds = (Double(user) + Double(system)) / ticks }
    if let start = field(22), let boot = Self.bootTime(in: systemStat) {
      startUnixSeconds = Double(boot) + Double(start) / ticks
    }
    virtualMemory = field(23).map { Bytes($0) }
    residentMemory = field(24).map { Bytes($0 &* UInt64(max(0, pageSize))) }
  }

  // By bytes: characters take as long as all the rest of a small scrape.

  private static func lines(of text: String, beginning prefix: String) -> [Substring.UTF8View] {
    text.utf8.split(separator: UInt8(ascii: "\n")).filter { $0.starts(with: prefix.utf8) }
  }

  private static func words(_ line: Substring.UTF8View) -> [Substring.UTF8View] {
    line.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }
  }

  private static func number(_ word: Substring.UTF8View) -> UInt64? { UInt64(Substring(word)) }

  private static func bootTime(in text: String) -> UInt64? {
    lines(of: text, beginning: "btime ").first.flatMap { number($0.dropFirst(6)) }
  }

  private static func limit(_ name: String, in text: String) -> UInt64? {
    guard let line = lines(of: text, beginning: name + " ").first,
      let soft = words(line.dropFirst(name.utf8.count)).first
    else { return nil }
    return soft.elementsEqual("unlimited".utf8) ? .max : number(soft)
  }

  private static func contents(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16 << 10)
    while true {
      let count = read(descriptor, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
      bytes += chunk[..<count]
    }
  }

  private static func countDescriptors() -> UInt64? {
    guard let directory = opendir("/proc/self/fd") else { return nil }
    defer { closedir(directory) }
    var count: UInt64 = 0
    while readdir(directory) != nil { count += 1 }
    // ".", "..", and the descriptor that reads this.
    return count >= 3 ? count - 3 : nil
  }
}
