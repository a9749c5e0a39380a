internal import DroverCore

/// `GET /api/v1/vms/{backend}/{scope}/{name}/eligibility`.
struct EligibilityRoute: Sendable {
  let monitor: FleetMonitor
  let supervisor: BackendSupervisor

  /// The answer, or why there is none.
  func answer(_ path: VMPath) async -> Result<EligibilityItem, Refusal> {
    let snapshot = monitor.snapshot()
    let backend = BackendName(rawValue: path.backend)
    guard let descriptor = snapshot.backends.first(where: { $0.descriptor.name == backend })?.descriptor
    else {
      let names = snapshot.backends.map(\.descriptor.name.rawValue)
      return .failure(
        Refusal(
          404,
          "no back end is called \(backend.rawValue); there \(names.count == 1 ? "is" : "are") "
            + (names.isEmpty ? "none" : names.joined(separator: ", "))))
    }
    let vm = VMRef(
      backend: backend, scope: descriptor.type == "kubevirt" ? .namespace(path.scope) : .host(path.scope),
      name: path.name)
    guard let source = supervisor.eligibilitySource(backend) else {
      return .failure(
        Refusal(
          501, "back end \(backend.rawValue) (\(descriptor.type)) cannot tell whether a VM can be migrated"))
    }
    do throws(ControlError) {
      return .success(EligibilityItem(try await source.eligibility(of: vm)))
    } catch {
      return .failure(Refusal(error, known: known(of: vm, in: snapshot)))
    }
  }

  /// VMs that might have been meant.
  private func known(of vm: VMRef, in snapshot: FleetSnapshot) -> [String] {
    let all = snapshot.vms.map(\.vm).filter { $0.backend == vm.backend }
    let near = all.filter { $0.scope == vm.scope || $0.name == vm.name }
    return (near.isEmpty ? all : near).map { "\($0.scope.name)/\($0.name)" }
  }

  /// Why there is no answer.
  struct Refusal: Error {
    let status: Int
    let detail: String

    init(_ status: Int, _ detail: String) {
      self.status = status
      self.detail = detail
    }

    init(_ error: ControlError, known: [String]) {
      switch error.kind {
      case .gone:
        let others =
          known.isEmpty
          ? ""
          : "; there are \(known.prefix(10).joined(separator: ", "))"
            + (known.count > 10 ? " and \(known.count - 10) more" : "")
        self.init(404, "\(error)\(others)")
      case .unsupported: self.init(501, "\(error)")
      case .timeout: self.init(504, "\(error)")
      case .unreachable: self.init(503, "\(error)")
      default: self.init(502, "\(error)")
      }
    }
  }
}
