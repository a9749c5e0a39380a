import DroverCore
import InetDiag

@testable import LibvirtBackend

let lab = BackendName(rawValue: "lab")
let epoch = EpochOffset(milliseconds: 1_700_000_000_000)

/// So many milliseconds after the tests' clock began.
func ms(_ n: Int64) -> Moment { Moment(milliseconds: 1_000_000 + n) }

func domainID(_ n: Int = 1) -> String {
  let digits = String(n)
  return "00000000-0000-4000-8000-" + String(repeating: "0", count: 12 - digits.count) + digits
}

func named(_ n: Int = 1) -> DomainName { DomainName(uuid: domainID(n), name: "vm\(n)") }

func migration(_ n: Int = 1, startedAt: Int64) -> ConnectionBook.Migration {
  ConnectionBook.Migration(uuid: domainID(n), startedAt: ms(startedAt))
}

extension LibvirtError {
  static let lost = LibvirtError(
    code: .internalError, domain: 7, call: "virConnectGetAllDomainStats", message: "client socket is closed")
  static let noConnection = LibvirtError(
    code: .systemError, domain: 7, call: "virConnectOpen", message: "No such file or directory")
  static let refused = LibvirtError(
    code: .authFailed, call: "virConnectOpen", message: "authentication failed")
  static let onlyAtSource = LibvirtError(
    code: .operationUnsupported, domain: 10, call: "virDomainGetJobStats",
    message: "migration statistics are available only on the source host")
  static let gone = LibvirtError(
    code: .noDomain, domain: 10, call: "virDomainGetJobStats", message: "no domain with matching uuid")
  static let notRunning = LibvirtError(
    code: .operationInvalid, domain: 10, call: "virDomainGetJobStats", message: "domain is not running")
  static let lockHeld = LibvirtError(
    code: .operationTimeout, domain: 10, call: "virDomainGetJobStats",
    message: "cannot acquire state change lock")
  static let noJobs = LibvirtError(
    code: .noSupport, domain: 20, call: "virDomainGetJobStats", message: "not supported by the driver")
}

extension JobStatistics {
  /// No job.
  static let idle = JobStatistics(kind: .none, isMigrationOut: false)

  /// A migration that has begun and sent nothing.
  static func preparing(_ elapsed: Int64) -> JobStatistics {
    var job = JobStatistics(kind: .active)
    job.elapsed = .milliseconds(elapsed)
    return job
  }

  /// A migration that copies memory.
  static func copying(_ elapsed: Int64, sent: UInt64 = 41_984_100, remaining: UInt64 = 67_108_864)
    -> JobStatistics
  {
    var job = preparing(elapsed)
    job.memory = Stream(total: 268_967_936, processed: sent, remaining: remaining)
    job.downtime = .milliseconds(3193)
    job.pageSize = 4096
    job.iteration = 2
    job.dirtyPagesPerSecond = 10_208
    job.postcopyRequests = 0
    return job
  }

  /// A migration that copies disks, of which memory has not begun.
  static func copyingDisks(_ elapsed: Int64, total: UInt64, processed: UInt64 = 16_777_216) -> JobStatistics {
    var job = preparing(elapsed)
    job.disk = Stream(total: total, processed: processed, remaining: total - min(total, processed))
    return job
  }

  /// A save, a dump or a snapshot.
  static func saving(_ elapsed: Int64) -> JobStatistics {
    var job = copying(elapsed)
    job.isMigrationOut = false
    return job
  }

  /// The final figures of a migration.
  static func done(_ elapsed: Int64?, downtime: Int64 = 24) -> JobStatistics {
    var job = copying(0, sent: 300_000_000, remaining: 0)
    job.kind = .completed
    job.elapsed = elapsed.map { .milliseconds($0) }
    job.downtime = .milliseconds(downtime)
    return job
  }
}

extension DomainLook {
  /// A look that took 2 ms.
  init(
    _ n: Int = 1, at end: Int64, begun: Int64? = nil,
    job: Result<JobStatistics, LibvirtError> = .success(.idle),
    _ state: Result<DomainState, LibvirtError> = .success(.running)
  ) {
    self.init(uuid: domainID(n), begunAt: ms(begun ?? end - 2), takenAt: ms(end), job: job, state: state)
  }
}

extension TCPConnection {
  /// A connection to another host's daemon that heard of it so many milliseconds ago.
  static func control(
    _ cookie: UInt64, to host: String = "10.0.0.2", port: UInt16 = 16509, state: State = .established,
    heard: Int64? = 0, inode: UInt64? = nil, uid: UInt32 = 0
  ) -> TCPConnection {
    var connection = made(cookie, host, port, state, inode ?? 1000 + cookie, uid)
    if state == .established {
      connection.lastDataReceived = heard.map { .milliseconds($0) }
      connection.lastAckReceived = .zero
    }
    return connection
  }

  /// A connection to another host's QEMU that acknowledged something so many milliseconds ago.
  static func data(
    _ cookie: UInt64, to host: String = "10.0.0.2", port: UInt16 = 49152, state: State = .established,
    acked: Int64? = 0, unacked: UInt64 = 0, queue: Bytes = 0, inode: UInt64? = nil
  ) -> TCPConnection {
    var connection = made(cookie, host, port, state, inode ?? 1000 + cookie, 64055)
    if state == .established {
      connection.lastAckReceived = acked.map { .milliseconds($0) }
      connection.unackedSegments = unacked
      connection.sendQueue = queue
      connection.notSent = 0
      connection.retransmits = 0
    }
    return connection
  }

  private static func made(
    _ cookie: UInt64, _ host: String, _ port: UInt16, _ state: State, _ inode: UInt64, _ uid: UInt32
  ) -> TCPConnection {
    TCPConnection(
      local: Endpoint(address: address("10.0.0.1"), port: 40_000 + UInt16(cookie)),
      remote: Endpoint(address: address(host), port: port), state: state, cookie: cookie, inode: inode,
      uid: uid)
  }

  /// The same, as it is kept for a while after this host has closed it.
  func kept(_ state: State = .timeWait) -> TCPConnection {
    // What has no owner any more has no inode either.
    var connection = TCPConnection(local: local, remote: remote, state: state, cookie: cookie)
    connection.sendQueue = state == .timeWait ? 0 : sendQueue
    if state == .timeWait { connection.timer = .timeWait }
    return connection
  }

  private static func address(_ text: String) -> IPAddress {
    guard let address = IPAddress(text) else { preconditionFailure("\(text) is no address") }
    return address
  }
}
