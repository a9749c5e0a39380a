public import DroverCore
internal import Synchronization

extension KubeVirtBackend: EligibilitySource {
  /// Finds out whether a VM can be migrated, and where to: reads what decides it now, within 10 s.
  ///
  /// Throws `.gone` where the VM is not there or does not run, `.denied` where its VMI may not be read,
  /// `.unreachable` or
  /// `.timeout` where the API server does not answer. Anything else that cannot be read is part of the
  /// answer.
  public func eligibility(of vm: VMRef) async throws(ControlError) -> Eligibility {
    let call = "eligibility of \(vm.scope.name)/\(vm.name)"
    guard case .namespace(let namespace) = vm.scope else {
      throw ControlError(
        .gone, call: call, cause: "its VMs are in namespaces, not on hosts", remedy: "name it as namespace/vm"
      )
    }
    guard let client = client.withLock(\.self) else {
      throw ControlError(
        .unreachable, call: call, cause: "no API server is known yet",
        remedy: "look into the log of drover for what its credentials lack")
    }
    let facts = try await EligibilityReader(client).facts(of: vm.name, in: namespace)
    return EligibilityRules.evaluate(facts, as: vm)
  }
}
