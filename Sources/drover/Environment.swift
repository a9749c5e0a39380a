import FoundationEssentials
import Glibc

/// The environment variables, and who runs the program.
struct Environment: Sendable {
  var variables: [String: String]
  var isRoot: Bool

  static var current: Environment {
    Environment(variables: ProcessInfo.processInfo.environment, isRoot: getuid() == 0)
  }
}
