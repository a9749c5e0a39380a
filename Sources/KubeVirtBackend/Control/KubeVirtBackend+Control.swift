public import DroverCore
internal import Kubernetes
internal import Synchronization

extension KubeVirtBackend: ControllableBackend {
  private static let group = "kubevirt.io"
  private static let vmims = Resource(group: group, plural: "virtualmachineinstancemigrations")
  private static let vmis = Resource(group: group, plural: "virtualmachineinstances")
  private static let kubeVirts = Resource(group: group, plural: "kubevirts")
  private static let parts = Resource(group: "subresources.kubevirt.io", plural: "virtualmachineinstances")

  /// How long the API server has to answer before a question is given up.
  private static let readDeadline = Duration.seconds(5)
  private static let sendDeadline = Duration.seconds(10)

  /// Reads the VMIM, its VMI and what may have asked for it.
  public func live(_ migration: MigrationTarget) async throws(ControlError) -> LiveMigration {
    let call = "reading migration \(migration.id)"
    let client = try running(call)
    let instant = Instant(now: clock.now(), epoch: clock.epochOffset())
    return try await within(Self.readDeadline, call) { () async throws(ControlError) in
      let namespace = migration.vm.scope.name
      var reading = LiveReading()
      reading.vmim = try await Self.find(Self.vmims.named(migration.object, in: namespace), client, call)
      guard let vmim = reading.vmim else { return reading.migration(migration.id, at: instant) }
      reading.vmi = try await Self.find(Self.vmis.named(vmim.vmiName, in: namespace), client, call)
      if vmim.isRepeated {
        reading.kubeVirt = try await Self.kubeVirt(client, call)
        if let node = vmim.evacuatedNode ?? reading.vmi?.node, !node.isEmpty {
          reading.node = try await Self.find(Resource.nodes.named(node), client, call)
        }
      }
      return reading.migration(migration.id, at: instant)
    }
  }

  /// Deletes the VMIM of exactly that uid.
  public func abort(_ migration: MigrationTarget) async throws(ControlError) {
    let call = "deleting VMIM \(migration.vm.scope.name)/\(migration.object)"
    let client = try running(call)
    try await within(Self.sendDeadline, call, isSent: true) { () async throws(ControlError) in
      do throws(KubernetesError) {
        try await client.delete(
          Self.vmims.named(migration.object, in: migration.vm.scope.name),
          if: Preconditions(uid: migration.id.description))
      } catch {
        throw ControlError(error, call, isSent: true)
      }
    }
  }

  /// Takes back that a VM is to leave its node: KubeVirt 1.7 and later.
  public func endCause(_ cause: ComesBack, of migration: MigrationTarget) async throws(ControlError) {
    let call = "taking back the eviction of \(migration.vm.scope.name)/\(migration.vm.name)"
    let client = try running(call)
    try await within(Self.sendDeadline, call, isSent: true) { () async throws(ControlError) in
      let path = Self.vmis.named(migration.vm.name, in: migration.vm.scope.name)
      guard let vmi: VMI = try await Self.find(path, client, call), !vmi.evacuationNode.isEmpty else {
        return
      }
      do throws(KubernetesError) {
        try await client.update(
          Self.parts.named(migration.vm.name, in: migration.vm.scope.name).subresource("evacuate/cancel"),
          with: ["evacuationNodeName": vmi.evacuationNode])
      } catch  where error.kind == .notFound {
        throw ControlError(
          .unsupported, call: call, cause: "KubeVirt before 1.7 cannot take an eviction back",
          remedy: "let the migration go on, or upgrade KubeVirt")
      } catch {
        throw ControlError(error, call, isSent: true)
      }
    }
  }

  /// Looks at VM, nodes and migrations; the API server itself is asked last, without storing anything.
  public func plan(_ order: StartOrder) async throws(ControlError) -> StartPlan {
    let call = "looking at \(order.vm.scope.name)/\(order.vm.name)"
    let client = try running(call)
    return try await within(Self.sendDeadline, call) { () async throws(ControlError) in
      let reading = try await Self.read(order, client, call)
      var plan = StartPlan(
        refusals: reading.refusals,
        request: "POST \(Self.vmims.within(order.vm.scope.name).path) "
          + reading.order.text, source: reading.vmi?.node ?? "")
      guard plan.refusals.isEmpty else { return plan }
      do throws(KubernetesError) {
        try await client.create(
          reading.order, in: Self.vmims.within(order.vm.scope.name), dryRun: true)
      } catch {
        guard case .status(let status) = error, (400..<500).contains(status.code), status.code != 429 else {
          throw ControlError(error, call)
        }
        plan.refusals.append(Refusal(.system, "the API server refuses it: \(error)"))
      }
      return plan
    }
  }

