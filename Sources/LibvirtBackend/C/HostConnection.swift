internal import CLibvirt
internal import DroverCore
internal import Glibc
internal import Synchronization

/// Something that a daemon told without being asked.
enum HostEvent: Sendable {
  case lifecycle(Lifecycle)
  /// A pass over the memory began.
  case iteration
  /// A job succeeded; for a domain that is transient, the only word of its final figures.
  case completed(JobStatistics)
}

/// What a daemon says of itself.
struct HostFacts: Hashable, Sendable {
  /// Its host's name, as the host itself has it.
  var hostName: String
  /// Version of the hypervisor's driver, such as `9.0.0`.
  var version: String
}

/// One connection to a libvirt daemon.
///
/// Every call blocks until the daemon answers, some of them without limit: they belong on a thread of their own.
final class HostConnection: Sendable {
  /// Our own connection is asked for a sign of life so often; a daemon that is stopped is noticed after 20 s.
  private static let keepalive = (interval: Int32(5), count: UInt32(3))

  // A pointer is never Sendable. This one never changes, and libvirt lets any number of threads use a connection at once;
  // whoever keeps connections closes only one that no call has.
  nonisolated(unsafe) let handle: OpaquePointer
  private let domains = Mutex<[String: DomainHandle]>([:])
  private let callbacks: [Int32]
  private let canWrite: Bool
  /// Whether this is the connection that tells events, and that the daemon is gone.
  let hearsEvents: Bool

  /// Opens a connection.
  ///
  /// - Parameter listener: is told events from then on, on libvirt's event thread; nil to hear none.
  init(to uri: String, canWrite: Bool, listener: HostListener? = nil) throws(LibvirtError) {
    guard EventLoop.isRunning else {
      throw LibvirtError(code: .systemError, call: "virEventRegisterDefaultImpl", message: "no event loop")
    }
    guard
      let handle = virConnectOpenAuth(uri, nil, canWrite ? 0 : VIR_CONNECT_RO.rawValue)
    else { throw .last(in: "virConnectOpen") }
    self.handle = handle
    self.canWrite = canWrite
    // The test driver has none, nor has a daemon whose connection cannot die unseen.
    if virConnectSetKeepAlive(handle, Self.keepalive.interval, Self.keepalive.count) < 0 {
      virResetLastError()
    }
    hearsEvents = listener != nil
    callbacks = listener.map { Self.listen(to: handle, EventSink($0)) } ?? []
  }

  /// Stops listening and lets go; may take as long as a call to a daemon that hangs.
  func close() {
    domains.withLock { $0.removeAll() }
    for callback in callbacks { virConnectDomainEventDeregisterAny(handle, callback) }
    if hearsEvents { virConnectUnregisterCloseCallback(handle, EventSink.onClose) }
    virConnectClose(handle)
    virResetLastError()
  }

  // MARK: - Questions

  func facts() throws(LibvirtError) -> HostFacts {
    guard let name = virConnectGetHostname(handle) else { throw .last(in: "virConnectGetHostname") }
    defer { free(name) }
    var version: UInt = 0
    guard virConnectGetLibVersion(handle, &version) == 0 else { throw .last(in: "virConnectGetLibVersion") }
    return HostFacts(
      hostName: String(cString: name),
      version: "\(version / 1_000_000).\(version / 1000 % 1000).\(version % 1000)")
  }

