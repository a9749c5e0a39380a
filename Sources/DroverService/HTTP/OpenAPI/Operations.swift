internal import DroverCore

extension Routes {
  private static let page: [Operation.Parameter] = [
    .number("limit"), .text("backend"), .text("namespace"), .text("host"), .text("vm"),
  ]

  /// What these routes take and answer.
  static let operations = [
    Operation(
      get: "migrations", "listMigrations", "Migrations, open and lately ended.", .of(MigrationList.self)),
    Operation(
      get: "migrations/{id}", "getMigration", "A migration, by its id or another name.",
      .of(MigrationItem.self), problems: [404, 409]),
    Operation(get: "vms", "listVMs", "VMs that are watched.", .of(VMList.self)),
    Operation(
      get: "vms/{backend}/{scope}/{name}/eligibility", "getEligibility",
      "Whether a VM can be migrated and where to, read now.", .of(EligibilityItem.self),
      problems: [404, 501, 502, 504]),
    Operation(get: "nodes", "listNodes", "Nodes and hosts.", .of(NodeList.self)),
    Operation(
      get: "preflight", "preflight", "What a drain would do to each VM, and whether there is room, read now.",
      query: [.text("node"), .text("backend"), .text("vm")], .of(PreflightItem.self),
      problems: [404, 409, 501, 502, 504]),
    Operation(
      get: "history", "listHistory", "Migrations of the journal.",
      query: page + [
        .text("migration"), .text("outcome", Outcome.allCases.map(\.rawValue) + ["open", "unseen"]),
        .text("before"),
      ], .of(HistoryList.self)),
    Operation(
      get: "decisions", "listDecisions", "Decisions of the journal.",
      query: page + [
        .text("migration"), .text("kind", DecisionKind.allCases.map(\.rawValue)),
        .text("action", ControlAction.allCases.map(\.rawValue)), .number("before"),
      ], .of(DecisionList.self)),
  ]
}

extension WhyRoutes {
  /// What these routes take and answer.
  static let operations = [
    Operation(
      get: "why/{name}", "why", "What happens to a migration, a VM or a node, and what one can do.",
      .of(WhyItem.self), problems: [404, 409])
  ]
}

extension ControlRoutes {
  /// What these routes take and answer.
  static let operations = [
    Operation(
      .abort, "abortMigration", "Ends a migration, or says why not.", body: .of(AbortBody.self),
      .of(ControlItem.self), .of(ControlItem.self, 202), problems: [404, 409, 501, 502, 504]),
    Operation(
      .migrate, "startMigration", "Begins a migration, or says everything that speaks against it.",
      body: .of(StartBody.self, isRequired: true), .of(ControlItem.self), .of(ControlItem.self, 202),
      problems: [404, 409, 501, 502, 504]),
  ]
}

extension StopRoutes {
  /// What these routes take and answer.
  static let operations = [
    Operation(
      .stopVM, "stopEvacuationOfVM", "Ends what moves a VM away by itself, or says why not.",
      body: .of(Body.self), .of(ControlItem.self), .of(ControlItem.self, 202),
      problems: [404, 409, 501, 502, 504]),
    Operation(
      .stopNode, "stopEvacuationOfNode", "Ends what moves the VMs of a node away by itself, or says why not.",
      body: .of(Body.self), .of(ControlItem.self), .of(ControlItem.self, 202),
      problems: [404, 409, 501, 502, 504]),
  ]
}

extension DrainRoutes {
  /// What these routes take and answer.
  static let operations = [
    Operation(
      get: "nodes/{backend}/{name}/drain", "getDrain", "The last drain of a node.", .of(DrainItem.self),
      problems: [404]),
    Operation(
      .drain, "drainNode", "Begins to empty a node, or says why not.", body: .of(BeginBody.self),
      .of(DrainItem.self), .of(DrainItem.self, 202), problems: [404, 409, 501]),
    Operation(
      .endDrain, "endDrain", "Ends a drain: what is under way goes on.", body: .of(EndBody.self),
      .of(DrainItem.self), .of(DrainItem.self, 202), problems: [404, 409, 501]),
  ]
}

extension AutomaticRoutes {
  /// What these routes take and answer.
  static let operations = [
    Operation(
      .alerts, "takeAlerts",
      "Decides about alerts that ask for an abort, as Alertmanager's webhook sends them.",
      body: .open(AlertPayload.self), .of(AlertList.self), .of(AlertList.self, 503)),
    Operation(
      .resetHold, "resetHold", "Ends the hold of automatic aborts.", .of(ResetItem.self)),
  ]
}
