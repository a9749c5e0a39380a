import ArgumentParser
import DroverService

struct StopEvacuation: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "End what moves a VM, or the VMs of a node, away in KubeVirt: taint, evictions, migrations.",
    discussion: """
      For clusters only: at a libvirt host or a QEMU nothing moves VMs away by itself, and drover abort and drover drain \
      --cancel end what there is.

      Of a node: the taint of the drain is taken away, then each VM's eviction is taken back, then the migrations that \
      KubeVirt began for it are ended; of a VM the last two. In post-copy and in the switchover a migration is left to \
      its end. The node stays cordoned. Refused while a Harvester upgrade or its maintenance mode empties the node. \
      Whatever goes on evicting, as kubectl drain, has to be ended first.

      Exit code 0: done, or there is nothing to end; 1: it was not, or not all of it, and what was is said.
      """)

  @Argument(help: "A VM (name, namespace/vm, backend/namespace/vm) or a node (name, backend/node).")
  var name: String

  @Flag(help: "It is the name of a node, whatever VM is called so.")
  var node = false

  @Flag(help: "Look at everything, and do nothing.")
  var dryRun = false

  @Flag(help: "Do it also where it cannot be recorded.")
  var withoutJournal = false

  @OptionGroup var client: ClientOptions

  @Option(help: ArgumentHelp("Form of the answer.", valueName: "form"))
  var output = OutputFormat.table

  private struct Body: Encodable {
    var dryRun: Bool
    var withoutJournal: Bool
  }

  func run() async throws {
    let client = try client.makeClient()
    let answer: ControlItem = try await client.act(
      try await path(client), Body(dryRun: dryRun, withoutJournal: withoutJournal))
    switch output {
    case .table: try write(answer.stopLines)
    case .json: try printJSON(answer)
    }
  }

  private func path(_ client: DroverClient) async throws -> String {
    let vms = node ? .none : VMLookup(name, in: try await client.vms().items)
    let list = try await client.nodes()
    let nodes = list.items.filter { $0.node == name || "\($0.backend)/\($0.node)" == name }
    switch (vms, nodes.count) {
    case (.found(let vm), 0):
      try checkMoves(vm.backend, list.backends)
      return "/api/v1/vms/\(Self.path(vm.backend, vm.scope, vm.name))/stop-evacuation"
    case (.none, 1):
      try checkMoves(nodes[0].backend, list.backends)
      return "/api/v1/nodes/\(Self.path(nodes[0].backend, nodes[0].node))/stop-evacuation"
    case (.none, 0):
      warn(of: list.backends)
      throw Failure("no VM and no node is called \(name); drover vms and drover nodes show them")
    case (.ambiguous(let paths), _):
      throw Failure(
        "\(name) can be several VMs: \(paths.map(\.description).joined(separator: ", ")); name one of them in full"
      )
    case (.none, _):
      let names = nodes.map { "\($0.backend)/\($0.node)" }.joined(separator: ", ")
      throw Failure("\(name) can be several nodes: \(names); name one so")
    case (.found(let vm), _):
      throw Failure("\(name) is a VM and a node: name the VM as \(vm), or say --node")
    }
  }

  /// Refuses what only a cluster has, before the server asks for a switch that would help nothing.
  private func checkMoves(_ backend: String, _ backends: [BackendItem]) throws {
    guard let type = backends.first(where: { $0.name == backend })?.type, type != "kubevirt" else { return }
    throw Failure(
      "only KubeVirt moves VMs away by itself, and \(backend) is \(type): drover abort and drover drain --cancel end "
        + "what there is")
  }

  private static func path(_ parts: String...) -> String {
    parts.map(DroverClient.segment).joined(separator: "/")
  }
}

extension ControlItem {
  /// What was found, and each step.
  fileprivate var stopLines: String {
    var lines = [isDryRun && kind == "acted" ? "would be done: \(text)" : text]
    lines += (found ?? []).map { "found: \($0)" }
    lines += (steps ?? []).enumerated().map {
      "\(isDryRun ? "would" : "done") \($0.offset + 1): \($0.element)"
    }
    lines += warnings.map { "warning: \($0)" }
    return lines.map { "\($0)\n" }.joined()
  }
}