  /// All domains that run, with their states; no QEMU is asked, so none can make this hang.
  func runningDomains() throws(LibvirtError) -> [RunningDomain] {
    var records: UnsafeMutablePointer<virDomainStatsRecordPtr?>?
    let count = virConnectGetAllDomainStats(
      handle, VIR_DOMAIN_STATS_STATE.rawValue, &records,
      VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE.rawValue | VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT.rawValue)
    guard count >= 0 else { throw .last(in: "virConnectGetAllDomainStats") }
    defer { virDomainStatsRecordListFree(records) }
    var running: [RunningDomain] = []
    running.reserveCapacity(Int(count))
    domains.withLock { domains in
      var present = Set<String>(minimumCapacity: Int(count))
      for index in 0..<Int(count) {
        guard let record = records?[index], let domain = record.pointee.dom, let name = DomainName(domain)
        else { continue }
        let parameters = TypedParameters(
          borrowing: record.pointee.params, count: record.pointee.nparams)
        let state = DomainState(
          state: Int32(truncatingIfNeeded: parameters.number("state.state") ?? 0),
          reason: Int32(truncatingIfNeeded: parameters.number("state.reason") ?? 0))
        running.append(RunningDomain(name: name, state: state))
        present.insert(name.uuid)
        if domains[name.uuid] == nil { domains[name.uuid] = DomainHandle(sharing: domain) }
      }
      for uuid in domains.keys where !present.contains(uuid) {
        // One that is gone may still be asked how it stopped, until the next of these calls.
        if domains[uuid]?.isMissed == true { domains[uuid] = nil } else { domains[uuid]?.miss() }
      }
    }
    return running
  }

  func jobStatistics(of uuid: String) throws(LibvirtError) -> JobStatistics {
    try jobStatistics(of: uuid, flags: 0)
  }

  /// The figures of the last migration that succeeded, where the domain is still defined here.
  func completedStatistics(of uuid: String) throws(LibvirtError) -> JobStatistics {
    // Without KEEP, reading them once would discard them for everybody.
    try jobStatistics(
      of: uuid,
      flags: VIR_DOMAIN_JOB_STATS_COMPLETED.rawValue | VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED.rawValue)
  }

  func state(of uuid: String) throws(LibvirtError) -> DomainState {
    let domain = try domain(uuid)
    var state: Int32 = 0
    var reason: Int32 = 0
    guard virDomainGetState(domain.handle, &state, &reason, 0) == 0 else {
      throw .last(in: "virDomainGetState")
    }
    return DomainState(state: state, reason: reason)
  }

  /// Configured memory of the guest.
  func memory(of uuid: String) throws(LibvirtError) -> Bytes {
    let kibibytes = virDomainGetMaxMemory(try domain(uuid).handle)
    guard kibibytes > 0 else { throw .last(in: "virDomainGetMaxMemory") }
    return Bytes(UInt64(kibibytes).multipliedReportingOverflow(by: 1024).partialValue)
  }

  /// Downtime limit and, where this connection may write, bandwidth cap of migrations; QEMU is asked.
  func limits(of uuid: String) throws(LibvirtError) -> MigrationLimits {
    let domain = try domain(uuid)
    var limits = MigrationLimits()
    var milliseconds: UInt64 = 0
    guard virDomainMigrateGetMaxDowntime(domain.handle, &milliseconds, 0) == 0 else {
      throw .last(in: "virDomainMigrateGetMaxDowntime")
    }
    limits.downtime = milliseconds < 1 << 53 ? .milliseconds(Int64(milliseconds)) : nil
    guard canWrite else { return limits }
    var mebibytes: UInt = 0
    guard virDomainMigrateGetMaxSpeed(domain.handle, &mebibytes, 0) == 0 else {
      throw .last(in: "virDomainMigrateGetMaxSpeed")
    }
    // What libvirt sets where nobody has set a cap: as many bytes as fit a number, in MiB.
    if mebibytes > 0, mebibytes < 1 << 40 { limits.bandwidth = BytesPerSecond(UInt64(mebibytes) << 20) }
    return limits
  }

