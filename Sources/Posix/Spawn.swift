internal import CLinux
internal import Glibc

/// Where a started program writes.
public enum SpawnOutput: Sendable {
  /// Nowhere.
  case nothing
  /// A file, made or emptied, and readable by its owner only.
  case file(String)
  /// Something open already, which stays the caller's.
  case descriptor(Int32)
}

/// Starts a program with nothing inherited: no descriptors, no signal settings, no process group.
///
/// The group is its own, so that Ctrl-C at the terminal is for us, who then end the children in order.
///
/// - Parameter pid: Gets the process id.
/// - Returns: 0, or the number of the error.
public func spawnProcess(
  _ pid: inout Int32, _ words: [String], environment: [String: String],
  standardOutput: SpawnOutput = .nothing, standardError: SpawnOutput
) -> Int32 {
  var files = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&files)
  defer { posix_spawn_file_actions_destroy(&files) }
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0)
  connect(1, to: standardOutput, &files)
  connect(2, to: standardError, &files)
  drover_spawn_close_from(&files, 3)

  var attributes = posix_spawnattr_t()
  posix_spawnattr_init(&attributes)
  defer { posix_spawnattr_destroy(&attributes) }
  var none = sigset_t()
  sigemptyset(&none)
  var all = sigset_t()
  sigfillset(&all)
  posix_spawnattr_setsigmask(&attributes, &none)
  posix_spawnattr_setsigdefault(&attributes, &all)
  posix_spawnattr_setpgroup(&attributes, 0)
  posix_spawnattr_setflags(
    &attributes,
    Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))

  return withCStrings(words) { argv in
    withCStrings(environment.map { "\($0.key)=\($0.value)" }) { envp in
      posix_spawnp(&pid, words[0], &files, &attributes, argv, envp)
    }
  }
}

private func connect(_ number: Int32, to output: SpawnOutput, _ files: inout posix_spawn_file_actions_t) {
  switch output {
  case .nothing: posix_spawn_file_actions_addopen(&files, number, "/dev/null", O_WRONLY, 0)
  case .file(let path):
    posix_spawn_file_actions_addopen(&files, number, path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
  case .descriptor(let open): posix_spawn_file_actions_adddup2(&files, open, number)
  }
}

/// Lends `strings` as a null-terminated array of C strings.
public func withCStrings<R>(
  _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> R
) -> R {
  let pointers = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: strings.count + 1)
  for (index, string) in strings.enumerated() { pointers[index] = strdup(string) }
  pointers[strings.count] = nil
  defer {
    for index in strings.indices { free(pointers[index]) }
    pointers.deallocate()
  }
  return body(pointers)
}
