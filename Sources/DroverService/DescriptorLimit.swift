internal import Glibc

/// How many files, sockets and clients the process may have open.
public enum DescriptorLimit {
  /// Raises the soft limit, which is 1,024 on most systems, to the hard one: clients must not be able to use up what the
  /// back ends need to open their sockets again.
  public static func raise() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}