  /// Capacity of each disk that libvirt may copy; QEMU is asked, and not where somebody else is just asking it.
  func diskCapacities(of uuid: String) throws(LibvirtError) -> [Bytes] {
    guard let text = virDomainGetXMLDesc(try domain(uuid).handle, 0) else {
      throw .last(in: "virDomainGetXMLDesc")
    }
    defer { free(text) }
    let copyable = copyableDisks(ofXML: String(cString: text))
    var capacities: [Bytes] = []
    try statistics(of: uuid, VIR_DOMAIN_STATS_BLOCK, flags: VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT.rawValue)
    {
      parameters in
      for disk in 0..<min(parameters.number("block.count") ?? 0, 256) {
        guard let name = parameters.text("block.\(disk).name"), copyable.contains(name) else { continue }
        if let capacity = parameters.number("block.\(disk).capacity") { capacities.append(Bytes(capacity)) }
      }
    }
    return capacities
  }

  /// Has QEMU look for one second how fast the guest dirties its memory, by sampling pages.
  ///
  /// Never in another mode: QEMU 7.2 without KVM dies of those.
  func startDirtyRate(of uuid: String) throws(LibvirtError) {
    let domain = try domain(uuid)
    guard
      virDomainStartDirtyRateCalc(
        domain.handle, 1, VIR_DOMAIN_DIRTYRATE_MODE_PAGE_SAMPLING.rawValue) == 0
    else { throw .last(in: "virDomainStartDirtyRateCalc") }
  }

  /// The last dirty rate that was measured; nil while it is being measured.
  func dirtyRate(of uuid: String) throws(LibvirtError) -> BytesPerSecond? {
    var rate: BytesPerSecond?
    try statistics(of: uuid, VIR_DOMAIN_STATS_DIRTYRATE, flags: 0) { parameters in
      guard parameters.number("dirtyrate.calc_status") == UInt64(VIR_DOMAIN_DIRTYRATE_MEASURED.rawValue),
        let mebibytes = parameters.number("dirtyrate.megabytes_per_second"), mebibytes < 1 << 40
      else { return }
      rate = BytesPerSecond(mebibytes << 20)
    }
    return rate
  }

  // MARK: - Handles

  private func jobStatistics(of uuid: String, flags: UInt32) throws(LibvirtError) -> JobStatistics {
    let domain = try domain(uuid)
    var type: Int32 = 0
    var parameters: UnsafeMutablePointer<virTypedParameter>?
    var count: Int32 = 0
    guard virDomainGetJobStats(domain.handle, &type, &parameters, &count, flags) == 0 else {
      throw .last(in: "virDomainGetJobStats")
    }
    return JobStatistics(type: type, TypedParameters(owning: parameters, count: count))
  }

  private func statistics(
    of uuid: String, _ group: virDomainStatsTypes, flags: UInt32,
    _ read: (borrowing TypedParameters) -> Void
  ) throws(LibvirtError) {
    let domain = try domain(uuid)
    var list: [virDomainPtr?] = [domain.handle, nil]
    var records: UnsafeMutablePointer<virDomainStatsRecordPtr?>?
    let count = virDomainListGetStats(&list, group.rawValue, &records, flags)
    guard count >= 0 else { throw .last(in: "virDomainListGetStats") }
    defer { virDomainStatsRecordListFree(records) }
    guard count > 0, let record = records?[0] else { return }
    read(TypedParameters(borrowing: record.pointee.params, count: record.pointee.nparams))
  }

  func domain(_ uuid: String) throws(LibvirtError) -> DomainHandle {
    if let known = domains.withLock({ $0[uuid] }) { return known }
    guard let found = virDomainLookupByUUIDString(handle, uuid) else {
      throw .last(in: "virDomainLookupByUUIDString")
    }
    let domain = DomainHandle(owning: found)
    domains.withLock { $0[uuid] = domain }
    return domain
  }

  // MARK: - Events

