import DroverCore
import InetDiag
import Testing

@testable import LibvirtBackend

@Suite("libvirt rules that a review asked for")
struct ReviewedRulesTests {
  @Test("a clock of the host that is set back makes no other migration of the one that runs")
  func clockSetBack() {
    func look(_ at: Int64, elapsed: Int64, sent: UInt64) -> DomainLook {
      var job = JobStatistics(kind: .active)
      job.elapsed = .milliseconds(elapsed)
      job.memory = JobStatistics.Stream(total: 1 << 30, processed: sent, remaining: 1 << 20)
      return DomainLook(
        uuid: domainID(1), begunAt: ms(at), takenAt: ms(at), job: .success(job), state: .success(.running))
    }
    var watch = DomainWatch(
      named(1), state: .running, backend: lab, host: "a", samplingInterval: .milliseconds(500))
    let epoch = EpochOffset(milliseconds: 0)
    _ = watch.take(look(300_000, elapsed: 300_000, sent: 1 << 28), epoch: epoch)
    let id = watch.job?.last.id
    _ = watch.take(look(300_500, elapsed: 290_500, sent: 1 << 29), epoch: epoch)
    #expect(watch.job?.last.id == id)
    // Set back beyond the start of the job, libvirt says 0 from then on.
    for n in 1...20 {
      _ = watch.take(look(300_500 + Int64(n) * 500, elapsed: 0, sent: 1 << 30), epoch: epoch)
    }
    #expect(watch.job?.last.id == id)
    // Another one has begun since, and has sent little.
    _ = watch.take(look(320_000, elapsed: 700, sent: 1 << 20), epoch: epoch)
    #expect(watch.job?.last.id != id)
  }

  @Test("while disks are copied the guest's memory is all still to be sent")
  func memoryBehindDisks() {
    var job = JobStatistics(kind: .active)
    job.disk = JobStatistics.Stream(total: 100, processed: 40, remaining: 60)
    var sample = Sample(job, phase: .precopy, limits: nil, memory: 1000)
    #expect(sample.remaining == 1060 && sample.transferred == 40 && sample.iterations == nil)
    sample = Sample(job, phase: .precopy, limits: nil)
    #expect(sample.remaining == 60 && sample.memory == nil)
    job.memory = JobStatistics.Stream(total: 1000, processed: 10, remaining: 990)
    sample = Sample(job, phase: .precopy, limits: nil, memory: 1000)
    #expect(sample.memory?.remaining == 990)
  }

  @Test("a connection of the host itself that was closed is not the target's doing")
  func closedHere() {
    let evidence = EndEvidence(control: .closedHere, data: .endedByPeer, keepalive: KeepaliveSettings())
    let end = EndInference(stop: nil, isStopped: false, phase: .precopy, evidence)
    #expect(end.outcome == .failed && end.cause == .unknown)
  }

  @Test("a pool lends each connection once, opens more, and closes those that come back late")
  func pool() throws {
    func open() throws(LibvirtError) -> HostConnection {
      try HostConnection(to: "test:///default", canWrite: false)
    }
    let pool = ConnectionPool(try open()) { () throws(LibvirtError) in
      try HostConnection(to: "test:///default", canWrite: false)
    }
    let isApart = try pool.with { first throws(LibvirtError) in
      try pool.with { second throws(LibvirtError) in first !== second }
    }
    #expect(isApart)
    try pool.with { connection throws(LibvirtError) in
      pool.close()
      // What is lent goes on to its end.
      #expect(try connection.runningDomains().count == 1)
    }
    #expect(throws: LibvirtError.closed) {
      try pool.with { _ throws(LibvirtError) in }
    }
    #expect(LibvirtError.closed.isConnectionLost)
  }

  @Test("a connection more that cannot be had loses nothing, and does not count for ever")
  func noMore() throws {
    let refusal = LibvirtError(code: .rpc, domain: 7, call: "virConnectOpen", message: "no more clients")
    let pool = ConnectionPool(try HostConnection(to: "test:///default", canWrite: false)) {
      () throws(LibvirtError) in throw refusal
    }
    try pool.with { _ throws(LibvirtError) in
      for _ in 0..<100 {
        #expect(throws: refusal) { try pool.with { _ throws(LibvirtError) in } }
      }
    }
    #expect(!refusal.isConnectionLost)
    pool.close()
  }
}