  /// Makes the VMIM, and reads back that KubeVirt kept where it is to go.
  public func start(_ order: StartOrder) async throws(ControlError) -> StartReceipt {
    let namespace = order.vm.scope.name
    let call = "creating a VMIM for \(namespace)/\(order.vm.name)"
    let client = try running(call)
    return try await within(Self.sendDeadline, call, isSent: true) { () async throws(ControlError) in
      let wanted = MigrationOrder(
        name: VMName(namespace: namespace, name: order.vm.name), node: order.node)
      let made: VMIM
      do throws(KubernetesError) {
        made = try await client.create(wanted, in: Self.vmims.within(namespace)).decoded()
      } catch {
        throw ControlError(error, call, isSent: true)
      }
      guard made.addedNodeSelector == wanted.spec.addedNodeSelector ?? [:] else {
        throw await Self.takenBack(made, client, call)
      }
      return StartReceipt(migration: MigrationID(made.metadata.uid), object: made.metadata.name)
    }
  }

  /// Sent anywhere it would be worse than not at all.
  private static func takenBack(_ made: VMIM, _ client: KubernetesClient, _ call: String) async
    -> ControlError
  {
    let name = "\(made.metadata.namespace)/\(made.metadata.name)"
    let cause = "this KubeVirt does not keep where a VM is to go"
    do throws(KubernetesError) {
      try await client.delete(
        vmims.named(made.metadata.name, in: made.metadata.namespace),
        if: Preconditions(uid: made.metadata.uid))
      return ControlError(
        .unsupported, call: call, cause: "\(cause); VMIM \(name) was deleted again",
        remedy: "leave --to out, or upgrade KubeVirt to 1.6")
    } catch {
      return ControlError(
        .unsupported, call: call, cause: "\(cause), and VMIM \(name) could not be deleted again: \(error)",
        remedy: "the VM goes to any node now: abort that migration if it must not", mayBeDone: true)
    }
  }

  // MARK: Reading

  func running(_ call: String) throws(ControlError) -> KubernetesClient {
    guard let client = client.withLock(\.self) else {
      throw ControlError(
        .unreachable, call: call, cause: "the cluster's address is not known yet",
        remedy: "see the log for what is missing")
    }
    return client
  }

  private static func read(_ order: StartOrder, _ client: KubernetesClient, _ call: String)
    async throws(ControlError) -> StartReading
  {
    let name = VMName(namespace: order.vm.scope.name, name: order.vm.name)
    do throws(KubernetesError) {
      let vmi: VMI? = try await find(vmis.named(name.name, in: name.namespace), client)
      let vmims = try await client.list(vmims.within(name.namespace), of: VMIM.self).objects
      let nodes = try await client.list(Resource.nodes.all, of: Node.self).objects
      let kubeVirt = try await client.list(kubeVirts.all, of: KubeVirtCR.self).objects.first
      return StartReading(
        name: name, vmi: vmi, vmims: vmims, nodes: nodes,
        version: kubeVirt.flatMap { KubeVirtVersion($0.version) },
        target: order.node)
    } catch {
      throw ControlError(error, call)
    }
  }

  private static func kubeVirt(_ client: KubernetesClient, _ call: String) async throws(ControlError)
    -> KubeVirtCR?
  {
    do throws(KubernetesError) {
      return try await client.list(kubeVirts.all, of: KubeVirtCR.self).objects.first
    } catch {
      throw ControlError(error, call)
    }
  }

  private static func find<Value: Decodable>(
    _ path: ResourcePath, _ client: KubernetesClient, _ call: String
  ) async throws(ControlError) -> Value? {
    do throws(KubernetesError) {
      return try await find(path, client)
    } catch {
      throw ControlError(error, call)
    }
  }

  /// One object; nil where there is none of that name.
  private static func find<Value: Decodable>(
    _ path: ResourcePath, _ client: KubernetesClient
  ) async throws(KubernetesError) -> Value? {
    do throws(KubernetesError) {
      return try await client.get(path)
    } catch  where error.kind == .notFound {
      return nil
    }
  }
}
