internal import FoundationEssentials
internal import Glibc

/// What a guest is, whichever QEMU it runs in.
public struct GuestSpec: Hashable, Sendable {
  /// The guest's name; nil for a QEMU without `-name`.
  public var name: String?
  /// The guest's UUID; nil for a QEMU without `-uuid`.
  public var uuid: String?
  /// The guest's memory in MiB.
  public var memoryMebibytes: Int
  /// The size of a disk, empty at the start, in MiB; nil for a guest without one.
  public var diskMebibytes: Int?
  /// What runs in it.
  public var software: DirtierGuest

  /// A guest without a disk; its working set must be at least 2 MiB smaller than its memory.
  public init(name: String?, uuid: String? = nil, memoryMebibytes: Int, software: DirtierGuest) {
    self.name = name
    self.uuid = uuid
    self.memoryMebibytes = memoryMebibytes
    self.software = software
  }
}

/// One QEMU that runs a guest, or waits for one to come.
public final class QEMUProcess: Sendable {
  /// What it runs.
  public let spec: GuestSpec
  /// The QMP socket that nobody in the rig touches: the monitor's.
  public let monitorSocket: String
  /// The rig's own QMP connection.
  public let conductor: QMPConductor
  /// The guest's serial line.
  public let console: GuestConsole

  private let child: ChildProcess
  private let files: ProcessFiles

  /// The process id; another process may have it after the end.
  public var pid: Int32 { child.pid }

  /// How the process ended; nil while it runs.
  public var exitStatus: ExitStatus? { child.status }

  /// The end of what QEMU wrote to standard error, at most 4 KiB.
  public var standardError: String { files.errorTail }

  private init(
    spec: GuestSpec, child: ChildProcess, files: ProcessFiles, conductor: QMPConductor, console: GuestConsole
  ) {
    self.spec = spec
    self.child = child
    self.files = files
    self.conductor = conductor
    self.console = console
    monitorSocket = files.monitor
  }

  /// Starts a QEMU and waits until it takes orders.
  ///
  /// - Parameters:
  ///   - spec: The guest.
  ///   - label: Its sockets are `<directory>/<label>.qmp` (the monitor's) and `.ctl` (the rig's).
  ///   - directory: Where its files go; it must exist.
  ///   - incoming: Whether it waits for a guest that migrates to it.
  ///   - environment: Which QEMU, on which leash.
  /// - Throws: ``RigError``, also when QEMU ends at once; the error then holds what QEMU said.
  public static func start(
    _ spec: GuestSpec, label: String, in directory: String, incoming: Bool,
    environment: RigEnvironment = RigEnvironment()
  ) async throws -> QEMUProcess {
    guard spec.software.requiredMebibytes <= spec.memoryMebibytes else {
      throw RigError(
        .unsuitable, "starting \(label)",
        "a working set of \(spec.software.workingSet.mebibytes) MiB does not fit \(spec.memoryMebibytes) MiB of memory"
      )
    }
    let files = ProcessFiles(directory: directory, label: label)
    let qemu = try environment.executablePath()
    try spec.software.writeFloppy(to: files.floppy)
    if let size = spec.diskMebibytes { try Descriptor(creating: files.disk).truncate(to: size << 20) }
    let child = try await ChildProcess.start(
      [qemu] + arguments(spec, files, incoming: incoming), leash: environment.leash,
      standardError: files.errors)
    do {
      let conductor = try await QMPConductor.connect(to: files.control) {
        guard let status = child.status else { return }
        throw RigError(.exited, "starting \(label)", "QEMU \(status): \(files.errorTail)")
      }
      let console = try await GuestConsole.connect(to: files.serial, within: QMPConductor.patience)
      return QEMUProcess(spec: spec, child: child, files: files, conductor: conductor, console: console)
    } catch {
      await child.end()
      files.remove()
      throw error
    }
  }

  private static func arguments(_ spec: GuestSpec, _ files: ProcessFiles, incoming: Bool) -> [String] {
    // QEMU's option syntax doubles a comma in a value.
    func quoted(_ text: String) -> String {
      text.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
    }
    var words = ["-nodefaults", "-no-user-config", "-display", "none"]
    if let name = spec.name { words += ["-name", "guest=\(quoted(name))"] }
    if let uuid = spec.uuid { words += ["-uuid", uuid] }
    words += [
      "-machine", "pc", "-accel", "tcg", "-m", String(spec.memoryMebibytes),
      "-drive", "if=floppy,format=raw,readonly=on,file=\(quoted(files.floppy))",
      "-chardev", "socket,id=serial,path=\(quoted(files.serial)),server=on,wait=off", "-serial",
      "chardev:serial",
      "-qmp", "unix:\(quoted(files.monitor)),server=on,wait=off",
      "-qmp", "unix:\(quoted(files.control)),server=on,wait=off",
    ]
    if spec.diskMebibytes != nil { words += ["-drive", "if=virtio,format=raw,file=\(quoted(files.disk))"] }
    return incoming ? words + ["-incoming", "defer"] : words
  }

  /// Kills QEMU at once, as a crash would; ``waitForExit()`` says when it is gone.
  public func kill() { child.signal(SIGKILL) }

  /// Stops QEMU as a whole, so that it answers nobody, until ``thaw()``.
  public func freeze() { child.signal(SIGSTOP) }

  /// Lets a frozen QEMU go on.
  public func thaw() { child.signal(SIGCONT) }

  /// Waits for the end, however long it takes.
  public func waitForExit() async -> ExitStatus { await child.waitForExit() }

  /// Kills QEMU, waits until it is gone and removes its files.
  public func end() async {
    await child.end()
    files.remove()
  }
}

/// The files of one QEMU.
private struct ProcessFiles: Sendable {
  let stem: String

  init(directory: String, label: String) { stem = "\(directory)/\(label)" }

  var monitor: String { stem + ".qmp" }
  var control: String { stem + ".ctl" }
  var serial: String { stem + ".com" }
  var floppy: String { stem + ".img" }
  var disk: String { stem + ".disk" }
  var errors: String { stem + ".err" }

  var errorTail: String {
    guard let data = try? Data(contentsOf: URL(filePath: errors)) else { return "" }
    let text = String(decoding: data.suffix(4096), as: UTF8.self)
    return text.split(whereSeparator: \.isNewline).joined(separator: "; ")
  }

  func remove() {
    for path in [monitor, control, serial, floppy, disk, errors] { unlink(path) }
  }
}
