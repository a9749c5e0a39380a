/// A back end that can tell whether a VM can be migrated, and where to.
public protocol EligibilitySource: MigrationBackend {
  /// Finds out whether a VM can be migrated, and where to.
  func eligibility(of vm: VMRef) async throws(ControlError) -> Eligibility
}
