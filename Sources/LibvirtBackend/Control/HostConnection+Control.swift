internal import CLibvirt
internal import DroverCore
internal import Glibc

/// What is asked and done only where migrations are started and ended.
extension HostConnection {
  /// Whether it still stands, as far as this end knows; nobody is asked.
  var isAlive: Bool {
    defer { virResetLastError() }
    return virConnectIsAlive(handle) == 1
  }

  /// How a domain and its job are; blocks for as long as its QEMU does.
  func read(_ uuid: String, _ clock: any Timepiece) throws(LibvirtError) -> LiveReading {
    func asked<R>(_ call: () throws(LibvirtError) -> R) throws(LibvirtError) -> Result<R, LibvirtError> {
      do throws(LibvirtError) {
        return .success(try call())
      } catch {
        if error.isConnectionLost { throw error }
        return .failure(error)
      }
    }
    func now() -> Int64 { clock.epochOffset().unixMilliseconds(clock.now()) }
    var reading = LiveReading(
      state: try asked { () throws(LibvirtError) in try state(of: uuid) }, readAt: now())
    switch reading.state {
    // QEMU does not answer its monitor while it sends the rest of a switchover.
    case .failure, .success(.pausedMigration), .success(.pausedPostcopy), .success(.pausedPostcopyFailed):
      return reading
    case .success(.shutOff(.migrated)):
      reading.completed = try asked { () throws(LibvirtError) in try completedStatistics(of: uuid) }.value
      return reading
    case .success(.shutOff): return reading
    case .success: break
    }
    reading.job = try asked { () throws(LibvirtError) in try jobStatistics(of: uuid) }
    reading.readAt = now()
    reading.state = try asked { () throws(LibvirtError) in try state(of: uuid) }
    return reading
  }

  /// Ends the job of a domain, whichever it is: look first.
  func abortJob(of uuid: String) throws(LibvirtError) {
    guard virDomainAbortJob(try domain(uuid).handle) == 0 else { throw .last(in: "virDomainAbortJob") }
  }

  /// The UUID of a domain of that name.
  func uuid(named name: String) throws(LibvirtError) -> String {
    guard let found = virDomainLookupByName(handle, name) else { throw .last(in: "virDomainLookupByName") }
    defer { virDomainFree(found) }
    return try Self.uuid(of: found)
  }

  /// The description of a domain as it is now.
  func description(of uuid: String) throws(LibvirtError) -> DomainXML {
    guard let text = virDomainGetXMLDesc(try domain(uuid).handle, 0) else {
      throw .last(in: "virDomainGetXMLDesc")
    }
    defer { free(text) }
    return DomainXML(String(cString: text))
  }

  /// Whether the host keeps the domain's definition when it does not run.
  func isPersistent(_ uuid: String) throws(LibvirtError) -> Bool {
    let answer = virDomainIsPersistent(try domain(uuid).handle)
    guard answer >= 0 else { throw .last(in: "virDomainIsPersistent") }
    return answer == 1
  }

  /// How many snapshots it has; nil where the driver has none.
  func snapshots(of uuid: String) throws(LibvirtError) -> Int? {
    let count = virDomainSnapshotNum(try domain(uuid).handle, 0)
    if count < 0 { virResetLastError() }
    return count < 0 ? nil : Int(count)
  }

  /// The host's own UUID; nil where it does not tell one.
  func hostUUID() -> String? {
    guard let text = virConnectGetCapabilities(handle) else {
      virResetLastError()
      return nil
    }
    defer { free(text) }
    return DomainXML.text(of: "uuid", in: String(cString: text))
  }

  /// Migrates a domain; blocks until that is over.
  func migrate(_ uuid: String, by request: MigrationRequest) throws(LibvirtError) {
    var parameters: UnsafeMutablePointer<virTypedParameter>?
    var count: Int32 = 0
    var capacity: Int32 = 0
    defer { virTypedParamsFree(parameters, count) }
    if !request.peer.migrateURI.isEmpty {
      guard
        virTypedParamsAddString(
          &parameters, &count, &capacity, VIR_MIGRATE_PARAM_URI, request.peer.migrateURI) == 0
      else { throw .last(in: "virTypedParamsAddString") }
    }
    guard
      virDomainMigrateToURI3(
        try domain(uuid).handle, request.peer.uri, parameters, UInt32(count), request.flags) == 0
    else { throw .last(in: "virDomainMigrateToURI3") }
  }

  static func uuid(of domain: OpaquePointer) throws(LibvirtError) -> String {
    var text = [CChar](repeating: 0, count: Int(VIR_UUID_STRING_BUFLEN))
    guard virDomainGetUUIDString(domain, &text) == 0 else { throw .last(in: "virDomainGetUUIDString") }
    return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}

// MARK: - The target of a migration

extension HostConnection {
  /// Whether a domain could run on this host's CPU; nil where nobody can tell.
  func fits(_ domain: DomainXML) -> Bool? {
    guard domain.cpuMode == "custom" else { return nil }
    let answer = virConnectCompareHypervisorCPU(
      handle, domain.emulator, domain.architecture, domain.machine, domain.type, domain.cpu, 0)
    switch answer {
    case VIR_CPU_COMPARE_INCOMPATIBLE.rawValue: return false
    case VIR_CPU_COMPARE_IDENTICAL.rawValue, VIR_CPU_COMPARE_SUPERSET.rawValue: return true
    default:
      virResetLastError()
      return nil
    }
  }

  /// Whether a virtual network is there and active; nil where nobody can tell.
  func hasNetwork(_ name: String) -> Bool? {
    defer { virResetLastError() }
    guard let network = virNetworkLookupByName(handle, name) else {
      return virGetLastError()?.pointee.code == Int32(bitPattern: VIR_ERR_NO_NETWORK.rawValue) ? false : nil
    }
    defer { virNetworkFree(network) }
    let answer = virNetworkIsActive(network)
    return answer < 0 ? nil : answer == 1
  }

  /// Memory that a guest could have: what is free, and what only caches files; nil where nobody can tell.
  func availableMemory() -> Bytes? {
    defer { virResetLastError() }
    var count: Int32 = 0
    guard virNodeGetMemoryStats(handle, VIR_NODE_MEMORY_STATS_ALL_CELLS.rawValue, nil, &count, 0) == 0,
      count > 0
    else { return nil }
    var statistics = [virNodeMemoryStats](repeating: virNodeMemoryStats(), count: Int(count))
    guard virNodeGetMemoryStats(handle, VIR_NODE_MEMORY_STATS_ALL_CELLS.rawValue, &statistics, &count, 0) == 0
    else {
      return nil
    }
    var kibibytes: UInt64 = 0
    for var entry in statistics.prefix(Int(count)) {
      let field = withUnsafeBytes(of: &entry.field) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if ["free", "buffers", "cached"].contains(field) { kibibytes += entry.value }
    }
    return Bytes(kibibytes.multipliedReportingOverflow(by: 1024).partialValue)
  }

  /// Why a domain could not arrive beside what is there; nil where nothing speaks against it.
  func conflict(with name: DomainName) -> String? {
    defer { virResetLastError() }
    if let found = virDomainLookupByUUIDString(handle, name.uuid) {
      defer { virDomainFree(found) }
      if virDomainIsActive(found) == 1 { return "a domain of the same UUID runs there" }
    } else if let found = virDomainLookupByName(handle, name.name) {
      virDomainFree(found)
      return "another domain is called \(name.name) there"
    }
    return nil
  }
}

extension Result {
  fileprivate var value: Success? { try? get() }
}
