internal import DroverCore
internal import Journal
internal import MicroHTTP

/// What the journal is asked for.
extension Routes {
  func history(_ request: Request) async -> Response {
    let limit: Int
    let filter: HistoryFilter
    let before: MigrationID?
    do throws(QueryError) {
      let query = try QueryReader(
        request, names: ["limit", "migration", "vm", "backend", "namespace", "host", "outcome", "before"])
      limit = try Self.limit(query)
      filter = try HistoryFilter(query)
      before = try query.value("before", words: "the id of a migration") { MigrationID($0) }
    } catch {
      return .problem(status: 400, detail: "\(error)")
    }
    do throws(JournalError) {
      let journal = try journal.readable()
      if let before, try await !journal.contains(before) {
        return .problem(
          status: 400, detail: "before: there is no migration \(before) in the journal, or not any more")
      }
      let migrations = try await journal.history(matching: filter, limit: limit, before: before)
      return json(request, HistoryList(items: migrations.map(HistoryItem.init)))
    } catch {
      return .problem(status: 503, detail: "\(error)")
    }
  }

  func decisions(_ request: Request) async -> Response {
    let limit: Int
    let filter: DecisionFilter
    let before: DecisionID?
    do throws(QueryError) {
      let query = try QueryReader(
        request,
        names: ["limit", "migration", "vm", "backend", "namespace", "host", "kind", "action", "before"])
      limit = try Self.limit(query)
      filter = try DecisionFilter(query)
      before = try query.number("before", in: 1...Int64.max, words: "the id of a decision")
        .map { DecisionID(rawValue: $0) }
    } catch {
      return .problem(status: 400, detail: "\(error)")
    }
    do throws(JournalError) {
      let journal = try journal.readable()
      let decisions = try await journal.decisions(matching: filter, limit: limit, before: before)
      let ends = try await journal.migrations(decisions.compactMap(\.migration))
      let items = decisions.map { decision in
        DecisionItem(decision, migration: decision.migration.flatMap { ends[$0] })
      }
      return json(request, DecisionList(items: items))
    } catch {
      return .problem(status: 503, detail: "\(error)")
    }
  }

  private static func limit(_ query: QueryReader) throws(QueryError) -> Int {
    let most = Int64(Journal.mostRows)
    return Int(try query.number("limit", in: 1...most, words: "a number from 1 to \(most)") ?? 100)
  }
}

extension QueryReader {
  fileprivate func scope() throws(QueryError) -> Scope? {
    switch (text("namespace"), text("host")) {
    case (nil, nil): nil
    case (let namespace?, nil): .namespace(namespace)
    case (nil, let host?): .host(host)
    case (_?, _?): throw QueryError("a VM has a namespace or a host, never both; give one of the two")
    }
  }
}

extension QueryReader {
  /// A VM's name, and the names of its back end, and of its namespace or host, where they are typed before it.
  fileprivate func vm(besides scope: Scope?) -> (backend: BackendName?, scopeName: String?, vm: String?) {
    let backend = text("backend").map { BackendName(rawValue: $0) }
    let typed = text("vm")
    let parts = typed?.split(separator: "/", omittingEmptySubsequences: false).map(String.init) ?? []
    return switch parts.count {
    case 2 where scope == nil: (backend, parts[0], parts[1])
    case 3 where scope == nil && backend == nil: (BackendName(rawValue: parts[0]), parts[1], parts[2])
    default: (backend, nil, typed)
    }
  }
}

extension HistoryFilter {
  init(_ query: QueryReader) throws(QueryError) {
    self.init()
    migration = try query.value("migration", words: "the id of a migration") { MigrationID($0) }
    scope = try query.scope()
    (backend, scopeName, vm) = query.vm(besides: scope)
    let outcomes = Outcome.allCases.map(\.rawValue).joined(separator: ", ")
    ending = try query.value("outcome", words: "one of \(outcomes), open, unseen") { word in
      switch word {
      case "open": .open
      case "unseen": .unseen
      default: Outcome(rawValue: word).map { .outcome($0) }
      }
    }
  }
}

extension DecisionFilter {
  fileprivate init(_ query: QueryReader) throws(QueryError) {
    self.init()
    migration = try query.value("migration", words: "the id of a migration") { MigrationID($0) }
    scope = try query.scope()
    (backend, scopeName, vm) = query.vm(besides: scope)
    kind = try query.word("kind")
    action = try query.word("action")
  }
}
