public import QEMURig

extension LabHosts {
  /// Starts a guest and returns when libvirt has it running, which is before it has booted.
  ///
  /// - Parameters:
  ///   - name: Its name.
  ///   - memoryMebibytes: At least 2 more than the working set.
  ///   - rate: How fast it dirties memory.
  ///   - workingSet: What it dirties.
  ///   - isPersistent: Whether libvirt keeps its definition.
  ///   - diskMebibytes: The size of a disk that the hosts do not share; a file of that size awaits a copy on
  ///     the other one.
  ///   - uuid: Its UUID; libvirt makes one up without.
  ///   - host: Where it starts.
  public func guest(
    _ name: String, memoryMebibytes: Int = 64, rate: DirtyRate = .idle,
    workingSet: WorkingSet = WorkingSet(atLeastMebibytes: 16), isPersistent: Bool = false,
    diskMebibytes: Int? = nil, uuid: String? = nil, on host: Host = .a
  ) async throws {
    var words = ["guest", name, "--memory", "\(memoryMebibytes)", "--on", host.rawValue]
    words += ["--rate", letter(rate.command), "--set", letter(workingSet.command)]
    if isPersistent { words.append("--persistent") }
    if let diskMebibytes { words += ["--disk", "\(diskMebibytes)"] }
    if let uuid { words += ["--uuid", uuid] }
    try await run(words)
  }

  /// Changes the dirty rate and returns when the guest has confirmed it, within about a second.
  public func setRate(_ name: String, _ rate: DirtyRate) async throws {
    try await run(["rate", name, letter(rate.command)])
  }

  /// Changes the working set and returns when the guest has confirmed it, within about a second.
  public func setWorkingSet(_ name: String, _ workingSet: WorkingSet) async throws {
    try await run(["rate", name, letter(workingSet.command)])
  }

  /// Waits for the guest's next heartbeat, on that host; without one, on whichever it runs.
  ///
  /// - Returns: The byte of the last command, see `Guest/dirtier.asm`.
  @discardableResult
  public func heartbeat(_ name: String, on host: Host? = nil) async throws -> UInt8 {
    let answer = try await run(["beat", name] + (host.map { [$0.rawValue] } ?? []))
    guard let byte = answer.utf8.first, answer.utf8.count == 1 else {
      throw LabError(command: ["beat", name], status: nil, standardError: "no heartbeat: \(answer)")
    }
    return byte
  }

  /// Writes to the guest's disk as the guest itself would, seen by a copy under way.
  public func write(_ name: String, mebibytes: Int, atMebibyte offset: Int = 0) async throws {
    try await run(["write", name, "\(mebibytes)", "\(offset)"])
  }

  /// Ends the guest on both hosts, and what they know of it.
  public func destroy(_ name: String) async throws { try await run(["destroy", name]) }

  private func letter(_ byte: UInt8) -> String { String(Unicode.Scalar(byte)) }
}