  private static func listen(to handle: OpaquePointer, _ sink: EventSink) -> [Int32] {
    func retained() -> UnsafeMutableRawPointer { Unmanaged.passRetained(sink).toOpaque() }
    // The test driver knows no events of migrations: what cannot be registered is not told.
    let callbacks = [
      drover_on_lifecycle(handle, EventSink.onLifecycle, retained(), EventSink.release),
      drover_on_iteration(handle, EventSink.onIteration, retained(), EventSink.release),
      drover_on_job_completed(handle, EventSink.onCompleted, retained(), EventSink.release),
    ]
    for callback in callbacks where callback < 0 { Unmanaged.passUnretained(sink).release() }
    if virConnectRegisterCloseCallback(handle, EventSink.onClose, retained(), EventSink.release) < 0 {
      Unmanaged.passUnretained(sink).release()
    }
    virResetLastError()
    return callbacks.filter { $0 >= 0 }
  }
}

/// A domain, for as long as anybody asks it something.
final class DomainHandle: Sendable {
  // A pointer is never Sendable. This one never changes, libvirt lets any number of threads use a domain at once, and only
  // `deinit` gives up the reference, when nobody has this any more.
  nonisolated(unsafe) let handle: OpaquePointer
  private let wasMissed = Mutex(false)

  init(owning handle: OpaquePointer) { self.handle = handle }

  init(sharing handle: OpaquePointer) {
    virDomainRef(handle)
    self.handle = handle
  }

  deinit { virDomainFree(handle) }

  var isMissed: Bool { wasMissed.withLock { $0 } }

  func miss() { wasMissed.withLock { $0 = true } }
}

/// Who is told what a connection hears.
struct HostListener: Sendable {
  var hearing: @Sendable (DomainName, HostEvent) -> Void
  /// Told once that the daemon is gone.
  var closed: @Sendable (CloseReason) -> Void
}

/// Where libvirt's callbacks go; libvirt holds one reference for each callback.
private final class EventSink: Sendable {
  private let listener: HostListener

  init(_ listener: HostListener) { self.listener = listener }

  private static func tell(
    _ event: @autoclosure () -> HostEvent, of domain: OpaquePointer?, _ context: UnsafeMutableRawPointer?
  ) {
    guard let context, let domain, let name = DomainName(domain) else { return }
    Unmanaged<EventSink>.fromOpaque(context).takeUnretainedValue().listener.hearing(name, event())
  }

  static let onLifecycle: virConnectDomainEventCallback = { _, domain, event, detail, context in
    tell(.lifecycle(Lifecycle(event: event, detail: detail)), of: domain, context)
    return 0
  }

  static let onIteration: virConnectDomainEventMigrationIterationCallback = { _, domain, _, context in
    tell(.iteration, of: domain, context)
  }

  static let onCompleted: virConnectDomainEventJobCompletedCallback = {
    _, domain, parameters, count, context in
    let statistics = JobStatistics(
      type: Int32(bitPattern: VIR_DOMAIN_JOB_COMPLETED.rawValue),
      TypedParameters(borrowing: parameters, count: count))
    tell(.completed(statistics), of: domain, context)
  }

  static let onClose: virConnectCloseFunc = { _, reason, context in
    guard let context else { return }
    let reason: CloseReason =
      switch UInt32(bitPattern: reason) {
      case VIR_CONNECT_CLOSE_REASON_EOF.rawValue: .byDaemon
      case VIR_CONNECT_CLOSE_REASON_KEEPALIVE.rawValue: .silent
      default: .broken("it broke")
      }
    Unmanaged<EventSink>.fromOpaque(context).takeUnretainedValue().listener.closed(reason)
  }

  static let release: virFreeCallback = { context in
    if let context { Unmanaged<EventSink>.fromOpaque(context).release() }
  }
}

extension DomainName {
  /// Name and UUID of a domain, for which nobody has to be asked.
  fileprivate init?(_ domain: OpaquePointer) {
    var text = [CChar](repeating: 0, count: Int(VIR_UUID_STRING_BUFLEN))
    guard let name = virDomainGetName(domain), virDomainGetUUIDString(domain, &text) == 0 else { return nil }
    let uuid = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    self.init(uuid: uuid, name: String(cString: name))
  }
}
