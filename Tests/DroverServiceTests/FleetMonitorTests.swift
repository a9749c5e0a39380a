import Logging
import Testing

@testable import DroverCore
@testable import DroverService

@Suite("What the monitor logs")
struct FleetMonitorTests {
  private func logged(of scope: Scope, _ level: LogLevel) -> [String] {
    let output = CollectingOutput()
    let log = Logger(label: "drover") { label in
      DroverLogHandler(label: label, format: .logfmt, level: level, output: output, clock: { 0 })
    }
    let monitor = FleetMonitor(settings: MigrationTracker.Settings(), clock: Still(), log: log)
    let name = BackendName(rawValue: "prod")
    monitor.register(
      BackendDescriptor(
        name: name, type: "any", endpoint: "", origins: [.unknown], causes: [], errorKinds: []))
    let vm = VMRef(backend: name, scope: scope, name: "db")
    let key = VMKey(backend: name, text: "uid")
    monitor.receive(.vm(VMObservation(key: key, vm: vm, node: "node-a", blockers: [])))
    let domain = DomainKey(backend: name, socketPath: "x")
    var over = MigrationObservation(
      id: MigrationID(domain: domain, startedUnixMilliseconds: 0), vm: vm, domain: domain, takenAt: noon,
      startedAt: noon, phase: .failed)
    over.isHistory = true
    monitor.receive(.migration(over))
    monitor.receive(.vmGone(key))
    monitor.receive(.vmGone(key))
    return output.written.map { $0.split(separator: " ").dropFirst().joined(separator: " ") }.dropFirst()
      .map { String($0.prefix { $0 != "\n" }) }
  }

  @Test("a back end that is stopped decides no more who leads")
  func stopped() {
    let monitor = FleetMonitor(
      settings: MigrationTracker.Settings(), clock: Still(),
      log: Logger(label: "x") { _ in SwiftLogNoOpLogHandler() })
    let (name, other) = (BackendName(rawValue: "prod"), BackendName(rawValue: "other"))
    monitor.setElection(name)
    monitor.receive(.leader(name, LeaderTerm(holder: "a", heldUntil: noon + .seconds(10))))
    #expect(monitor.leadership.isLeader(at: noon))
    monitor.unregister(other, keepingTotals: true)
    #expect(monitor.leadership.isLeader(at: noon))
    monitor.unregister(name, keepingTotals: true)
    #expect(!monitor.leadership.isLeader(at: noon))
  }

  @Test("is the VMs of a host")
  func hosts() {
    let lines = logged(of: .host("hv-1"), .info)
    #expect(lines.count == 3)
    #expect(lines.first == "level=info msg=\"VM is here\" backend=prod host=hv-1 vm=db")
    #expect(lines.last == "level=info msg=\"VM has gone\" backend=prod host=hv-1 key=uid vm=db")
  }

  @Test("is not the thousands of VMs and past migrations of a cluster, unless everything is asked for")
  func clusters() {
    #expect(logged(of: .namespace("shop"), .info) == [])
    let lines = logged(of: .namespace("shop"), .debug)
    #expect(lines.count == 3 && lines.allSatisfy { $0.hasPrefix("level=debug ") })
    #expect(lines.first == "level=debug msg=\"VM is here\" backend=prod namespace=shop vm=db")
  }
}
