internal import CLinux
internal import FoundationEssentials
internal import Glibc
internal import Posix

/// What the rig needs from its surroundings: a QEMU, and a leash that ends it together with us.
public struct RigEnvironment: Hashable, Sendable {
  /// The name or path of the QEMU executable.
  public var qemu: String
  /// How QEMU's life is tied to this process.
  public var leash: Leash

  /// An environment; both parts have working defaults.
  public init(qemu: String = "qemu-system-x86_64", leash: Leash = .setpriv) {
    self.qemu = qemu
    self.leash = leash
  }

  /// Checks that QEMU and the launcher are installed.
  ///
  /// - Throws: an error that names the Debian package and the command that installs it.
  public func check() throws(RigError) {
    _ = try executablePath()
    try leash.check()
  }

  func executablePath() throws(RigError) -> String {
    guard let path = findExecutable(qemu) else {
      throw RigError(
        .qemuMissing, "starting a guest", "\(qemu) is not installed",
        remedy:
          "install the package qemu-system-x86, on Debian and Ubuntu with: sudo apt-get install qemu-system-x86"
      )
    }
    return path
  }
}

/// Ties a child's life to ours: the kernel kills it when we end, also when we end by SIGKILL.
///
/// A launcher is a command line that is put in front of QEMU's; it asks the kernel for the
/// parent-death signal and then becomes QEMU.
public struct Leash: Hashable, Sendable {
  /// The words in front of QEMU's command line.
  public var launcher: [String]

  /// A leash with a launcher of the caller's.
  public init(launcher: [String]) { self.launcher = launcher }

  /// The launcher of util-linux, for programs without a subcommand of their own, such as test runners.
  public static let setpriv = Leash(launcher: ["setpriv", "--pdeathsig", "KILL", "--"])

  /// This very executable as the launcher: `<executable> <subcommand> <our pid> -- <QEMU's command line>`.
  ///
  /// The subcommand is expected to call ``leashAndExec(parent:arguments:)``.
  public static func thisExecutable(subcommand: String = "leash") -> Leash {
    Leash(launcher: ["/proc/self/exe", subcommand, String(getpid()), "--"])
  }

  func check() throws(RigError) {
    guard let program = launcher.first else { return }
    guard findExecutable(program) != nil else { throw missing(program) }
  }

  func missing(_ program: String) -> RigError {
    RigError(
      .launcherMissing, "starting a guest", "the launcher \(program) is not installed",
      remedy: program == "setpriv" ? "install the package util-linux" : nil)
  }
}

/// Asks the kernel to kill this process when `parent` ends, then becomes `arguments`.
///
/// This is the body of the hidden subcommand that ``Leash/thisExecutable(subcommand:)`` names. It returns
/// only on failure, after a line on standard error.
///
/// - Parameters:
///   - parent: The process that started this one; if it is gone already, nothing is executed.
///   - arguments: The command line to become, the program first.
/// - Returns: The exit code to end with: 125 for the leash itself, 126 or 127 for the program, as shells do.
public func leashAndExec(parent: Int32, arguments: [String]) -> Int32 {
  guard let program = arguments.first else {
    complain("no command given")
    return 125
  }
  guard drover_set_parent_death_signal(SIGKILL) == 0 else {
    complain(RigError.system("prctl(PR_SET_PDEATHSIG)").description)
    return 125
  }
  // The parent may have ended before the signal was asked for; the kernel does not send it late.
  guard getppid() == parent else {
    complain("process \(parent), which started this one, has ended")
    return 125
  }
  let failure = withCStrings(arguments) { argv in
    execvp(program, argv)
    return errno
  }
  complain("\(program): \(String(cString: strerror(failure)))")
  return failure == ENOENT ? 127 : 126
}

private func complain(_ text: String) {
  let line = Array("leash: \(text)\n".utf8)
  _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
}

/// The path of a program, looked up as execvp does; nil if there is none that may be executed.
func findExecutable(_ program: String) -> String? {
  if program.contains("/") { return access(program, X_OK) == 0 ? program : nil }
  let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
  return path.split(separator: ":").map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
}
