extension Preflight.VM {
  /// Whether it would migrate as far as is known, and something that decides could not be read.
  public var isOpen: Bool {
    outcome == .migrates && causes.contains { $0.isEnforced && $0.reason == .unknown }
  }
}
