public import DroverCore

extension MigrationControl {
  /// Asks a back end what a drain would do; nothing is changed, and nothing recorded.
  ///
  /// - Parameter node: The only node that is asked about; nil for all.
  public func preflight(of name: BackendName, node: String?) async throws(ControlError) -> Preflight {
    guard let backend = backend(name) else {
      throw ControlError(
        .unsupported, call: "a preflight", cause: "this back end cannot be asked to drain anything",
        remedy: "ask another")
    }
    return try await backend.preflight(node: node)
  }
}
